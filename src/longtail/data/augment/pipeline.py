"""The augmentation pipeline: uint8 batch -> normalised float views, drawn by (seed, stream, step)."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from longtail.data.augment import trivial_augment
from longtail.data.augment.pixels import (
    color_jitter,
    crop,
    cutmix,
    cutout,
    flip,
    grayscale,
    resized_crop,
    shrink,
    window,
    with_shorter_side,
)
from longtail.data.batches import Batch, Mixed
from longtail.data.crops import box_sides, central_sides

_CACHED = 2**20  # numbers that stay in a processor's cache


@dataclass(frozen=True)
class Jitter:
    """Random colours: how far each quality may move, and how often an image is touched at all.

    Args:
        brightness, contrast, saturation: the factor is uniform in `[max(0, 1 - value), 1 + value]`; 0 is off.
        hue: the shift, in turns of the colour circle, is uniform in `[-hue, hue]`; at most 0.5; 0 is off.
        probability: of changing an image, in `[0, 1]`.
    Raises: ValueError if a value is outside its range.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            _check(name, getattr(self, name), 0.0, math.inf)
        _check("hue", self.hue, 0.0, 0.5)
        _check("probability", self.probability, 0.0, 1.0)


@dataclass(frozen=True)
class Augmentation:
    """What happens to an image, in this order: a crop, flip, TrivialAugment, jitter, grayscale, normalisation, cutout,
    CutMix.

    Args:
        mean, std: of each channel of images in 0..1; `std` above 0.
        crop_padding: a random crop of the same size after so many zero pixels were added on each side; 0 is off.
        resized_crop: smallest and largest area of a random box (as fractions of the image, above 0, at most 1;
            aspect 3/4 to 4/3) that is resized to the whole image; `None` is off.
        flip: probability of a mirror image, left to right.
        trivial_augment: probability of one random operation of random strength, as in `trivial_augment.apply`; its
            authors have 1. If it is above 0, pixels that `resized_crop` has interpolated are rounded to whole values.
        jitter: random colours; `None` is off.
        grayscale: probability of losing all colour.
        cutout: side in pixels of a square set to 0, the mean colour, clipped at the border; 0 is off.
        cutmix: probability of getting a box of another image of the batch, which the labels then share by area.
    Raises: ValueError if a value is outside its range or both crops are on.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_padding: int = 0
    resized_crop: tuple[float, float] | None = None
    flip: float = 0.0
    trivial_augment: float = 0.0
    jitter: Jitter | None = None
    grayscale: float = 0.0
    cutout: int = 0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if not min(self.std) > 0:
            raise ValueError(f"std is {self.std}; every channel must be above 0")
        for name in ("flip", "trivial_augment", "grayscale", "cutmix"):
            _check(name, getattr(self, name), 0.0, 1.0)
        if self.crop_padding < 0 or self.cutout < 0:
            raise ValueError(f"crop_padding is {self.crop_padding} and cutout is {self.cutout}; pixels are at least 0")
        if self.resized_crop and not 0 < self.resized_crop[0] <= self.resized_crop[1] <= 1:
            raise ValueError(f"resized_crop is {self.resized_crop}; smallest and largest area must be in (0, 1]")
        if self.resized_crop and self.crop_padding:
            raise ValueError(
                f"crop_padding is {self.crop_padding} and resized_crop is {self.resized_crop}; only one can be on"
            )


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be in [{low}, {high}]")


@dataclass(frozen=True, eq=False)
class Parameters:
    """Everything random about a batch, on the CPU; `None` for a step that is off.

    Args:
        crop: `(V, B, 2)`, top and left in the padded image, in `[0, 2 * padding]`.
        box: `(V, B, 4)`, top, left, height and width of the box to be resized, in pixels, inside the image.
        flip: `(V, B)`, which images are mirrored.
        trivial_augment: `(V, B, 2)`, operation and level of `trivial_augment.apply`.
        jitter: `(V, B)`, which images change colour.
        factors: `(V, B, 4)`, of brightness, contrast and saturation, and the shift of hue.
        order: `(V, B, 4)`, a permutation of 0..3: which of the four comes first, second, ...
        grayscale: `(V, B)`, which images lose their colour.
        cutout: `(V, B, 2)`, row and column of the centre of the square.
        cutmix: `(V, B, 4)`, top, left, height and width of the box, in pixels, inside the image.
        corner: `(V, B, 2)`, top and left of the part that `small` cuts out, as shares of the room, in `[0, 1)`.
    """

    crop: Int[Tensor, "views batch 2"] | None
    box: Int[Tensor, "views batch 4"] | None
    flip: Bool[Tensor, "views batch"] | None
    trivial_augment: Int[Tensor, "views batch 2"] | None
    jitter: Bool[Tensor, "views batch"] | None
    factors: Float[Tensor, "views batch 4"] | None
    order: Int[Tensor, "views batch 4"] | None
    grayscale: Bool[Tensor, "views batch"] | None
    cutout: Int[Tensor, "views batch 2"] | None
    cutmix: Int[Tensor, "views batch 4"] | None
    corner: Float[Tensor, "views batch 2"]

    def rows(self, index: slice | Int[Tensor, " rows"]) -> "Parameters":
        """The part of one rank or micro-batch: `index` is along dimension B."""
        return replace(self, **{name: value[:, index] for name, value in vars(self).items() if value is not None})


def draw(
    augmentation: Augmentation, *, views: int, batch: int, height: int, width: int, key: tuple[int, ...]
) -> Parameters:
    """Draw all chance of a global batch; a rank then takes its `rows`, so any number of ranks sees the same images.

    Switching one step on or off leaves the chance of the others as it was: all numbers are always drawn.

    Args:
        augmentation: what may happen.
        views, batch: V and B of the global batch.
        height, width: of the images, in pixels.
        key: `(seed, stream, step)`, at least 0 each; it decides everything.

    >>> on = Augmentation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), crop_padding=4)
    >>> draw(on, views=1, batch=2, height=32, width=32, key=(0, 0, 7)).crop
    tensor([[[1, 5],
             [7, 1]]])
    """
    rng = np.random.default_rng(list(key))

    def chance(*per_image: int) -> np.ndarray:
        return rng.random((views, batch, *per_image))

    # One line each and nothing between them, because their order is part of what a key means.
    place, tries, turned, touched = chance(2), chance(10, 2), chance(), chance()
    strength, precedence, colourless, centre = chance(4), chance(4), chance(), chance(2)
    operation, mixing, corner = chance(4), chance(4), chance(2)

    on, jitter = augmentation, augmentation.jitter
    crop = _whole(place, 2 * on.crop_padding + 1) if on.crop_padding else None
    box = _boxes(on.resized_crop, tries, place, height, width) if on.resized_crop else None
    factors = order = None
    if jitter:
        reach = np.array([jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue])
        middle = np.array([1, 1, 1, 0])
        low = np.maximum(middle - reach, [0, 0, 0, -0.5])
        factors = torch.from_numpy((low + strength * (middle + reach - low)).astype(np.float32))
        order = torch.from_numpy(precedence.argsort(-1))
    return Parameters(
        crop=crop,
        box=box,
        flip=torch.from_numpy(turned < on.flip) if on.flip else None,
        trivial_augment=_operations(operation, on.trivial_augment) if on.trivial_augment else None,
        jitter=torch.from_numpy(touched < jitter.probability) if jitter else None,
        factors=factors,
        order=order,
        grayscale=torch.from_numpy(colourless < on.grayscale) if on.grayscale else None,
        cutout=_whole(centre, np.array([height, width])) if on.cutout else None,
        cutmix=_patches(mixing, on.cutmix, np.array([height, width])) if on.cutmix else None,
        corner=torch.from_numpy(corner),
    )


def _whole(chance: np.ndarray, count: int | np.ndarray) -> Tensor:
    """Uniform integers in `[0, count)` from uniform numbers in `[0, 1)`."""
    return torch.from_numpy((chance * count).astype(np.int64))


def _operations(chance: np.ndarray, probability: float) -> Int[Tensor, "views batch 2"]:
    """Operation and level of TrivialAugment from four uniform numbers an image: whether, which, how far, which way."""
    whether, which, far, way = np.moveaxis(chance, -1, 0)
    operation = np.where(whether < probability, np.floor(which * trivial_augment.OPERATIONS), trivial_augment.NOTHING)
    level = np.floor(far * (trivial_augment.STRONGEST + 1)) * np.where(way < 0.5, -1, 1)
    return torch.from_numpy(np.stack([operation, level], -1).astype(np.int64))


def _patches(chance: np.ndarray, probability: float, image: np.ndarray) -> Int[Tensor, "views batch 4"]:
    """Boxes whose share of the image is uniform before they are clipped, from whether, how large, and two for where.

    Source: Yun et al. 2019, arXiv:1905.04899, section 3, with alpha 1.
    """
    whether, area, centre = chance[..., 0], chance[..., 1], chance[..., 2:]
    side = np.where(whether < probability, np.sqrt(area), 0.0)[..., None] * image
    first, end = (np.clip(np.rint(centre * image + half), 0, image) for half in (-side / 2, side / 2))
    return torch.from_numpy(np.concatenate([first, end - first], -1).astype(np.int64))


def _boxes(
    area: tuple[float, float], tries: np.ndarray, place: np.ndarray, height: int, width: int
) -> Int[Tensor, "views batch 4"]:
    """Random boxes: the first of ten tries that fits, else the largest central box of an allowed aspect.

    Args:
        area: smallest and largest, fractions of the image.
        tries: `(V, B, 10, 2)`, uniform in `[0, 1)`: for area and aspect.
        place: `(V, B, 2)`, uniform in `[0, 1)`: for top and left.
        height, width: of the image.
    Returns: `(V, B, 4)`: top, left, height, width.
    Source: Szegedy et al. 2014, arXiv:1409.4842, section 6; ten tries and the central box as torchvision does it.
    """
    share = area[0] + tries[..., 0] * (area[1] - area[0])
    sides = box_sides(height, width, share, (4 / 3) ** (2 * tries[..., 1] - 1))  # (V, B, 10, 2)
    image = np.array([height, width])
    fits = np.all((sides > 0) & (sides <= image), axis=-1)  # (V, B, 10)
    first = np.take_along_axis(sides, fits.argmax(-1)[..., None, None], 2)[:, :, 0]  # (V, B, 2)
    some = np.any(fits, axis=-1, keepdims=True)
    side = np.where(some, first, central_sides(height, width))
    corner = np.where(some, np.floor(place * (image - side + 1)), (image - side) // 2)
    return torch.from_numpy(np.concatenate([corner, side], -1).astype(np.int64))


def augment(
    images: UInt8[Tensor, "views batch 3 h w"], parameters: Parameters, augmentation: Augmentation
) -> Float[Tensor, "views batch 3 h w"]:
    """Apply what was drawn, on the device of the images and outside autocast (resizing is a matrix product).

    Args:
        images: `(V, B, 3, H, W)`, 0..255; may be one image expanded along V.
        parameters: what `draw` gave for this augmentation, or the `rows` that belong to these images.
        augmentation: for what is not random: padding, side of the square, mean and std.
    Returns: `(V, B, 3, H, W)`, float32, normalised.

    >>> on = Augmentation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), flip=0.5)
    >>> images = torch.full((1, 4, 3, 8, 8), 255, dtype=torch.uint8).expand(2, 4, 3, 8, 8)
    >>> augment(images, draw(on, views=2, batch=4, height=8, width=8, key=(0, 0, 0)), on).unique()
    tensor([1.])
    """
    # On a CPU a few images at a time, so that what one step leaves is still in the cache when the next one takes it.
    batch = images.shape[1]
    some = max(1, _CACHED // max(1, images[:, :1].numel())) if images.device.type == "cpu" else batch
    if some >= batch:
        return _augmented(images, parameters, augmentation)
    done = torch.empty(images.shape, dtype=torch.float32)
    for rows in (slice(start, start + some) for start in range(0, batch, some)):
        done[:, rows] = _augmented(images[:, rows], parameters.rows(rows), augmentation)
    return done


def _augmented(
    images: UInt8[Tensor, "views batch 3 h w"], parameters: Parameters, augmentation: Augmentation
) -> Float[Tensor, "views batch 3 h w"]:
    p, padding = parameters, augmentation.crop_padding
    if p.box is not None:
        pixels = resized_crop(images.float().flatten(0, 1), *p.box.flatten(0, 1).unbind(1))
        pixels = pixels if p.flip is None else flip(pixels, p.flip.flatten(), inplace=True)
    elif p.crop is not None:
        mask = torch.zeros(images.shape[:2], dtype=torch.bool) if p.flip is None else p.flip
        top, left = p.crop.unbind(-1)
        pixels = window(images, top, left, mask, padding=padding).flatten(0, 1)
    else:
        pixels = images.flatten(0, 1)  # bytes are mirrored in a fraction of the time that floats take
        pixels = pixels if p.flip is None else flip(pixels, p.flip.flatten())
    if p.trivial_augment is not None:
        pixels = pixels.round().to(torch.uint8) if pixels.is_floating_point() else pixels
        pixels = trivial_augment.apply(pixels, *p.trivial_augment.flatten(0, 1).unbind(1))
    # From here on one float tensor, changed in place: on a CPU, fresh memory costs more than the arithmetic.
    pixels = pixels.float().div_(255)
    if p.jitter is not None and p.factors is not None and p.order is not None:
        pixels = color_jitter(pixels, p.factors.flatten(0, 1), p.order.flatten(0, 1), p.jitter.flatten(), inplace=True)
    if p.grayscale is not None:
        pixels = grayscale(pixels, p.grayscale.flatten(), inplace=True)
    pixels = _standardise_(pixels, augmentation.mean, augmentation.std)
    if p.cutout is not None:
        pixels = cutout(pixels, *p.cutout.flatten(0, 1).unbind(1), side=augmentation.cutout, inplace=True)
    return pixels.unflatten(0, images.shape[:2])


def normalise(
    images: UInt8[Tensor, "*batch 3 h w"], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Float[Tensor, "*batch 3 h w"]:
    """What `augment` gives when every step is off: for evaluation.

    Args:
        images: `(..., 3, H, W)`, 0..255.
        mean, std: of each channel of images in 0..1.
    Returns: `(..., 3, H, W)`, float32, `(image / 255 - mean) / std`.

    >>> normalise(torch.zeros(3, 1, 1, dtype=torch.uint8), (0.5, 0.25, 0.0), (0.5, 0.5, 0.5)).flatten()
    tensor([-1.0000, -0.5000,  0.0000])
    """
    return _standardise_(images.float().div_(255), mean, std)


def _standardise_(
    images: Float[Tensor, "*batch 3 h w"], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Float[Tensor, "*batch 3 h w"]:
    channels = images.new_tensor([mean, std])[..., None, None]  # (2, 3, 1, 1)
    return images.sub_(channels[0]).div_(channels[1])


def mixed(images: Float[Tensor, "views batch 3 h w"], labels: Int[Tensor, " batch"], parameters: Parameters) -> Batch:
    """Mix images as it was drawn, those of a view with each other; what a method learns from.

    Labels are shared as in the first view, so a method that compares several must not be given mixed ones. Rows with
    the same partners in any number of processes need a batch that is a multiple of twice that number.

    Args:
        images: `(V, B, 3, H, W)`, what `augment` gave.
        labels: `(B,)`.
        parameters: what `draw` gave, or the `rows` that belong to these images.
    """
    boxes, (height, width) = parameters.cutmix, images.shape[-2:]
    if boxes is None:
        return Batch(images, labels)
    views = torch.stack([cutmix(view, box) for view, box in zip(images, boxes, strict=True)])
    share = boxes[0, :, 2] * boxes[0, :, 3] / (height * width)
    return Batch(views, labels, Mixed(labels.roll(len(labels) // 2), share.to(labels.device)))


def small(
    images: Float[Tensor, "views batch 3 h w"], parameters: Parameters, *, size: int, scale: float
) -> Float[Tensor, "views batch 3 h2 w2"]:
    """Make images small, for the first stages of a training: shrink them, then cut a random part of the same shape out.

    Args:
        images: `(V, B, 3, H, W)`; small ones stay as they are.
        parameters: what `draw` gave, or the `rows` that belong to these images.
        size: shorter side of the result, in pixels, at least 1.
        scale: images are shrunk to so many times the size before the cut, at least 1, which is all of an image; those
            that are smaller than that are cut as they are.

    >>> on = Augmentation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> drawn = draw(on, views=1, batch=2, height=8, width=12, key=(0, 0, 0))
    >>> small(torch.zeros(1, 2, 3, 8, 12), drawn, size=4, scale=1.5).shape
    torch.Size([1, 2, 3, 4, 6])
    """
    shrunk = shrink(images.flatten(0, 1), round(size * scale))
    part = with_shorter_side(images, size)
    if part != shrunk.shape[-2:]:
        room = torch.tensor([whole - side + 1 for whole, side in zip(shrunk.shape[-2:], part, strict=True)])
        top, left = (parameters.corner.flatten(0, 1) * room).long().unbind(1)
        shrunk = crop(shrunk, top, left, padding=0, size=part)
    return shrunk.unflatten(0, images.shape[:2])
