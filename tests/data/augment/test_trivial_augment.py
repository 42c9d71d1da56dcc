"""TrivialAugment's operations: by hand on a few pixels, and against torchvision at every level."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from longtail.data.augment.trivial_augment import NOTHING, OPERATIONS, STRONGEST, apply

LEVELS = range(-STRONGEST, STRONGEST + 1)


def sheared(image: Tensor, across: float, down: float) -> Tensor:
    degrees = [math.degrees(math.atan(slope)) for slope in (across, down)]
    return tv.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=degrees, center=[0.0, 0.0])


def shifted(image: Tensor, right: float, down: float) -> Tensor:
    return tv.affine(image, angle=0.0, translate=[int(right), int(down)], scale=1.0, shear=[0.0, 0.0])


# In the order of their numbers; strength is from -1 to 1.
ORACLES: list[Callable[[Tensor, float], Tensor]] = [
    lambda image, strength: sheared(image, 0.99 * strength, 0),
    lambda image, strength: sheared(image, 0, 0.99 * strength),
    lambda image, strength: shifted(image, 32 * strength, 0),
    lambda image, strength: shifted(image, 0, 32 * strength),
    lambda image, strength: tv.rotate(image, 135 * strength),
    lambda image, strength: tv.adjust_brightness(image, 1 + 0.99 * strength),
    lambda image, strength: tv.adjust_saturation(image, 1 + 0.99 * strength),
    lambda image, strength: tv.adjust_contrast(image, 1 + 0.99 * strength),
    lambda image, strength: tv.adjust_sharpness(image, 1 + 0.99 * strength),
    lambda image, strength: tv.posterize(image, round(8 - 6 * abs(strength))),
    lambda image, strength: tv.solarize(image, 255 - 255 * abs(strength)),
    lambda image, _: tv.autocontrast(image),
    lambda image, _: tv.equalize(image),
    lambda image, _: image,
]


def pixels(*rows: list[int]) -> Tensor:
    """One image with three equal channels."""
    return torch.tensor(rows, dtype=torch.uint8).expand(1, 3, -1, -1).contiguous()


def changed(image: Tensor, operation: int, level: int) -> list[list[int]]:
    done = apply(image, torch.tensor([operation]), torch.tensor([level]))
    assert done.shape == image.shape
    assert (done == done[:, :1]).all(), "gray stays gray"
    return done[0, 0].tolist()


IMAGE = pixels([10, 20, 30, 40], [50, 60, 70, 80])


@pytest.mark.parametrize(
    ("operation", "level", "expected"),
    [
        (2, 1, [[0, 10, 20, 30], [0, 50, 60, 70]]),  # 32 / 30 pixels to the right
        (2, -2, [[30, 40, 0, 0], [70, 80, 0, 0]]),
        (3, 1, [[0, 0, 0, 0], [10, 20, 30, 40]]),
        (2, 30, [[0] * 4] * 2),
        (5, -10, [[6, 13, 20, 26], [33, 40, 46, 53]]),  # times 0.67, cut to whole numbers
        (7, -30, [[43, 43, 43, 43], [44, 44, 44, 44]]),  # the mean is 44: weights of 0.9999, cut
        (9, 30, [[0, 0, 0, 0], [0, 0, 64, 64]]),  # two bits
        (9, 10, [[8, 20, 28, 40], [48, 60, 68, 80]]),  # six bits
        (10, 20, [[10, 20, 30, 40], [50, 60, 70, 80]]),  # nothing reaches 85
        (10, 22, [[10, 20, 30, 40], [50, 60, 185, 175]]),  # inverted from 68 on
        (10, -22, [[10, 20, 30, 40], [50, 60, 185, 175]]),
        (NOTHING, 30, [[10, 20, 30, 40], [50, 60, 70, 80]]),
    ],
)
def test_by_hand(operation, level, expected):
    assert changed(IMAGE, operation, level) == expected


def test_colour_is_lost_and_gained():
    red = torch.tensor([200, 100, 100], dtype=torch.uint8).view(1, 3, 1, 1)  # as bright as a gray of 129
    less, more = (apply(red, torch.tensor([6]), torch.tensor([level])).flatten().tolist() for level in (-30, 10))
    assert less == [129, 128, 128]
    assert more == [223, 90, 90]


def test_only_the_inside_is_sharpened():
    image = pixels([0, 0, 0], [0, 130, 0], [0, 0, 0])
    assert changed(image, 8, -30) == [[0, 0, 0], [0, 50, 0], [0, 0, 0]], "smooth is 5 / 13 of it"


def test_contrast_is_stretched():
    (row,) = changed(pixels([10, 20, 61]), 11, 0)
    assert row == pytest.approx([0, 50, 255], abs=1), "whole numbers are cut, not rounded"


def test_a_histogram_is_equalised():
    (row,) = changed(pixels([10] * 300 + [11] * 300 + [12] * 300 + [200] * 300), 12, 0)
    assert row[::300] == [0, 100, 200, 255], "by (300 k + 1) // 3, since 900 // 255 is 3"


@pytest.mark.parametrize("operation", range(OPERATIONS))
@pytest.mark.parametrize("size", [(16, 16), (9, 14), (1, 5)])
def test_every_level_is_as_torchvision_does_it(operation, size):
    image = torch.randint(0, 256, (3, *size), generator=torch.manual_seed(0)).to(torch.uint8)
    # A quarter turn of sides that are odd and even ends between the pixels: either of two is right.
    levels = [level for level in LEVELS if size != (9, 14) or (operation, abs(level)) != (4, 20)]
    done = apply(image.expand(len(levels), -1, -1, -1), torch.full((len(levels),), operation), torch.tensor(levels))
    for level, found in zip(levels, done, strict=True):
        wanted = ORACLES[operation](image, level / STRONGEST)
        assert (found.int() - wanted.int()).abs().max() <= 1, level


@pytest.mark.parametrize("operation", range(9))
def test_level_nought_of_what_goes_both_ways_changes_nothing(operation):
    assert changed(IMAGE, operation, 0) == IMAGE[0, 0].tolist()


def test_every_image_has_its_own_operation_wherever_it_stands():
    images = torch.randint(0, 256, (OPERATIONS * 3, 3, 9, 7), generator=torch.manual_seed(0)).to(torch.uint8)
    operations = torch.arange(OPERATIONS).repeat(3)
    levels = torch.randint(-STRONGEST, STRONGEST + 1, (len(images),), generator=torch.manual_seed(1))
    before = images.clone()
    whole = apply(images, operations, levels)
    alone = [apply(images[i : i + 1], operations[i : i + 1], levels[i : i + 1]) for i in range(len(images))]
    assert torch.equal(whole, torch.cat(alone))
    assert torch.equal(images, before)
