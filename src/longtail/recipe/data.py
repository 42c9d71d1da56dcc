"""Settings of the data: which images there are to learn from, and how they are changed at random."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from longtail.recipe.fields import AtLeastOne, Colour, Fraction, Listed, Place, Positive, Settings, Share, Text
from longtail.text import yaml_value

Profile = Literal["exponential", "pareto", "step", "natural"]

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1  # of custom data, where nobody says how much


@dataclass(frozen=True)
class Shares:
    """Shares of each class's training images that are held out; 0 is none."""

    test: float
    validation: float


@dataclass(frozen=True)
class Keep:
    """Rare classes stay as they are."""


@dataclass(frozen=True)
class Refuse:
    """A rare class is an error."""


@dataclass(frozen=True)
class Merge:
    """Rare classes become one class of this name."""

    name: str


def _on_rare(text: str) -> Keep | Refuse | Merge:
    match text.partition(":"):
        case "keep", "", "":
            return Keep()
        case "error", "", "":
            return Refuse()
        case "merge", ":", name if name.strip():
            return Merge(name.strip())
        case _:
            raise ValueError(f"on_rare is {text!r}; allowed: keep, error or merge:NAME")


def _formats() -> tuple[str, ...]:
    from longtail.data.sources.detect import names  # pyarrow takes a while: only recipes that set it wait for it

    return names()


def _known_format(name: str) -> str:
    if name not in _formats():
        raise PydanticKnownError("literal_error", {"expected": ", ".join(_formats())})
    return name


# The formats are listed once, where they are read; here they are looked up when a name is checked, or the schema made.
FormatName = Annotated[
    str, AfterValidator(_known_format), Field(json_schema_extra=lambda schema: schema.update(enum=[*_formats()]))
]


class Data(Settings):
    """Which images there are to learn from; `own` is custom data, wherever `path` is."""

    name: Literal["digits", "cifar10", "cifar100", "inaturalist2018", "own"] = Field(description="the data set")
    profile: Profile | None = Field(
        default=None,
        description="how the class counts fall; natural takes all images as they are; "
        "null: natural for custom data, exponential for others",
    )
    imbalance: Annotated[float, Field(ge=1)] = Field(
        default=100, description="images of the most frequent class over those of the rarest; not used by natural"
    )
    n_max: AtLeastOne | None = Field(
        default=None, description="images of the most frequent class; null: as many as every class has"
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="chooses and splits the images; the same for every run, unlike the seed"
    )
    validation: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="images per class held out of training; null: a tenth of n_max, at least 1, if split is "
        "validation; custom data has validation_share instead",
    )
    image_size: Annotated[int, Field(ge=8)] | None = Field(
        default=None,
        description="side in pixels to which images are cropped and resized; null: as they are, all of one size",
    )
    in_memory: bool = Field(default=True, description="decode all images once, before training; false: in every step")
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="processes that decode, if not in_memory")
    path: Place | None = Field(
        default=None, description="custom data: a folder, a manifest, a list, or parquet with images in it"
    )
    form: FormatName | None = Field(
        default=None, description="custom data: as what it is read; null: as its files tell"
    )
    root: Place | None = Field(
        default=None, description="custom data: where paths in a file start; null: where that file is"
    )
    label_column: Text | None = Field(
        default=None, description="custom data: the column of the class; null: the one with a usual name"
    )
    group_by: Text | None = Field(
        default=None,
        description="custom data: a column, or group, location or sequence: images that agree in it stay in one part; "
        "null: the first of these three that tells images apart; none: each image by itself",
    )
    test_share: Share | None = Field(
        default=None,
        description="custom data: share of each class's training images held out for the test, if it gives no test "
        "part; null: 0.2, or 0 if it gives a validation part and split is not test",
    )
    validation_share: Share | None = Field(
        default=None,
        description="custom data: the same for validation; null: 0, or 0.1 if split is validation",
    )
    packed: bool | None = Field(
        default=None,
        description="custom data: keep it decoded, and shrunk to what image_size needs, in a file in the cache folder; "
        "null: true for custom data",
    )
    max_unreadable: Fraction | None = Field(
        default=None,
        description="custom data: share of the images that may be unreadable; null: any, as long as no class vanishes",
    )
    min_images: AtLeastOne | None = Field(
        default=None, description="custom data: a class with fewer readable images is rare; null: none is"
    )
    on_rare: Text = Field(
        default="keep",
        description="custom data: what becomes of rare classes: keep, error, or merge:NAME, which makes them one class",
    )

    @property
    def profile_used(self) -> Profile:
        """How the class counts fall, with the default of this data."""
        return self.profile or ("natural" if self.name == "own" else "exponential")

    @property
    def rare_classes(self) -> Keep | Refuse | Merge:
        """What becomes of rare classes."""
        return _on_rare(self.on_rare)

    def shares(self, given: Collection[str], *, split: str | None) -> Shares:
        """What is held out of the training images of custom data, for parts that it does not give.

        Args:
            given: parts that the data itself gives, of "train", "validation" and "test".
            split: what the recipe says is evaluated.
        Raises: ValueError if a share is asked for of a part that the data gives.

        >>> Data(name="own").shares([], split=None), Data(name="own").shares(["validation"], split=None)
        (Shares(test=0.2, validation=0.0), Shares(test=0.0, validation=0.0))
        """
        for part, share in (("test", self.test_share), ("validation", self.validation_share)):
            if part in given and share is not None:
                raise ValueError(
                    f"data.{part}_share is {share:g}, but the data gives a {part} part of its own; set it to null"
                )
        enough = "validation" in given and split != "test"  # a part to evaluate on is there
        test = self.test_share if self.test_share is not None else 0.0 if enough else TEST_SHARE
        usual = VALIDATION_SHARE if split == "validation" else 0.0
        return Shares(test, usual if self.validation_share is None else self.validation_share)

    @model_validator(mode="after")
    def _fits_the_data(self) -> "Data":
        if self.name == "own" and self.validation is not None:
            raise ValueError(f"validation is {self.validation}, but name is own; set validation_share instead")
        for setting in _OF_CUSTOM_DATA if self.name != "own" else ():
            value = getattr(self, setting)
            if value != type(self).model_fields[setting].default:
                raise ValueError(f"{setting} is {yaml_value(value)}, but name is {self.name}; only custom data has it")
        return self

    @model_validator(mode="after")
    def _natural_is_not_cut(self) -> "Data":
        if self.profile_used == "natural" and self.n_max is not None:
            raise ValueError(f"n_max is {self.n_max}, but profile natural takes all images; set n_max to null")
        return self

    @model_validator(mode="after")
    def _workers_have_work(self) -> "Data":
        if self.in_memory and self.workers:
            raise ValueError(
                f"workers is {self.workers}, but images are in memory; set in_memory to false or workers to 0"
            )
        return self

    @model_validator(mode="after")
    def _something_trains(self) -> "Data":
        test, validation = self.test_share or 0, self.validation_share or 0
        if test + validation >= 1:
            raise ValueError(
                f"test_share is {test:g} and validation_share {validation:g}; together they must be below 1"
            )
        return self

    @model_validator(mode="after")
    def _rare_is_defined(self) -> "Data":
        if self.rare_classes != Keep() and self.min_images is None:
            raise ValueError(f"on_rare is {self.on_rare}, but no class is rare; set min_images")
        return self


