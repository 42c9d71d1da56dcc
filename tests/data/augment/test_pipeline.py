"""Augmentation as a whole against torchvision, one image at a time, and the statistics of what is drawn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from longtail.data import augment as A
from longtail.data.augment import trivial_augment as T
from longtail.data.augment.pixels import cutout

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
OFF = A.Augmentation(mean=MEAN, std=STD)
JITTER = A.Jitter(brightness=0.4, contrast=0.5, saturation=0.6, hue=0.2, probability=0.8)
CIFAR = replace(OFF, crop_padding=4, flip=0.5, grayscale=0.2)
EVERYTHING = replace(OFF, resized_crop=(0.2, 1.0), flip=0.5, jitter=JITTER, grayscale=0.2, cutout=5)
TRIVIAL = replace(EVERYTHING, trivial_augment=0.5)
SIZES = [(8, 8), (7, 12), (1, 9), (9, 1)]


def bytes_(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def draw(augmentation: A.Augmentation, *, key: tuple[int, ...] = (0, 0, 0), **size: int) -> Any:
    """`Parameters`; which of them are `None` the augmentation tells, not the type."""
    return A.draw(augmentation, **{"views": 2, "batch": 8, "height": 16, "width": 16, **size}, key=key)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def same(one: A.Parameters, other: A.Parameters) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a is b is None or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def jittered(image: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    operations = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    for number in order.tolist():
        image = operations[number](image, factors[number].item())
    return image


# The whole.


@pytest.mark.parametrize("on", [CIFAR, EVERYTHING, replace(CIFAR, jitter=JITTER, trivial_augment=0.8, cutout=4)])
@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
@pytest.mark.parametrize("expanded", [True, False])
def test_augment_equals_torchvision_one_image_at_a_time(on, size, expanded):
    images = bytes_(1, 6, 3, *size).expand(2, 6, 3, *size) if expanded else bytes_(2, 6, 3, *size)
    p = draw(on, batch=6, height=size[0], width=size[1], key=(3, 1, 4))
    actual = A.augment(images, p, on)
    for v, b in np.ndindex(2, 6):
        x = images[v, b]
        if p.crop is not None:
            x = tv.crop(tv.pad(x, [on.crop_padding]), *p.crop[v, b].tolist(), *size)
        x = x.float() / 255
        if p.box is not None:
            x = tv.resized_crop(x, *p.box[v, b].tolist(), size=list(size), antialias=True)
        x = tv.horizontal_flip(x) if p.flip[v, b] else x
        if p.trivial_augment is not None:
            pixels = (x * 255).round().to(torch.uint8)
            x = T.apply(pixels[None], *p.trivial_augment[v, b, :, None])[0] / 255
        x = jittered(x, p.factors[v, b], p.order[v, b]) if p.jitter is not None and p.jitter[v, b] else x
        x = tv.rgb_to_grayscale(x, num_output_channels=3) if p.grayscale[v, b] else x
        x = tv.normalize(x, list(MEAN), list(STD))
        if p.cutout is not None:
            x = cutout(x[None], *p.cutout[v, b, :, None], side=on.cutout)[0]
        close(actual[v, b], x)


def test_everything_off_is_normalise_and_normalise_is_torchvision():
    images = bytes_(2, 3, 3, 5, 7)
    expected = A.normalise(images, MEAN, STD)
    assert all(value is None for name, value in vars(draw(OFF)).items() if name != "corner")
    assert torch.equal(A.augment(images, draw(OFF, batch=3, height=5, width=7), OFF), expected)
    close(expected, tv.normalize(images / 255, list(MEAN), list(STD)))
    assert torch.equal(A.normalise(images[0, 0], MEAN, STD), expected[0, 0])


def test_flip_alone_needs_no_crop():
    images, on = bytes_(1, 4, 3, 5, 7), replace(OFF, flip=1.0)
    flipped = A.augment(images, draw(on, views=1, batch=4, height=5, width=7), on)
    assert torch.equal(flipped, A.normalise(images, MEAN, STD).flip(-1))


@pytest.mark.parametrize("on", [CIFAR, EVERYTHING, TRIVIAL])
def test_two_slices_equal_the_whole_and_repeat_equals_the_first(on):
    images, p = bytes_(2, 8, 3, 16, 16), draw(on)
    before, state = images.clone(), torch.get_rng_state()
    whole = A.augment(images, p, on)
    halves = [A.augment(images[:, part], p.rows(part), on) for part in (slice(0, 3), slice(3, 8))]
    close(torch.cat(halves, 1), whole)
    assert torch.equal(A.augment(images, draw(on), on), whole)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert whole.is_contiguous()


def test_memory_shared_by_views_changes_nothing():
    images, p = bytes_(1, 8, 3, 16, 16).expand(2, 8, 3, 16, 16), draw(CIFAR)
    assert torch.equal(A.augment(images, p, CIFAR), A.augment(images.contiguous(), p, CIFAR))


# What is drawn.


def test_rows_are_a_part_along_the_batch():
    p = draw(EVERYTHING)
    assert p.crop is None
    assert p.rows(slice(2, 5)).crop is None
    for index in (slice(2, 5), torch.tensor([7, 0])):
        part = vars(p.rows(index))
        assert all(torch.equal(part[name], value[:, index]) for name, value in vars(p).items() if value is not None)


def test_the_key_decides_everything():
    assert same(draw(EVERYTHING, key=(1, 2, 3)), draw(EVERYTHING, key=(1, 2, 3)))
    for key in [(0, 2, 3), (1, 0, 3), (1, 2, 0)]:
        p, q = draw(EVERYTHING, key=(1, 2, 3), batch=64), draw(EVERYTHING, key=key, batch=64)
        names = [name for name, value in vars(p).items() if value is not None]
        assert all(not torch.equal(getattr(p, name), getattr(q, name)) for name in names)


@pytest.mark.parametrize(
    "off",
    [
        {"jitter": None},
        {"flip": 0.0},
        {"trivial_augment": 0.0},
        {"grayscale": 0.0},
        {"cutout": 0},
        {"resized_crop": None, "crop_padding": 4},
    ],
)
def test_a_step_switched_off_leaves_the_chance_of_the_others(off):
    p, q = draw(TRIVIAL), draw(replace(TRIVIAL, **off))
    both = [name for name in vars(p) if getattr(p, name) is not None and getattr(q, name) is not None]
    assert len(both) >= 4
    assert all(torch.equal(getattr(p, name), getattr(q, name)) for name in both)


def test_views_and_images_differ():
    p = draw(CIFAR, batch=64)
    assert not torch.equal(p.crop[0], p.crop[1])
    assert len(p.crop[0].unique(dim=0)) > 20


def test_rates_are_the_probabilities():
    on = replace(EVERYTHING, flip=0.3)
    p, n = draw(on, batch=10_000), 20_000
    for mask, probability in ((p.flip, 0.3), (p.grayscale, 0.2), (p.jitter, 0.8)):
        assert abs(mask.double().mean().item() - probability) < 4 * (probability * (1 - probability) / n) ** 0.5
    assert draw(replace(OFF, flip=1.0)).flip.all()


def test_operations_and_levels_are_uniform_among_the_images_that_are_changed():
    p, images = draw(replace(OFF, trivial_augment=0.7), batch=20_000), 40_000
    operation, level = p.trivial_augment.flatten(0, 1).unbind(1)
    times = operation.bincount(minlength=T.OPERATIONS)
    each = 0.7 * images / T.OPERATIONS
    assert len(times) == T.OPERATIONS == 14
    assert ((times[:-1] - each).abs() < 4.5 * each**0.5).all()
    assert abs(times[T.NOTHING] - each - 0.3 * images) < 4.5 * (0.35 * images) ** 0.5
    levels, often = level.unique(return_counts=True)
    assert levels.tolist() == list(range(-30, 31))
    often = often / torch.ones(61).index_fill(0, torch.tensor(30), 2.0)  # nought is plus and minus nought
    assert ((often - images / 62).abs() < 4.5 * (images / 62) ** 0.5).all()


@pytest.mark.parametrize(
    ("on", "name", "counts"),
    [(replace(OFF, crop_padding=3), "crop", (7, 7)), (replace(OFF, cutout=3), "cutout", (5, 9))],
)
def test_positions_are_uniform(on, name, counts):
    positions = getattr(draw(on, batch=10_000, height=5, width=9), name).flatten(0, 1)
    for axis, count in enumerate(counts):
        seen = positions[:, axis].bincount(minlength=count)
        expected = len(positions) / count
        assert len(seen) == count
        assert ((seen - expected).abs() < 4.5 * expected**0.5).all()


def test_jitter_is_in_range_and_orders_are_permutations():
    strong = A.Jitter(brightness=1.5, contrast=0.5, saturation=0.0, hue=0.1, probability=1.0)
    p = draw(replace(OFF, jitter=strong), batch=2_000)
    low, high = p.factors.flatten(0, 1).aminmax(dim=0)
    torch.testing.assert_close(low, torch.tensor([0.0, 0.5, 1.0, -0.1]), rtol=0, atol=0.01)
    torch.testing.assert_close(high, torch.tensor([2.5, 1.5, 1.0, 0.1]), rtol=0, atol=0.01)
    orders, times = p.order.flatten(0, 1).unique(dim=0, return_counts=True)
    assert torch.equal(orders.sort(1).values, torch.arange(4).expand(24, 4))
    assert (times - 4_000 / 24).abs().max() < 4.5 * (4_000 / 24) ** 0.5


def test_boxes_have_the_area_and_aspect_asked_for_and_lie_inside():
    height, width, area = 200, 300, (0.1, 0.6)
    p = draw(replace(OFF, resized_crop=area), batch=5_000, height=height, width=width)
    top, left, h, w = p.box.flatten(0, 1).double().unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()
    share, aspect = h * w / (height * width), w / h
    assert share.min() > 0.098
    assert share.max() < 0.61
    assert abs(share.mean() - 0.35) < 0.01
    assert aspect.min() > 0.73
    assert aspect.max() < 1.36
    assert abs(aspect.log().mean()) < 0.02
    assert (top == 0).any()
    assert (top + h == height).any()


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(100, 10, (43, 0, 13, 10)), (10, 100, (0, 43, 10, 13)), (1, 32, (0, 15, 1, 1))],
)
def test_a_box_that_never_fits_is_the_central_one(height, width, box):
    p = draw(replace(OFF, resized_crop=(0.9, 1.0)), height=height, width=width)
    assert (p.box == torch.tensor(box)).all()


# Edges.


@pytest.mark.parametrize("on", [CIFAR, EVERYTHING, replace(CIFAR, cutout=3, jitter=JITTER)])
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 1, 1, 9), (1, 4, 9, 1), (2, 3, 1, 1), (1, 0, 8, 8)])
def test_any_shape(on, shape):
    views, batch, height, width = shape
    images = bytes_(views, batch, 3, height, width)
    result = A.augment(images, draw(on, views=views, batch=batch, height=height, width=width), on)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_padding": 4, "resized_crop": (0.2, 1.0)}, "only one"),
        ({"resized_crop": (0.0, 1.0)}, "resized_crop is"),
        ({"resized_crop": (0.8, 0.2)}, "resized_crop is"),
        ({"std": (1.0, 0.0, 1.0)}, "std is"),
        ({"flip": 1.5}, "flip is 1.5"),
        ({"grayscale": -0.1}, "grayscale is"),
        ({"trivial_augment": 1.1}, "trivial_augment is 1.1"),
        ({"cutout": -1}, "cutout is -1"),
    ],
)
def test_impossible_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(OFF, **change)


@pytest.mark.parametrize("change", [{"hue": 0.6}, {"contrast": -0.1}, {"probability": float("nan")}])
def test_impossible_jitter_is_named(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} is"):
        replace(JITTER, **change)


unit = st.floats(0, 1)
jitters = st.builds(A.Jitter, *[st.floats(0, 3)] * 3, st.floats(0, 0.5), unit)
areas = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair)))
crops = st.one_of(
    st.fixed_dictionaries({"crop_padding": st.integers(0, 9)}), st.fixed_dictionaries({"resized_crop": areas})
)
rest = st.fixed_dictionaries(
    {
        "flip": unit,
        "trivial_augment": unit,
        "jitter": st.none() | jitters,
        "grayscale": unit,
        "cutout": st.integers(0, 20),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    first=crops,
    then=rest,
    shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 12)] * 2),
    key=st.tuples(*[st.integers(0, 2**40)] * 3),
)
def test_any_augmentation_gives_finite_views_of_the_same_shape(first, then, shape, key):
    on, (views, batch, height, width) = replace(OFF, **first, **then), shape
    images = bytes_(views, batch, 3, height, width, seed=key[0])
    p = A.draw(on, views=views, batch=batch, height=height, width=width, key=key)
    result = A.augment(images, p, on)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    low, high = A.normalise(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1), MEAN, STD)
    assert (result >= low - 1e-4).all()
    assert (result <= high + 1e-4).all()


# Small images.


def small(images: Tensor, *, size: int, scale: float, key: int = 0) -> Tensor:
    views, batch, _, height, width = images.shape
    drawn = A.draw(OFF, views=views, batch=batch, height=height, width=width, key=(key, 0, 0))
    return A.small(images, drawn, size=size, scale=scale)


def places(count: int, height: int, width: int) -> Tensor:
    """Images each pixel of which says where it is."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([down, across, down * 0]).float().expand(2, count, 3, height, width)


