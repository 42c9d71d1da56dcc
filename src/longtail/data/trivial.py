"""TrivialAugment: one random operation of random strength for each image."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

STRONGEST = 30  # level of an operation; 0 is the weakest
_Pixels = UInt8[Tensor, "n 3 h w"]


def _sheared(images: _Pixels, *, across: float = 0.0, down: float = 0.0) -> Tensor:
    degrees = [math.degrees(math.atan(slope)) for slope in (across, down)]
    return tv.affine(images, angle=0.0, translate=[0, 0], scale=1.0, shear=degrees, center=[0.0, 0.0])


def _moved(images: _Pixels, right: int, down: int) -> Tensor:
    return tv.affine(images, angle=0.0, translate=[right, down], scale=1.0, shear=[0.0, 0.0])


def _slope(level: int) -> float:
    return 0.99 * level / STRONGEST


def _factor(level: int) -> float:
    return 1 + _slope(level)


# The sign of the level counts for these.
_BOTH_WAYS: tuple[Callable[[_Pixels, int], Tensor], ...] = (
    lambda images, level: _sheared(images, across=_slope(level)),
    lambda images, level: _sheared(images, down=_slope(level)),
    lambda images, level: _moved(images, int(32 * level / STRONGEST), 0),
    lambda images, level: _moved(images, 0, int(32 * level / STRONGEST)),
    lambda images, level: tv.rotate(images, 135 * level / STRONGEST),
    lambda images, level: tv.adjust_brightness(images, _factor(level)),
    lambda images, level: tv.adjust_saturation(images, _factor(level)),
    lambda images, level: tv.adjust_contrast(images, _factor(level)),
    lambda images, level: tv.adjust_sharpness(images, _factor(level)),
)
_ONE_WAY: tuple[Callable[[_Pixels, int], Tensor], ...] = (
    lambda images, level: tv.posterize(images, round(8 - 6 * abs(level) / STRONGEST)),
    lambda images, level: tv.solarize(images, 255 - 255 * abs(level) / STRONGEST),
    lambda images, _: tv.autocontrast(images),
    lambda images, _: tv.equalize(images),
    lambda images, _: images,
)
_ALL = _BOTH_WAYS + _ONE_WAY
OPERATIONS, NOTHING = len(_ALL), len(_ALL) - 1  # how many, and the one that leaves an image as it is


def trivial(images: _Pixels, operations: Int[Tensor, " n"], levels: Int[Tensor, " n"]) -> _Pixels:
    """Change each image by one operation of geometry or colour, with black where nothing is left of it.

    Args:
        images: `(N, 3, H, W)`, 0..255.
        operations: `(N,)`, in `[0, OPERATIONS)`: two shears, two shifts, rotation, brightness, saturation, contrast,
            sharpness, posterising, solarising, stretched contrast, equalised histogram, nothing.
        levels: `(N,)`, in `[-STRONGEST, STRONGEST]`; the sign counts for the first nine alone.
    Returns: `(N, 3, H, W)`.
    Source: Müller and Hutter 2021, arXiv:2103.10158, in its wide ranges; torchvision does the operations.

    >>> trivial(torch.full((1, 3, 8, 8), 200, dtype=torch.uint8), torch.tensor([5]), torch.tensor([-30])).unique()
    tensor([2], dtype=torch.uint8)
    """
    done = images.clone()
    kinds, kind = torch.stack([operations, levels], 1).unique(dim=0, return_inverse=True)
    for number, (operation, level) in enumerate(kinds.tolist()):
        chosen = (kind == number).nonzero()[:, 0].to(images.device)
        done[chosen] = _ALL[operation](images[chosen], level)
    return done
