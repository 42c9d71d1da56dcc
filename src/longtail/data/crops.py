"""Crops: a decoded image of any size to a square of one size."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from longtail.data.source import Pixels


def channels_first(pixels: Pixels) -> UInt8[Tensor, "3 h w"]:
    """A decoded image as networks take it.

    >>> channels_first(np.zeros((2, 5, 3), np.uint8)).shape
    torch.Size([3, 2, 5])
    """
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def shrunk(pixels: Pixels, shorter_side: int | None) -> Pixels:
    """Shrink a whole image until its shorter side is no longer than this; smaller ones, and `None`, change nothing.

    >>> shrunk(np.zeros((40, 30, 3), np.uint8), 15).shape
    (20, 15, 3)
    """
    height, width, _ = pixels.shape
    if shorter_side is None or min(height, width) <= shorter_side:
        return pixels
    scale = shorter_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def resized_side(size: int) -> float:
    """The shorter side of an image before a square of `size` pixels is cut out of its centre, as 256 is for 224.

    >>> resized_side(224)
    256.0
    """
    return size * 8 / 7


def centre_crop(pixels: Pixels, size: int | None) -> Pixels:
    """Resize the shorter side to `resized_side` and cut out the middle; `None` changes nothing.

    >>> centre_crop(np.zeros((40, 30, 3), np.uint8), 16).shape
    (16, 16, 3)
    """
    if size is None:
        return pixels
    image = Image.fromarray(pixels)
    scale = min(image.size) / resized_side(size)
    half = size * scale / 2
    x, y = image.width / 2, image.height / 2
    box = (x - half, y - half, x + half, y + half)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def random_crop(
    pixels: Pixels, size: int, area: tuple[float, float], rng: np.random.Generator
) -> UInt8[Tensor, "3 size size"]:
    """Cut out a random rectangle and resize it to a square, as networks take it.

    PyTorch resizes it, in a third of the time that Pillow takes, to values that differ by at most one.

    Args:
        pixels: of any size.
        size: side of the result in pixels.
        area: smallest and largest share of the image's area.
        rng: where chance comes from.
    Source: Szegedy et al. 2015, arXiv:1409.4842: aspect ratio between 3/4 and 4/3, ten tries, then the whole image's
        centre, as torchvision does.

    >>> random_crop(np.zeros((40, 30, 3), np.uint8), 16, (0.08, 1.0), np.random.default_rng(0)).shape
    torch.Size([3, 16, 16])
    """
    h, w, _ = pixels.shape
    for _ in range(10):
        share, ratio = rng.uniform(*area), math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        height, width = box_sides(h, w, share, ratio).astype(int).tolist()
        if 0 < width <= w and 0 < height <= h:
            x, y = rng.integers(w - width + 1), rng.integers(h - height + 1)
            break
    else:
        height, width = central_sides(h, w).astype(int).tolist()
        x, y = (w - width) // 2, (h - height) // 2
    # Cut first: resize(box=...) of Pillow lets pixels outside of the rectangle in. The copy may be written to.
    cut = torch.from_numpy(pixels[y : y + height, x : x + width].copy()).permute(2, 0, 1)
    return F.interpolate(cut[None], size=(size, size), mode="bilinear", antialias=True)[0]


# The geometry of random resized crops. `random_crop` draws image by image, as the loader meets images of different
# sizes; `augment.pipeline` draws for a whole batch of one size at once, so that any number of processes sees the same.


def box_sides(
    height: int, width: int, share: float | np.ndarray, ratio: float | np.ndarray
) -> Float[np.ndarray, "*batch 2"]:
    """Height and width, in whole pixels, of boxes with a share of an image's area and a ratio of width to height.

    >>> box_sides(40, 30, 0.5, 4 / 3)
    array([21., 28.])
    """
    pixels = height * width * share
    return np.rint(np.sqrt(np.stack([pixels / ratio, pixels * ratio], -1)))


def central_sides(height: int, width: int) -> Float[np.ndarray, "2"]:
    """Height and width of the largest box with a ratio between 3/4 and 4/3, where none of ten random ones fits.

    >>> central_sides(40, 10)
    array([13., 10.])
    """
    return np.minimum([height, width], np.rint([width * 4 / 3, height * 4 / 3]))
