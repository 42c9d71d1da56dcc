"""Recipes: every setting of a training, read from YAML, checked, and never changed after."""

import difflib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Colour = tuple[Fraction, Fraction, Fraction]


class Settings(BaseModel):
    """A group of settings: unknown names are errors, and values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Settings):
    """Which images there are to learn from."""

    name: Literal["digits", "cifar10", "cifar100", "inaturalist2018"]
    profile: Literal["exponential", "pareto", "step", "natural"] = Field(
        "exponential", description="how the class counts fall; natural takes all images as they are"
    )
    imbalance: Annotated[float, Field(ge=1)] = Field(
        100, description="images of the most frequent class over those of the rarest; not used by natural"
    )
    n_max: AtLeastOne | None = Field(
        None, description="images of the most frequent class; null: as many as every class has"
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="chooses the images; the same for every run, unlike the seed"
    )
    validation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="images per class held out of training; null: a tenth of n_max if split is validation, else 0"
    )
    image_size: Annotated[int, Field(ge=8)] | None = Field(
        None, description="side in pixels to which images are cropped and resized; null: as they are, all of one size"
    )
    in_memory: bool = Field(True, description="decode all images once, before training; false: in every step")
    workers: Annotated[int, Field(ge=0)] = Field(0, description="processes that decode, if not in_memory")

    @model_validator(mode="after")
    def _workers_have_work(self) -> "Data":
        if self.in_memory and self.workers:
            raise ValueError(
                f"workers is {self.workers}, but images are in memory; set in_memory to false or workers to 0"
            )
        return self


class Jitter(Settings):
    """Random changes of colour, as torchvision's ColorJitter."""

    brightness: Annotated[float, Field(ge=0)] = 0.4
    contrast: Annotated[float, Field(ge=0)] = 0.4
    saturation: Annotated[float, Field(ge=0)] = 0.4
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    probability: Fraction = 0.8


class Augment(Settings):
    """Random changes of the training images, and the normalisation of all images."""

    mean: Colour = Field(description="of the colours, for images in 0..1")
    std: tuple[Positive, Positive, Positive] = Field(description="of the colours, for images in 0..1")
    crop_padding: Annotated[int, Field(ge=0)] = Field(
        0, description="random crop after padding by so many black pixels"
    )
    resized_crop: tuple[Positive, Fraction] | None = Field(
        None, description="smallest and largest share of the area for a random resized crop; null: none"
    )
    flip: Fraction = Field(0.0, description="probability of a left-right flip")
    jitter: Jitter | None = None
    grayscale: Fraction = Field(0.0, description="probability of losing all colour")
    cutout: Annotated[int, Field(ge=0)] = Field(0, description="side of a square that is blanked, in pixels; 0: none")

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

    kind: Literal["resnet32"] = "resnet32"


class ResNet9(Settings):
    """A wide shallow network, faster per accuracy on small images."""

    kind: Literal["resnet9"] = "resnet9"
    width: AtLeastOne = Field(32, description="channels of the first layer")


class Timm(Settings):
    """Any model of the timm library."""

    kind: Literal["timm"] = "timm"
    name: str = "resnet50"
    pretrained: bool = False


class LinearHead(Settings):
    """One linear layer."""

    kind: Literal["linear"] = "linear"


class CosineHead(Settings):
    """Scaled cosine between features and class weights."""

    kind: Literal["cosine"] = "cosine"
    scale: Positive = 30.0


Network = Annotated[ResNet32 | ResNet9 | Timm, Field(discriminator="kind")]
Head = Annotated[LinearHead | CosineHead, Field(discriminator="kind")]


class Parabolic(Settings):
    """1 - (epoch / epochs) ** 2, the paper's."""

    kind: Literal["parabolic"] = "parabolic"


class Linear(Settings):
    """1 - epoch / epochs."""

    kind: Literal["linear"] = "linear"


class Cosine(Settings):
    """A quarter of a cosine."""

    kind: Literal["cosine"] = "cosine"


class Constant(Settings):
    """The same weight all the time."""

    kind: Literal["constant"] = "constant"
    value: Fraction = 0.5