def test_small_images_without_a_scale_are_whole_images_shrunk():
    images = bytes_(2, 3, 3, 12, 18).float()
    expected = tv.resize(images.flatten(0, 1), [6, 9], antialias=True).unflatten(0, (2, 3))
    close(small(images, size=6, scale=1.0), expected)


def test_a_cut_out_is_a_part_of_the_image_with_every_place_alike():
    cut = small(places(2000, 10, 15), size=8, scale=1.25)  # 10 x 15 pixels already: they are cut, not shrunk
    assert cut.shape == (2, 2000, 3, 8, 12)
    top, left = cut[..., 0, 0, 0], cut[..., 1, 0, 0]
    assert torch.equal(cut, places(2000, 8, 12) + torch.stack([top, left, top * 0], -1)[..., None, None])
    for corner, room in ((top, 3), (left, 4)):
        assert torch.equal(corner.unique(), torch.arange(room).float())
        counts = torch.bincount(corner.long().flatten(), minlength=room)
        assert (counts / 4000 - 1 / room).abs().max() < 0.03
    assert (top[0] != top[1]).any()  # views differ


def test_what_is_cut_was_shrunk_before():
    images = bytes_(1, 1, 3, 24, 24).float()
    shrunk = tv.resize(images[0], [12, 12], antialias=True)
    parts = [shrunk[..., top : top + 8, left : left + 8] for top in range(5) for left in range(5)]
    cut = small(images, size=8, scale=1.5)[0]
    assert min((cut - part).abs().max() for part in parts) < 1e-3


@pytest.mark.parametrize("shape", [(100, 149), (21, 44), (17, 16), (33, 90), (9, 40)])
@pytest.mark.parametrize("scale", [1.1, 1.33, 3.0])
def test_a_scale_changes_nothing_about_the_shape(shape, scale):
    images = torch.zeros(1, 2, 3, *shape)
    assert small(images, size=8, scale=scale).shape == small(images, size=8, scale=1.0).shape


@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0])
def test_images_that_are_small_already_stay_as_they_are(scale):
    images = bytes_(1, 2, 3, 8, 9).float()
    assert torch.equal(small(images, size=8, scale=scale), images)


def test_two_slices_of_small_images_equal_the_whole():
    images = bytes_(2, 6, 3, 16, 16).float()
    drawn = A.draw(OFF, views=2, batch=6, height=16, width=16, key=(3, 0, 0))
    halves = [A.small(images[:, part], drawn.rows(part), size=8, scale=1.5) for part in (slice(0, 2), slice(2, 6))]
    assert torch.equal(torch.cat(halves, 1), A.small(images, drawn, size=8, scale=1.5))
