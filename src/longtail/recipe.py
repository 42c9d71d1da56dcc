"""Recipes: every setting of a training, read from YAML, checked, and never changed after."""

import difflib
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from longtail import mistakes

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
# YAML knows lists, not tuples; what is in them is as strict as everything else.
Listed = Strict(strict=False)
Colour = Annotated[tuple[Fraction, Fraction, Fraction], Listed]


class Settings(BaseModel):
    """A group of settings: unknown names are errors, types are not bent, and values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Data(Settings):
    """Which images there are to learn from."""

    name: Literal["digits", "cifar10", "cifar100", "inaturalist2018"] = Field(description="the data set")
    profile: Literal["exponential", "pareto", "step", "natural"] = Field(
        default="exponential", description="how the class counts fall; natural takes all images as they are"
    )
    imbalance: Annotated[float, Field(ge=1)] = Field(
        default=100, description="images of the most frequent class over those of the rarest; not used by natural"
    )
    n_max: AtLeastOne | None = Field(
        default=None, description="images of the most frequent class; null: as many as every class has"
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="chooses the images; the same for every run, unlike the seed"
    )
    validation: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="images per class held out of training; null: a tenth of n_max, at least 1, if split is validation",
    )
    image_size: Annotated[int, Field(ge=8)] | None = Field(
        default=None,
        description="side in pixels to which images are cropped and resized; null: as they are, all of one size",
    )
    in_memory: bool = Field(default=True, description="decode all images once, before training; false: in every step")
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="processes that decode, if not in_memory")

    @model_validator(mode="after")
    def _natural_is_not_cut(self) -> "Data":
        if self.profile == "natural" and self.n_max is not None:
            raise ValueError(f"n_max is {self.n_max}, but profile natural takes all images; set n_max to null")
        return self

    @model_validator(mode="after")
    def _workers_have_work(self) -> "Data":
        if self.in_memory and self.workers:
            raise ValueError(
                f"workers is {self.workers}, but images are in memory; set in_memory to false or workers to 0"
            )
        return self


class Jitter(Settings):
    """Random changes of colour, as torchvision's ColorJitter."""

    brightness: Annotated[float, Field(ge=0)] = Field(
        default=0.4, description="the factor is uniform within 1 ± this, and not below 0"
    )
    contrast: Annotated[float, Field(ge=0)] = Field(
        default=0.4, description="the factor is uniform within 1 ± this, and not below 0"
    )
    saturation: Annotated[float, Field(ge=0)] = Field(
        default=0.4, description="the factor is uniform within 1 ± this, and not below 0"
    )
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.1, description="largest turn of the hue either way; 0.5 is half of the colour circle"
    )
    probability: Fraction = Field(default=0.8, description="probability of changing an image's colours at all")


class Augment(Settings):
    """Random changes of the training images, and the normalisation of all images."""

    mean: Colour = Field(description="of the colours, for images in 0..1")
    std: Annotated[tuple[Positive, Positive, Positive], Listed] = Field(
        description="of the colours, for images in 0..1"
    )
    crop_padding: Annotated[int, Field(ge=0)] = Field(
        default=0, description="random crop after padding by so many black pixels"
    )
    resized_crop: Annotated[tuple[Positive, Fraction], Listed] | None = Field(
        default=None, description="smallest and largest share of the area for a random resized crop; null: none"
    )
    flip: Fraction = Field(default=0.0, description="probability of a left-right flip")
    jitter: Jitter | None = Field(default=None, description="random changes of colour; null: none")
    grayscale: Fraction = Field(default=0.0, description="probability of losing all colour")
    cutout: Annotated[int, Field(ge=0)] = Field(
        default=0, description="side of a square that is blanked, in pixels; 0: none"
    )

    @model_validator(mode="after")
    def _crops(self) -> "Augment":
        if self.resized_crop is not None and self.resized_crop[0] > self.resized_crop[1]:
            raise ValueError(f"resized_crop is {list(self.resized_crop)}; the first share must not exceed the second")
        if self.resized_crop is not None and self.crop_padding:
            raise ValueError(
                f"crop_padding is {self.crop_padding} and resized_crop is set; choose one of the two crops"
            )
        return self


class ResNet32(Settings):
    """The CIFAR ResNet-32 of the long-tail papers, 0.46 million parameters."""

    kind: Literal["resnet32"] = Field(default="resnet32", description="which backbone")


