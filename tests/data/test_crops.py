"""Crops: the squares that Pillow and torchvision would cut."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from longtail.data.crops import centre_crop, random_crop, shrunk
from support import messy_data


@pytest.mark.parametrize(("height", "width"), [(40, 60), (7, 5), (300, 90), (1, 1), (64, 64)])
@pytest.mark.parametrize("size", [8, 32, 64])
def test_random_crops_are_those_of_pillow(height, width, size):
    """The rectangle is drawn once more, cut out and resized by torchvision, which lets Pillow do it."""
    image = Image.fromarray(messy_data.scene(0, seed=1, height=height, width=width))
    pil: Any = image  # which torchvision takes, but does not say
    cuts = []

    class Spy(np.ndarray):
        def __getitem__(self, index):
            cuts.append(index)
            return super().__getitem__(index)

    for seed in range(10):
        cut = random_crop(np.asarray(image).view(Spy), size, (0.1, 1.0), np.random.default_rng(seed))
        rows, columns = cuts.pop()
        top, left, high, wide = rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start
        assert 0 < high <= height and 0 < wide <= width and top >= 0 and left >= 0
        expected: Any = functional.resized_crop(pil, top, left, high, wide, [size, size])
        theirs = torch.from_numpy(np.array(expected)).permute(2, 0, 1)
        assert cut.shape == theirs.shape and cut.dtype == torch.uint8
        assert (cut.int() - theirs.int()).abs().max() <= 1


def test_random_crops_have_the_area_that_is_asked_for():
    ramp = np.zeros((100, 100, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(100)[:, None], np.arange(100)
    for seed in range(50):
        cut = random_crop(ramp, 50, (0.25, 0.25), np.random.default_rng(seed)).int()
        height, width = (int(cut[c].max() - cut[c].min()) + 1 for c in (0, 1))
        assert abs(height * width - 2500) < 300 and 0.7 < height / width < 1.45


def test_pixels_that_may_not_be_written_to_are_left_alone():
    pixels = messy_data.scene(0, seed=0)
    pixels.setflags(write=False)
    random_crop(pixels, 8, (0.5, 1.0), np.random.default_rng(0))  # warnings are errors here


def test_centre_crops_are_what_torchvision_would_cut():
    image = Image.fromarray(messy_data.scene(0, seed=0, height=96, width=128))
    pil: Any = image
    expected: Any = functional.center_crop(functional.resize(pil, [64]), [56])
    assert abs(centre_crop(np.asarray(image), 56).astype(int) - np.asarray(expected)).mean() <= 2


def test_shrinking_keeps_small_images():
    pixels = messy_data.scene(0, seed=0, height=30, width=50)
    assert shrunk(pixels, None) is shrunk(pixels, 30) is pixels
    assert shrunk(pixels, 15).shape == (15, 25, 3)
