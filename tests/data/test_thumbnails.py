"""Thumbnails: their size, their shape, and that they still show the image."""

import io

import numpy as np
import pytest
from PIL import Image

from longtail.data import thumbnails
from support import fake_datasets


@pytest.mark.parametrize(("height", "width", "size"), [(60, 30, (20, 40)), (30, 60, (40, 20)), (8, 6, (6, 8))])
def test_the_longer_side_is_bounded_and_small_images_stay(height, width, size):
    pixels = fake_datasets.picture(0, seed=0, height=height, width=width)
    small = Image.open(io.BytesIO(thumbnails.webp(pixels, 40)))
    assert (small.format, small.size) == ("WEBP", size)


def test_colours_stay():
    pixels = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    small = np.asarray(Image.open(io.BytesIO(thumbnails.webp(pixels, 16))).convert("RGB")).astype(int)
    assert np.abs(small - (200, 100, 50)).max() <= 6


def test_pixels_of_any_layout_are_taken():
    pixels = fake_datasets.picture(1, seed=1, height=16, width=16)
    assert thumbnails.webp(pixels.transpose(1, 0, 2), 16) == thumbnails.webp(pixels.transpose(1, 0, 2).copy(), 16)
