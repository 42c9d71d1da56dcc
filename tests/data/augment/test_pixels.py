"""Operations on batches of pixels against torchvision, one image at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from longtail.data.augment import pixels as P

SIZES = [(8, 8), (7, 12), (1, 9), (9, 1)]


def bytes_(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def floats(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def jittered(image: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    operations = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    for number in order.tolist():
        image = operations[number](image, factors[number].item())
    return image


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [bytes_, floats])
def test_crop_and_flip_equal_torchvision_exactly(make, size):
    images, padding = make(9, 3, *size), 2
    top, left = torch.arange(9) % 5, torch.arange(9) * 2 % 5
    padded = tv.pad(images, [padding])
    expected = [tv.crop(image, i, j, *size) for image, i, j in zip(padded, top.tolist(), left.tolist(), strict=True)]
    assert torch.equal(P.crop(images, top, left, padding=padding), torch.stack(expected))
    mask = torch.arange(9) % 2 == 0
    expected = [tv.horizontal_flip(image) if on else image for image, on in zip(images, mask, strict=True)]
    assert torch.equal(P.flip(images, mask), torch.stack(expected))


def test_a_window_of_another_size_is_a_part_of_the_padded_image_mirrored():
    images, top, left = floats(2, 3, 6, 7), torch.tensor([0, 4]), torch.tensor([5, 1])
    padded = tv.pad(images, [1])
    expected = [padded[0, :, 0:4, 5:8].flip(-1), padded[1, :, 4:8, 1:4]]
    window = P.window(images, top, left, torch.tensor([True, False]), padding=1, size=(4, 3))
    assert torch.equal(window, torch.stack(expected))


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((16, 16), (0, 0, 16, 16)),  # nothing to do
        ((16, 16), (3, 5, 4, 6)),  # up
        ((16, 12), (2, 0, 14, 12)),  # up along one side only
        ((12, 16), (11, 15, 1, 1)),  # one pixel
        ((1, 9), (0, 2, 1, 5)),
        ((224, 160), (13, 21, 150, 77)),
    ],
)
def test_resized_crop_equals_torchvision(size, box):
    images = floats(2, 3, *size)
    expected = tv.resized_crop(images[1:], *box, size=list(size), antialias=True)
    boxes = torch.tensor([(0, 0, *size), box])  # a different box for each image
    close(P.resized_crop(images, *boxes.unbind(1)), torch.cat([images[:1], expected]))


@pytest.mark.parametrize("size", [(5, 3), (9, 31), (1, 1)])
def test_resized_crop_to_another_size_equals_torchvision(size):
    images, box = floats(2, 3, 16, 20), (2, 1, 9, 17)  # down and up, with antialiasing down
    boxes = torch.tensor([(0, 0, 16, 20), box])
    expected = [
        tv.resized_crop(x, *b, size=list(size), antialias=True) for x, b in zip(images, boxes.tolist(), strict=True)
    ]
    close(P.resized_crop(images, *boxes.unbind(1), size=size), torch.stack(expected))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (P.adjust_brightness, tv.adjust_brightness, [0.0, 0.5, 1.0, 1.7]),
        (P.adjust_contrast, tv.adjust_contrast, [0.0, 0.5, 1.0, 1.7]),
        (P.adjust_saturation, tv.adjust_saturation, [0.0, 0.5, 1.0, 1.7]),
        (P.adjust_hue, tv.adjust_hue, [-0.5, -0.13, 0.0, 0.4]),
    ],
)
def test_colour_equals_torchvision(ours, theirs, factors, size):
    images = floats(4, 3, *size)
    images[:, :, :, 0] = torch.tensor([1.0, 1.0, 0.0])[:, None]  # two channels tie: a corner of the colour circle
    expected = torch.stack([theirs(image, factor) for image, factor in zip(images, factors, strict=True)])
    close(ours(images, torch.tensor(factors)), expected)


def test_grayscale_equals_torchvision():
    images, mask = floats(4, 3, 5, 6), torch.tensor([True, False, True, False])
    expected = [tv.rgb_to_grayscale(x, num_output_channels=3) if on else x for x, on in zip(images, mask, strict=True)]
    close(P.grayscale(images, mask), torch.stack(expected))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_hue_leaves_a_gray_image_as_it_is(level):
    images = torch.full((2, 3, 4, 4), level)
    assert torch.equal(P.adjust_hue(images, torch.tensor([0.3, -0.5])), images)


def test_color_jitter_follows_the_order_of_each_image():
    images, factors, mask = floats(24, 3, 6, 5), floats(24, 4, seed=1) + 0.5, torch.arange(24) % 5 > 0
    factors[:, 3] -= 1
    order = floats(24, 4, seed=2).argsort(1)
    assert len(order.unique(dim=0)) > 10
    rows = zip(images, factors, order, mask, strict=True)
    close(
        P.color_jitter(images, factors, order, mask),
        torch.stack([jittered(image, f, o) if on else image for image, f, o, on in rows]),
    )


@pytest.mark.parametrize("side", [1, 4, 5, 40])
def test_cutout_is_a_clipped_square(side):
    images = 1 + floats(6, 3, 9, 7)
    row, column = torch.tensor([0, 8, 4, 4, 0, 8]), torch.tensor([0, 6, 3, 0, 6, 3])
    expected = images.clone()
    for image, r, c in zip(expected, row.tolist(), column.tolist(), strict=True):
        top, left = r - side // 2, c - side // 2
        image[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
    assert torch.equal(P.cutout(images, row, column, side=side), expected)


@pytest.mark.parametrize(("size", "to", "smaller"), [((32, 32), 20, [20, 20]), ((12, 24), 8, [8, 16])])
def test_shrinking_equals_torchvision(size, to, smaller):
    images = floats(3, 3, *size)
    close(P.shrink(images, to), tv.resize(images, smaller, antialias=True))


def test_images_are_not_enlarged():
    images = floats(2, 3, 8, 9)
    assert P.shrink(images, 8) is images
    assert P.shrink(images, 20) is images