class Switch(Settings):
    """1 until a fraction of the training, then 0: two stages."""

    kind: Literal["step"] = "step"
    at: Fraction = 0.5


Alpha = Annotated[Parabolic | Linear | Cosine | Constant | Switch, Field(discriminator="kind")]


class Projection(Settings):
    """The MLP of the feature branch."""

    hidden: AtLeastOne | None = Field(default=None, description="width of the hidden layer; null: that of the features")
    dim: AtLeastOne = Field(default=128, description="length of the embeddings")


class CrossEntropy(Settings):
    """Plain cross-entropy."""

    kind: Literal["ce"] = "ce"
    sampling: Literal["instance", "balanced"] = Field("instance", description="how images are drawn")


class HybridSC(Settings):
    """Supervised contrastive loss beside cross-entropy."""

    kind: Literal["hybrid-sc"] = "hybrid-sc"
    temperature: Positive = 0.1
    alpha: Alpha = Field(Parabolic(), description="weight of the feature branch over time")
    projection: Projection = Projection()


class HybridPSC(Settings):
    """Prototypical contrastive loss beside cross-entropy."""

    kind: Literal["hybrid-psc"] = "hybrid-psc"
    temperature: Positive = 0.1
    alpha: Alpha = Field(Parabolic(), description="weight of the feature branch over time")
    projection: Projection = Projection()
    prototypes_per_class: AtLeastOne = 1


class SGD(Settings):
    """Stochastic gradient descent with momentum."""

    lr: Positive = Field(description="learning rate after warm-up")
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGD":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is true and momentum is 0; Nesterov's method needs a momentum above 0")
        return self


Warmup = Annotated[float, Field(ge=0, lt=1, description="fraction of the training in which the learning rate rises")]


class StepDecay(Settings):
    """Multiply the learning rate by a factor at milestones."""

    kind: Literal["step"] = "step"
    warmup: Warmup = 0.0
    milestones: tuple[Fraction, ...] = Field((0.6, 0.8), description="fractions of the training")
    factor: Positive = 0.1


class CosineDecay(Settings):
    """Half a cosine down to 0."""

    kind: Literal["cosine"] = "cosine"
    warmup: Warmup = 0.0


class OneCycle(Settings):
    """A linear rise and a linear fall to 0."""

    kind: Literal["one-cycle"] = "one-cycle"
    warmup: Warmup = 0.1


class ConstantRate(Settings):
    """The same learning rate all the time, after warm-up."""

    kind: Literal["constant"] = "constant"
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

    top1: Fraction
    source: str


