"""Settings of the data: which images there are to learn from, and how they are changed at random."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from longtail.recipe.base import AtLeastOne, Colour, Fraction, Listed, Positive, Settings


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
