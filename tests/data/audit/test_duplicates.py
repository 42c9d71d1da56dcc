"""Duplicates: which images count as such, which do not, and that a burst does not hide a pair."""

import io
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from longtail.data.audit import duplicates
from support.messy_data import scene


def thumbnails(*pictures):
    return np.stack([duplicates.thumbnail(np.ascontiguousarray(picture)) for picture in pictures])


def saved(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(picture, *size):
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def enhanced(picture, kind, factor):
    return np.asarray(kind(Image.fromarray(picture)).enhance(factor))


def test_digest_sees_every_pixel_and_the_shape():
    picture = scene(0, seed=0, height=24, width=32)
    other = picture.copy()
    other[-1, -1, -1] ^= 1
    assert duplicates.digest(picture) == duplicates.digest(picture.copy())
    assert (
        len({duplicates.digest(each) for each in (picture, other, picture.reshape(32, 24, 3), picture[:, ::-1])}) == 4
    )


@given(st.lists(st.integers(0, 4), max_size=12))
def test_exact_groups_have_everything_that_is_there_twice(values):
    groups = duplicates.exact_groups([bytes([value]) for value in values])
    assert sorted(sorted(values[i] for i in group) for group in groups) == sorted(
        [value] * values.count(value) for value in {*values} if values.count(value) > 1
    )
    assert all(np.all(np.diff(group) > 0) for group in groups)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: saved(picture, 60),
        lambda picture: resized(picture, 48, 36),
        lambda picture: resized(picture, 160, 120),
        lambda picture: np.minimum(picture, 245) + 10,
        lambda picture: enhanced(picture, ImageEnhance.Contrast, 0.8),
        lambda picture: picture[1:-1, 1:-1],
    ],
    ids=["compressed", "smaller", "larger", "brighter", "paler", "cut"],
)
def test_a_changed_image_is_nearly_the_same(change):
    pictures = [scene(label, seed=label, height=60, width=80) for label in range(20)]
    groups = duplicates.near_groups(thumbnails(*pictures, *map(change, pictures)))
    assert [group.tolist() for group in groups] == [[i, i + 20] for i in range(20)]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture[:, ::-1],
        lambda picture: 255 - picture,
        lambda picture: picture[..., ::-1],
        lambda picture: picture[:30, :40],
    ],
    ids=["mirrored", "negative", "other colours", "a quarter"],
)
def test_another_image_is_not(change):
    pictures = [scene(label, seed=label, height=60, width=80) for label in range(20)]
    assert len(duplicates.near_groups(thumbnails(*pictures, *map(change, pictures)))) == 0


def test_images_without_contrast_are_not_compared():
    rng = np.random.default_rng(0)
    fog = [rng.integers(100, 104, (32, 32, 3)).astype(np.uint8) for _ in range(4)]
    assert len(duplicates.near_groups(thumbnails(*fog, *[np.zeros((8, 8, 3), np.uint8)] * 2))) == 0


@pytest.mark.parametrize("images", [0, 1])
def test_no_group_among_so_few(images):
    assert duplicates.near_groups(np.full((images, 16, 16, 3), 9, np.uint8)) == []
    assert duplicates.near_groups(thumbnails(scene(0, seed=0))[:images]) == []


def test_order_does_not_matter():
    pictures = [scene(0, seed=seed) for seed in range(30)]
    pictures += [saved(picture, 70) for picture in pictures[:10]]
    order = np.random.default_rng(0).permutation(len(pictures))
    shuffled = duplicates.near_groups(thumbnails(*[pictures[i] for i in order]))
    assert {frozenset(order[group].tolist()) for group in shuffled} == {frozenset({i, i + 30}) for i in range(10)}


def test_a_crowd_of_nearly_equal_images_takes_no_quadratic_time():
    frame = duplicates.thumbnail(scene(0, seed=0)).astype(int)
    noise = np.random.default_rng(0).integers(-1, 2, (6_000, 16, 16, 3))
    crowd = np.clip(frame + noise, 0, 255).astype(np.uint8)
    started = time.process_time()
    groups = duplicates.near_groups(crowd)
    assert time.process_time() - started < 10  # it takes less than one; 18 million pairs would take minutes
    assert [len(group) for group in groups] == [6_000]


@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True), max_size=6))
def test_joined_groups_are_connected(groups):
    expected: list[set[int]] = []
    for group in groups:
        touched = [each for each in expected if each & {*group}]
        expected = [each for each in expected if each not in touched] + [set().union(group, *touched)]
    found = duplicates.joined([np.array(group) for group in groups], images=10)
    assert [group.tolist() for group in found] == sorted(map(sorted, expected))


def test_near_duplicates_take_the_exact_ones_of_each_along():
    original, other = scene(0, seed=0), scene(1, seed=1)
    pictures = [original, saved(original, 70), original, other, other, scene(2, seed=2)]
    digests = [duplicates.digest(np.ascontiguousarray(picture)) for picture in pictures]
    found = duplicates.groups([*digests, b""], thumbnails(*pictures, original))  # the last one is unreadable
    assert [group.tolist() for group in found.exact] == [[0, 2], [3, 4]]
    assert [group.tolist() for group in found.near] == [[0, 1, 2]]
    assert [group.tolist() for group in found.groups] == [[0, 1, 2], [3, 4]]