class Recipe(Settings):
    """All settings of a training."""

    name: str = Field("", description="for people; the shipped name or the file's stem if empty")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    epochs: AtLeastOne = Field(description="passes over the natural training set")
    batch_size: AtLeastOne = Field(description="images a stream and step, over all processes")
    accumulate: AtLeastOne = Field(1, description="forward passes a step; a contrastive loss compares within one pass")
    clip: Positive | None = Field(None, description="largest norm of the gradient; null: no clipping")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of an exponential moving average of the weights, used to predict; null: none"
    )
    precision: Literal["fp64", "fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the networks; losses are never below float32; fp64 is for proofs"
    )
    sync_batchnorm: bool = Field(True, description="share batch statistics between processes")
    evaluate_every: AtLeastOne = Field(1, description="epochs between evaluations; the last epoch is always evaluated")
    log_every: AtLeastOne = Field(10, description="steps between lines of metrics.jsonl")
    tensorboard: bool = Field(True, description="write TensorBoard event files too")
    split: Literal["test", "validation"] = Field("test", description="what is evaluated; tune on validation only")
    groups: Groups = Groups()
    data: Data
    augment: Augment
    network: Network
    head: Head = LinearHead()
    method: Annotated[CrossEntropy | HybridSC | HybridPSC, Field(discriminator="kind")]
    optimizer: SGD
    schedule: Annotated[StepDecay | CosineDecay | OneCycle | ConstantRate, Field(discriminator="kind")]
    published: Published | None = Field(None, description="the paper's figure for this row")

    @model_validator(mode="after")
    def _something_to_evaluate(self) -> "Recipe":
        if self.split == "validation" and self.data.validation == 0:
            raise ValueError("split is validation and data.validation is 0; hold out at least 1 image per class")
        return self


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with the package, sorted.

    >>> "cifar100-lt-100/hybrid-psc" in shipped()
    True
    """
    folders = (folder for folder in _folder().iterdir() if folder.is_dir())
    names = (f"{folder.name}/{file.name.removesuffix('.yaml')}" for folder in folders for file in folder.iterdir())
    return tuple(sorted(names))


def _folder() -> Traversable:
    return files("longtail") / "recipes"


def text_of(name: str) -> str:
    """The YAML text of a shipped recipe or of a file.

    Args:
        name: a shipped name, or the path of a YAML file.
    Raises: ValueError if there is no such recipe; the nearest name is suggested.
    """
    if name in shipped():
        return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError) as error:
            raise ValueError(f"{name} cannot be read as text: {error}") from error
    nearest = difflib.get_close_matches(name, shipped(), n=1, cutoff=0.3)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(f"unknown recipe {name!r}: neither shipped nor a file{hint} (longtail recipes lists all)")


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and override some of its settings.

    Args:
        name: a shipped name, or the path of a YAML file.
        overrides: texts such as `method.temperature=0.07`; the value is YAML. Another `kind` of a block starts that
            block from its defaults.
    Raises: ValueError, in one line, for an unknown recipe, an unknown setting (with the nearest), or a bad value.

    >>> load("digits-lt/hybrid-psc", ["epochs=3", "method.alpha.kind=linear"]).method.alpha
    Linear(kind='linear')
    """
    try:
        raw = yaml.safe_load(text_of(name))
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{name} holds {type(raw).__name__}; a recipe is a mapping of settings")
    raw["name"] = raw.get("name") or (name if name in shipped() else Path(name).stem)
    assigned = [_parse(override) for override in overrides]
    # Kinds first: they reset a block in which other overrides then set their values.
    for keys, value in sorted(assigned, key=lambda item: item[0][-1] != "kind"):
        _assign(raw, keys, value)
    return parse(raw)


def parse(raw: dict[str, Any]) -> Recipe:
    """Check settings.

    Raises: ValueError with the first mistake, in one line.
    """
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise ValueError(_explain(error, raw)) from error


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out; reading it gives the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _parse(override: str) -> tuple[list[str], Any]:
    name, equals, value = override.partition("=")
    if not (equals and name.strip()):
        raise ValueError(f"--set {override!r} is not of the form name=value, as in method.temperature=0.07")
    try:
        return name.strip().split("."), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {override!r}: the value is not YAML") from error


def _assign(raw: dict[str, Any], keys: list[str], value: Any) -> None:
    block = raw
    for key in keys[:-1]:
        if not isinstance(block.get(key), dict):
            block[key] = {}
        block = block[key]
    if keys[-1] == "kind" and block.get("kind") != value:
        block.clear()
    block[keys[-1]] = value


def _explain(error: ValidationError, raw: dict[str, Any]) -> str:
    """The first mistake in words: which setting, what it is, what is allowed."""
    problems = error.errors(include_url=False)
    first = problems[0]
    name = _dotted(first["loc"], raw)
    match first["type"]:
        case "extra_forbidden":
            nearest = difflib.get_close_matches(name, names(), n=1, cutoff=0.5)
            text = f"unknown setting {name}" + (f"; did you mean {nearest[0]}?" if nearest else "")
        case "missing":
            text = f"setting {name} is missing"
        case "value_error":
            reason = first["msg"].removeprefix("Value error, ")
            text = f"{name}: {reason}" if name else reason
        case _:
            allowed = first["msg"].removeprefix("Input should be ")
            text = f"{name} is {first['input']!r}; allowed: {allowed}"
    more = len(problems) - 1
    return text + (f" (and {more} more mistake{'s' * (more > 1)})" if more else "")


def _dotted(location: tuple[int | str, ...], raw: Any) -> str:
    """A pydantic location as the user writes it: without the tags of unions."""
    parts = []
    for part in location:
        if isinstance(raw, dict) and part not in raw and part == raw.get("kind"):
            continue
        parts.append(str(part))
        raw = raw.get(part) if isinstance(raw, dict) else None
    return ".".join(parts)


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
