"""TrivialAugment: one random operation of random strength for each image, all images of a kind at once."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

STRONGEST = 30  # level of an operation; 0 is the weakest
_SHEAR_X, _SHEAR_Y, _SHIFT_X, _SHIFT_Y, _ROTATION, _BRIGHTNESS, _SATURATION, _CONTRAST, _SHARPNESS = range(9)
_POSTERISE, _SOLARISE, _STRETCH, _EQUALISE, NOTHING = range(9, 14)  # the sign of the level does not count for these
OPERATIONS = NOTHING + 1  # how many

_Pixels = UInt8[Tensor, "n 3 h w"]
_Kinds = Int[Tensor, " n"]
_Levels = Int[Tensor, " n"]
_Change = Callable[[_Pixels, _Kinds, _Levels], Tensor]


def apply(images: _Pixels, operations: _Kinds, levels: _Levels) -> _Pixels:
    """Change each image by one operation of geometry or colour, with black where nothing is left of it.

    Args:
        images: `(N, 3, H, W)`, 0..255.
        operations: `(N,)`, in `[0, OPERATIONS)`: two shears, two shifts, rotation, brightness, saturation, contrast,
            sharpness, posterising, solarising, stretched contrast, equalised histogram, nothing.
        levels: `(N,)`, in `[-STRONGEST, STRONGEST]`; the sign counts for the first nine alone.
    Returns: `(N, 3, H, W)`.
    Source: Müller and Hutter 2021, arXiv:2103.10158, in its wide ranges. torchvision's `TrivialAugmentWide` rounds
        magnitudes to float32 first, which can move a shift by a pixel or a threshold by one value.

    >>> apply(torch.full((1, 3, 8, 8), 200, dtype=torch.uint8), torch.tensor([5]), torch.tensor([-30])).unique()
    tensor([2], dtype=torch.uint8)
    """
    done = images.clone()
    for kinds, change in _CHANGES:
        (rows,) = torch.isin(operations, torch.tensor(kinds, device=operations.device)).nonzero(as_tuple=True)
        if len(rows):
            here = rows.to(images.device)
            done[here] = change(images[here], operations[rows], levels[rows]).to(torch.uint8)
    return done


def _moved(images: _Pixels, operations: _Kinds, levels: _Levels) -> Tensor:
    """Sheared about the upper left corner, shifted by up to 32 pixels or turned about the centre by up to 135 degrees.

    Each pixel takes the value of the one nearest to `back @ (x, y, 1)`: from the centre, in units of half an image.
    """
    height, width = images.shape[2:]

    def of(kind: int, strongest: float) -> Tensor:
        return torch.where(operations == kind, _strengths(levels, strongest), 0.0)

    across, down = of(_SHEAR_X, 0.99), of(_SHEAR_Y, 0.99)
    right, lower = of(_SHIFT_X, 32).trunc(), of(_SHIFT_Y, 32).trunc()
    angle = torch.deg2rad(of(_ROTATION, 135))
    first = [angle.cos(), (across - angle.sin()) * height / width, (across * height - 2 * right) / width]
    second = [(down + angle.sin()) * width / height, angle.cos(), (down * width - 2 * lower) / height]
    back = torch.stack([torch.stack(row, -1) for row in (first, second)], 1).to(images.device, torch.float32)
    grid = F.affine_grid(back, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _blended(images: _Pixels, operations: _Kinds, levels: _Levels) -> Tensor:
    """Nearer to black, to gray or to its mean, or as far away from it."""
    pixels = images.float()
    gray = tv.rgb_to_grayscale(pixels).floor()
    kind = operations.to(images.device)[:, None, None, None]
    base = torch.where(kind == _SATURATION, gray, gray.mean((1, 2, 3), keepdim=True))
    base = base.masked_fill_(kind == _BRIGHTNESS, 0.0)
    more = _strengths(levels, 0.99)
    return (pixels * _each(1 + more, images) + base * _each(-more, images)).clamp_(0, 255)


def _sharpened(images: _Pixels, _: _Kinds, levels: _Levels) -> Tensor:
    """Nearer to its smoothed self or as far away from it, but for the border."""
    pixels = images.float()
    if min(images.shape[2:]) > 2:
        kernel = torch.ones(3, 1, 3, 3, device=images.device)
        kernel[:, :, 1, 1] = 5
        inner = pixels[:, :, 1:-1, 1:-1]
        smooth = F.conv2d(pixels, kernel / 13, groups=3).round_()
        inner += (smooth - inner) * _each(-_strengths(levels, 0.99), images)
    return pixels.clamp_(0, 255)


def _posterised(images: _Pixels, _: _Kinds, levels: _Levels) -> Tensor:
    """Two to eight bits are left."""
    lost = 8 - (8 - _strengths(levels.abs(), 6)).round().long()
    return images & (256 - 2**lost).to(images.device, torch.uint8)[:, None, None, None]


def _solarised(images: _Pixels, _: _Kinds, levels: _Levels) -> Tensor:
    """Inverted where it is bright."""
    return torch.where(images >= _each(255 - _strengths(levels.abs(), 255), images), ~images, images)


def _strengths(levels: _Levels, strongest: float) -> Float64[Tensor, " n"]:
    return strongest * levels.double() / STRONGEST


def _each(values: Float64[Tensor, " n"], images: _Pixels) -> Float[Tensor, "n 1 1 1"]:
    return values.to(images.device, torch.float32)[:, None, None, None]


_CHANGES: tuple[tuple[list[int], _Change], ...] = (
    ([_SHEAR_X, _SHEAR_Y, _SHIFT_X, _SHIFT_Y, _ROTATION], _moved),
    ([_BRIGHTNESS, _SATURATION, _CONTRAST], _blended),
    ([_SHARPNESS], _sharpened),
    ([_POSTERISE], _posterised),
    ([_SOLARISE], _solarised),
    ([_STRETCH], lambda images, *_: tv.autocontrast(images)),
    ([_EQUALISE], lambda images, *_: tv.equalize(images)),
)