_OF_CUSTOM_DATA = (
    *("path", "form", "root", "label_column", "group_by", "test_share", "validation_share"),
    *("packed", "max_unreadable", "min_images", "on_rare"),
)


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


Stage = Annotated[tuple[Fraction, Annotated[int, Field(ge=8)]], Listed]


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
    trivial_augment: Fraction = Field(
        default=0.0,
        description="TrivialAugment: probability of one random operation of random strength, of geometry or colour; "
        "one of the 14 does nothing",
    )
    jitter: Jitter | None = Field(default=None, description="random changes of colour; null: none")
    grayscale: Fraction = Field(default=0.0, description="probability of losing all colour")
    cutout: Annotated[int, Field(ge=0)] = Field(
        default=0, description="side of a square that is blanked, in pixels; 0: none"
    )
    cutmix: Fraction = Field(
        default=0.0,
        description="CutMix: probability of getting a box of another image of the batch; the loss counts both labels, "
        "by area",
    )
    stages: Annotated[tuple[Stage, ...], Listed] = Field(
        default=(),
        description="train on smaller images first, which is faster: fractions of the training, ascending, and the "
        "shorter side in pixels until then, as in [[0.4, 16], [0.7, 24]]; after the last, images are as they are",
    )
    stage_scale: Annotated[float, Field(ge=1, le=4)] = Field(
        default=1.0,
        description="in the stages, images are shrunk to so many times the size, and a random part of the size is cut "
        "out; 1: no cut",
    )

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> "Augment":
        ends = [end for end, _ in self.stages]
        if any(after <= before for before, after in pairwise(ends)):
            raise ValueError(f"stages end at {', '.join(map(str, ends))}; each must end after the one before")
        if self.stage_scale != 1 and not self.stages:
            raise ValueError(
                f"stage_scale is {self.stage_scale:g}, but there are no stages; set stages, or stage_scale to 1"
            )
        return self

    @model_validator(mode="after")
    def _crops(self) -> "Augment":
        if self.resized_crop is not None and self.resized_crop[0] > self.resized_crop[1]:
            raise ValueError(f"resized_crop is {list(self.resized_crop)}; the first share must not exceed the second")
        if self.resized_crop is not None and self.crop_padding:
            raise ValueError(
                f"crop_padding is {self.crop_padding} and resized_crop is set; choose one of the two crops"
            )
        return self