class ResNet9(Settings):
    """A wide shallow network, faster per accuracy on small images."""

    kind: Literal["resnet9"] = Field(default="resnet9", description="which backbone")
    width: AtLeastOne = Field(default=32, description="channels of the first layer")


class Timm(Settings):
    """Any model of the timm library."""

    kind: Literal["timm"] = Field(default="timm", description="which backbone")
    name: str = Field(default="resnet50", description="name of the model, as timm.list_models() gives it")
    pretrained: bool = Field(default=False, description="start from timm's pretrained weights")


class LinearHead(Settings):
    """One linear layer."""

    kind: Literal["linear"] = Field(default="linear", description="which classifier")


class CosineHead(Settings):
    """Scaled cosine between features and class weights."""

    kind: Literal["cosine"] = Field(default="cosine", description="which classifier")
    scale: Positive = Field(default=30.0, description="factor of the cosines: logits lie between minus and plus this")


Network = Annotated[ResNet32 | ResNet9 | Timm, Field(discriminator="kind")]
Head = Annotated[LinearHead | CosineHead, Field(discriminator="kind")]


class Parabolic(Settings):
    """1 - (epoch / epochs) ** 2, the paper's."""

    kind: Literal["parabolic"] = Field(default="parabolic", description="which course the weight takes")


class Linear(Settings):
    """1 - epoch / epochs."""

    kind: Literal["linear"] = Field(default="linear", description="which course the weight takes")


class Cosine(Settings):
    """A quarter of a cosine."""

    kind: Literal["cosine"] = Field(default="cosine", description="which course the weight takes")


class Constant(Settings):
    """The same weight all the time."""

    kind: Literal["constant"] = Field(default="constant", description="which course the weight takes")
    value: Fraction = Field(default=0.5, description="the weight of the feature branch")


class Switch(Settings):
    """1 until a fraction of the training, then 0: two stages."""

    kind: Literal["step"] = Field(default="step", description="which course the weight takes")
    at: Fraction = Field(default=0.5, description="fraction of the training after which the weight is 0")


Alpha = Annotated[Parabolic | Linear | Cosine | Constant | Switch, Field(discriminator="kind")]


class Projection(Settings):
    """The MLP of the feature branch."""

    hidden: AtLeastOne | None = Field(default=None, description="width of the hidden layer; null: that of the features")
    dim: AtLeastOne = Field(default=128, description="length of the embeddings")


class CrossEntropy(Settings):
    """Plain cross-entropy."""

    kind: Literal["ce"] = Field(default="ce", description="which method")
    sampling: Literal["instance", "balanced"] = Field(default="instance", description="how images are drawn")


class HybridSC(Settings):
    """Supervised contrastive loss beside cross-entropy."""

    kind: Literal["hybrid-sc"] = Field(default="hybrid-sc", description="which method")
    temperature: Positive = Field(default=0.1, description="divides the cosine similarities of the contrastive loss")
    alpha: Alpha = Field(default=Parabolic(), description="weight of the feature branch over time")
    projection: Projection = Field(default=Projection(), description="the MLP of the feature branch")
    chunk: AtLeastOne | None = Field(
        default=None, description="images that go through the network at once, to save memory; null: all"
    )


class HybridPSC(Settings):
    """Prototypical contrastive loss beside cross-entropy."""

    kind: Literal["hybrid-psc"] = Field(default="hybrid-psc", description="which method")
    temperature: Positive = Field(default=0.1, description="divides the cosine similarities of the contrastive loss")
    alpha: Alpha = Field(default=Parabolic(), description="weight of the feature branch over time")
    projection: Projection = Field(default=Projection(), description="the MLP of the feature branch")
    prototypes_per_class: AtLeastOne = Field(
        default=1, description="M; the exponentials of a class's M similarities are summed"
    )
    chunk: AtLeastOne | None = Field(
        default=None, description="images that go through the network at once, to save memory; null: all"
    )


class SGD(Settings):
    """Stochastic gradient descent with momentum."""

    lr: Positive = Field(description="learning rate after warm-up")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="share of the last update that is kept; 0: none"
    )
    nesterov: bool = Field(default=False, description="use Nesterov's form of momentum")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=1e-4, description="of every parameter, prototypes and biases too; 0: none"
    )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGD":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is true and momentum is 0; Nesterov's method needs a momentum above 0")
        return self


