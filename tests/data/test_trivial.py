"""TrivialAugment's operations, each by hand on a few pixels. `test_augment.py` compares them with torchvision's own."""

import pytest
import torch
from torch import Tensor

from longtail.data.trivial import NOTHING, OPERATIONS, STRONGEST, trivial


def pixels(*rows: list[int]) -> Tensor:
    """One image with three equal channels."""
    return torch.tensor(rows, dtype=torch.uint8).expand(1, 3, -1, -1).contiguous()


def changed(image: Tensor, operation: int, level: int) -> list[list[int]]:
    done = trivial(image, torch.tensor([operation]), torch.tensor([level]))
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
        (6, 30, [[10, 20, 30, 40], [50, 60, 70, 80]]),  # gray has no colour to lose or gain
        (9, 30, [[0, 0, 0, 0], [0, 0, 64, 64]]),  # two bits
        (9, 5, [[10, 20, 30, 40], [50, 60, 70, 80]]),  # seven bits
        (10, 20, [[10, 20, 30, 40], [50, 60, 70, 80]]),  # nothing reaches 85
        (10, 22, [[10, 20, 30, 40], [50, 60, 185, 175]]),  # inverted from 68 on
        (10, -22, [[10, 20, 30, 40], [50, 60, 185, 175]]),
        (NOTHING, 30, [[10, 20, 30, 40], [50, 60, 70, 80]]),
    ],
)
def test_by_hand(operation, level, expected):
    assert changed(IMAGE, operation, level) == expected


def test_contrast_is_stretched():
    (row,) = changed(pixels([10, 20, 61]), 11, 0)
    assert row == pytest.approx([0, 50, 255], abs=1), "whole numbers are cut, not rounded"


def test_a_histogram_is_equalised():
    (row,) = changed(pixels([10] * 300 + [11] * 300 + [12] * 300 + [200] * 300), 12, 0)
    assert row[::300] == [0, 100, 200, 255], "by (300 k + 1) // 3, since 900 // 255 is 3"


@pytest.mark.parametrize("operation", range(9))
def test_level_nought_of_what_goes_both_ways_changes_nothing(operation):
    assert changed(IMAGE, operation, 0) == IMAGE[0, 0].tolist()


def test_every_image_has_its_own_operation_wherever_it_stands():
    images = torch.randint(0, 256, (OPERATIONS * 3, 3, 9, 7), generator=torch.manual_seed(0)).to(torch.uint8)
    operations = torch.arange(OPERATIONS).repeat(3)
    levels = torch.randint(-STRONGEST, STRONGEST + 1, (len(images),), generator=torch.manual_seed(1))
    before = images.clone()
    whole = trivial(images, operations, levels)
    alone = [trivial(images[i : i + 1], operations[i : i + 1], levels[i : i + 1]) for i in range(len(images))]
    assert torch.equal(whole, torch.cat(alone))
    assert torch.equal(images, before)
