"""All settings of a training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from longtail.recipe.data import Augment, Data
from longtail.recipe.fields import AtLeastOne, Duration, Fraction, Positive, Settings
from longtail.recipe.model import Head, LinearHead, Method, Network, Optimizer, Schedule, kinds
from longtail.text import join_or


class Groups(Settings):
    """Bounds of the many-, medium- and few-shot classes, in training images."""

    many: Annotated[int, Field(ge=0)] = Field(default=100, description="more images than this")
    few: Annotated[int, Field(ge=0)] = Field(default=20, description="fewer images than this")

    @model_validator(mode="after")
    def _ordered(self) -> "Groups":
        if self.few > self.many:
            raise ValueError(f"few is {self.few} and many is {self.many}; few must not exceed many")
        return self


class Pruning(Settings):
    """InfoBatch: images with a low loss are drawn less often, and count for more when they are."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="probability that an image whose loss is below the mean is left out of a pass"
    )
    until: Fraction = Field(
        default=0.875, description="fraction of the training after which an epoch draws every image once again"
    )


class Published(Settings):
    """What a paper reports for this row."""

    top1: Fraction = Field(description="accuracy on the test split, as a fraction")
    source: str = Field(description="the paper, and where in it the figure stands")


class Recipe(Settings):
    """All settings of a training."""

    name: str = Field(default="", description="for people; the shipped name or the file's stem if empty")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0, description="of the run: initial weights, order of images, augmentation"
    )
    epochs: AtLeastOne = Field(description="passes over the natural training set")
    budget: Duration | None = Field(
        default=None,
        description="time for the whole training with start and evaluation, in seconds or as text such as 15m or "
        "1h30m; the schedule is fitted to it, and epochs gives only its proportions; null: all epochs",
    )
    batch_size: AtLeastOne = Field(description="images a stream and step, over all processes")
    accumulate: AtLeastOne = Field(
        default=1, description="forward passes a step; a contrastive loss compares within one pass"
    )
    pruning: Pruning | None = Field(
        default=None,
        description="dynamic data pruning: images with a low loss are drawn less often; an epoch is as many images as "
        "ever; null: none",
    )
    clip: Positive | None = Field(default=None, description="largest norm of the gradient; null: no clipping")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="decay of an exponential moving average of the weights, used to predict; null: none"
    )
    precision: Literal["auto", "fp64", "fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="of the networks; losses are never below float32; auto: bf16 on CUDA devices "
        "and x86 processors that have instructions for it, else fp32; fp64 is for proofs",
    )
    sync_batchnorm: bool = Field(default=True, description="share batch statistics between processes")
    evaluate_every: AtLeastOne = Field(
        default=1,
        description="epochs between evaluations; the end is always evaluated; with a budget, epochs of the schedule, "
        "and only as long as it takes less than 2 % of the time",
    )
    log_every: AtLeastOne = Field(default=10, description="steps between lines of metrics.jsonl")
    tensorboard: bool = Field(default=True, description="write TensorBoard event files too")
    split: Literal["test", "validation"] | None = Field(
        default=None,
        description="what is evaluated; tune on validation only; null: test, but validation for custom data that gives "
        "a validation part and no test part",
    )
    groups: Groups = Field(default=Groups(), description="which classes are called many-, medium- and few-shot")
    data: Data = Field(description="which images there are to learn from")
    augment: Augment = Field(description="random changes of the training images, and the normalisation of all images")
    network: Network = Field(description="the backbone: images to features")
    head: Head = Field(default=LinearHead(), description="the classifier: features to logits")
    method: Method = Field(description="what is minimised")
    optimizer: Optimizer = Field(description="how weights follow their gradients")
    schedule: Schedule = Field(description="of the learning rate, over the training")
    published: Published | None = Field(default=None, description="the paper's figure for this row")

    @model_validator(mode="after")
    def _mixed_for_one_branch(self) -> "Recipe":
        if self.augment.cutmix and not self.method.takes_mixed_images:
            able = [kind for kind, method in kinds(Method).items() if method.takes_mixed_images]
            raise ValueError(
                f"augment.cutmix is {self.augment.cutmix} and method.kind is {self.method.kind}, which takes one label "
                f"an image; set augment.cutmix to 0, or method.kind to {join_or(able)}"
            )
        return self

    @model_validator(mode="after")
    def _losses_of_single_images(self) -> "Recipe":
        if self.pruning is None:
            return self
        needs = "pruning goes by the loss of each image and decides what comes next"
        if not self.method.loss_of_each_image:
            able = [kind for kind, method in kinds(Method).items() if method.loss_of_each_image]
            raise ValueError(f"{needs}; method.kind is {self.method.kind}; set it to {join_or(able)}")
        if self.method.drawn != "instance":
            raise ValueError(f"{needs}; method.sampling is {self.method.drawn}; set it to instance")
        if self.augment.cutmix:
            raise ValueError(f"{needs}; augment.cutmix is {self.augment.cutmix} and mixes them; set it to 0")
        if not self.data.in_memory:
            raise ValueError(f"{needs}; data.in_memory is false and decodes ahead; set it to true")
        return self

    @model_validator(mode="after")
    def _something_to_evaluate(self) -> "Recipe":
        if self.split == "validation" and self.data.validation == 0:
            raise ValueError("split is validation and data.validation is 0; hold out at least 1 image per class")
        return self