Warmup = Annotated[
    float, Field(ge=0, lt=1, description="fraction of the steps in which the learning rate rises from near 0; 0: none")
]


class StepDecay(Settings):
    """Multiply the learning rate by a factor at milestones."""

    kind: Literal["step"] = Field(default="step", description="which course the learning rate takes")
    warmup: Warmup = 0.0
    milestones: Annotated[tuple[Fraction, ...], Listed] = Field(
        default=(0.6, 0.8), description="fractions of the training"
    )
    factor: Positive = Field(default=0.1, description="by which each milestone multiplies the learning rate")


class CosineDecay(Settings):
    """Half a cosine down to 0."""

    kind: Literal["cosine"] = Field(default="cosine", description="which course the learning rate takes")
    warmup: Warmup = 0.0


class OneCycle(Settings):
    """A linear rise and a linear fall to 0."""

    kind: Literal["one-cycle"] = Field(default="one-cycle", description="which course the learning rate takes")
    warmup: Warmup = 0.1


class ConstantRate(Settings):
    """The same learning rate all the time, after warm-up."""

    kind: Literal["constant"] = Field(default="constant", description="which course the learning rate takes")
    warmup: Warmup = 0.0


class Groups(Settings):
    """Bounds of the many-, medium- and few-shot classes, in training images."""

    many: Annotated[int, Field(ge=0)] = Field(default=100, description="more images than this")
    few: Annotated[int, Field(ge=0)] = Field(default=20, description="fewer images than this")

    @model_validator(mode="after")
    def _ordered(self) -> "Groups":
        if self.few > self.many:
            raise ValueError(f"few is {self.few} and many is {self.many}; few must not exceed many")
        return self


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
    batch_size: AtLeastOne = Field(description="images a stream and step, over all processes")
    accumulate: AtLeastOne = Field(
        default=1, description="forward passes a step; a contrastive loss compares within one pass"
    )
    clip: Positive | None = Field(default=None, description="largest norm of the gradient; null: no clipping")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="decay of an exponential moving average of the weights, used to predict; null: none"
    )
    precision: Literal["fp64", "fp32", "bf16", "fp16"] = Field(
        default="fp32", description="of the networks; losses are never below float32; fp64 is for proofs"
    )
    sync_batchnorm: bool = Field(default=True, description="share batch statistics between processes")
    evaluate_every: AtLeastOne = Field(
        default=1, description="epochs between evaluations; the last epoch is always evaluated"
    )
    log_every: AtLeastOne = Field(default=10, description="steps between lines of metrics.jsonl")
    tensorboard: bool = Field(default=True, description="write TensorBoard event files too")
    split: Literal["test", "validation"] = Field(
        default="test", description="what is evaluated; tune on validation only"
    )
    groups: Groups = Field(default=Groups(), description="which classes are called many-, medium- and few-shot")
    data: Data = Field(description="which images there are to learn from")
    augment: Augment = Field(description="random changes of the training images, and the normalisation of all images")
    network: Network = Field(description="the backbone: images to features")
    head: Head = Field(default=LinearHead(), description="the classifier: features to logits")
    method: Annotated[CrossEntropy | HybridSC | HybridPSC, Field(discriminator="kind")] = Field(
        description="what is minimised"
    )
    optimizer: SGD = Field(description="SGD, on all parameters alike")
    schedule: Annotated[StepDecay | CosineDecay | OneCycle | ConstantRate, Field(discriminator="kind")] = Field(
        description="of the learning rate, over the training"
    )
    published: Published | None = Field(default=None, description="the paper's figure for this row")

    @model_validator(mode="after")
    def _something_to_evaluate(self) -> "Recipe":
        if self.split == "validation" and self.data.validation == 0:
            raise ValueError("split is validation and data.validation is 0; hold out at least 1 image per class")
        return self


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: 1e-4 is a number, and a setting that stands twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes texts that `_Loader` would take for numbers."""


# PyYAML follows YAML 1.1, in which a number with an exponent needs a dot and a sign.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def _read_yaml(text: str, what: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark and "\n" in text.strip() else ""
        raise ValueError(f"{what} is not right as YAML: {where}{error.problem}") from error
    # A value in the form of a date or an integer that is none is only noticed when it is made.
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{what} is not right as YAML: {' '.join(str(error).split())}") from error


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with the package, sorted, numbers by their size.

    >>> "cifar100-lt-100/hybrid-psc" in shipped()
    True
    """
    folders = (folder for folder in _folder().iterdir() if folder.is_dir())
    files = (f"{folder.name}/{file.name}" for folder in folders for file in folder.iterdir())
    names = (file.removesuffix(".yaml") for file in files if file.endswith(".yaml"))
    return tuple(sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]))


def _folder() -> Traversable:
    return files("longtail") / "recipes"


def text_of(name: str) -> str:
    """The YAML text of a shipped recipe or of a file.

    Args:
        name: a shipped name, or the path of a YAML file.
    Raises: ValueError if there is no such recipe; the nearest names are suggested.
    """
    if name in shipped():
        return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(_unknown_recipe(name)) from error
    except IsADirectoryError as error:
        is_run = (Path(name) / "recipe.yaml").is_file()
        advice = "continue a run with longtail resume" if is_run else "give a YAML file or a shipped recipe"
        raise ValueError(f"recipe {name!r} is a folder; {advice} (longtail recipes lists all)") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"recipe {name!r} is not text in UTF-8") from error
    except OSError as error:
        raise ValueError(f"recipe {mistakes.shown(name)} cannot be read: {error.strerror}") from error


def _unknown_recipe(name: str) -> str:
    of_folder = [each for each in shipped() if name and each.startswith(f"{name.rstrip('/')}/")]
    similar = difflib.get_close_matches(name.removesuffix(".yaml"), shipped(), n=2, cutoff=0.5)
    hint = f"; did you mean {mistakes.either(of_folder or similar)}?" if of_folder or similar else ""
    return f"unknown recipe {mistakes.shown(name)}: neither shipped nor a file{hint} (longtail recipes lists all)"


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and override some of its settings.

    Args:
        name: a shipped name, or the path of a YAML file.
        overrides: texts such as `method.temperature=0.07`; the value is YAML. Another `kind` of a block starts that
            block from its defaults, wherever in the list it stands. Of two values for one setting the last counts.
    Raises: ValueError, in one line, for an unknown recipe, an unknown setting (with the nearest), or a bad value.

    >>> load("digits-lt/hybrid-psc", ["epochs=3", "method.alpha.kind=linear"]).method.alpha
    Linear(kind='linear')
    """
    raw = _read_yaml(text_of(name), name)
    if not isinstance(raw, dict):
        held = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise ValueError(f"{name} holds {held}; a recipe is a mapping of settings, such as epochs: 200")
    raw["name"] = raw.get("name") or (name if name in shipped() else Path(name).stem)
    assigned = [_parse(override) for override in overrides]
    # Blocks before what is in them, and kinds first: they reset a block in which other overrides then set their values.
    for keys, value in sorted(assigned, key=lambda item: (len(item[0]), item[0][-1] != "kind")):
        _assign(raw, keys, value)
    return parse(raw)


def parse(raw: dict[str, Any]) -> Recipe:
    """Check settings.

    Raises: ValueError with the first mistake and the names of others, in one line.
    """
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise ValueError(mistakes.explain(error, raw, schema=schema(), names=names())) from error


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out; reading it gives the same recipe."""
    return yaml.dump(recipe.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, by which editors complete and check it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def _parse(override: str) -> tuple[list[str], Any]:
    name, equals, value = override.partition("=")
    keys = name.strip().split(".")
    if not (equals and all(keys)):
        raise ValueError(f"--set {override!r} is not of the form name=value, as in method.temperature=0.07")
    return keys, _read_yaml(value, f"--set {override!r}")


def _assign(raw: dict[str, Any], keys: list[str], value: Any) -> None:
    block = raw
    for key in keys[:-1]:
        if not isinstance(block.get(key), dict):
            block[key] = {}
        block = block[key]
    if block is not raw and keys[-1] == "kind" and block.get("kind") != value:
        block.clear()
    block[keys[-1]] = value


def names(settings: type[BaseModel] = Recipe, prefix: str = "") -> tuple[str, ...]:
    """All settings there are, dotted, those of every kind of a block included.

    >>> "method.alpha.at" in names()
    True
    """
    found: dict[str, None] = {}
    for field, info in settings.model_fields.items():
        found[prefix + field] = None
        for block in _blocks(info.annotation):
            found.update(dict.fromkeys(names(block, f"{prefix}{field}.")))
    return tuple(found)


def _blocks(annotation: Any) -> Iterator[type[BaseModel]]:
    """The groups of settings within a type: itself, or the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _blocks(part)
