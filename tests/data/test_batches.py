"""Orders, plans and loaders: every image where it belongs, whatever the number of processes, workers and restarts."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from longtail.data.batches import Batch, Encoded, Plan, Sampling, Stream, decoded, in_memory, order, stack
from longtail.data.sources import Source
from support.fake_datasets import picture

LABELS = st.lists(st.integers(0, 7), min_size=1, max_size=60).map(np.array)
SEEDS = st.integers(0, 2**32 - 1)
DUAL = (Stream("instance", views=2), Stream("balanced"))
LONG_TAIL = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [23, 9, 4, 1]))
Step = list[tuple[Batch, ...]]


# --- order ------------------------------------------------------------------------------------------------------------


@given(LABELS, SEEDS)
def test_instance_order_is_a_permutation(labels: np.ndarray, seed: int) -> None:
    shown = order(labels, "instance", seed=seed, stream=0, epoch=3)
    assert sorted(shown) == list(range(len(labels)))


@given(LABELS, SEEDS)
def test_balanced_order_shows_classes_equally_often(labels: np.ndarray, seed: int) -> None:
    shown = labels[order(labels, "balanced", seed=seed, stream=1, epoch=0)]
    assert len(shown) == len(labels)
    assert set(shown) == set(labels)  # classes without images are left out, all others come
    # How often each class was shown before each draw, (N + 1, C).
    before = np.cumsum([np.zeros(8), *np.eye(8)[shown]], axis=0)[:, np.unique(labels)]
    assert (before.max(1) - before.min(1)).max() <= 1
    for first in range(len(before)):
        stretch = before[first:] - before[first]
        assert (stretch.max(1) - stretch.min(1)).max() <= 2


@given(LABELS, SEEDS)
def test_balanced_order_deals_a_class_without_repetition(labels: np.ndarray, seed: int) -> None:
    shown = order(labels, "balanced", seed=seed, stream=0, epoch=0)
    for c in np.unique(labels):
        images, dealt = set(np.flatnonzero(labels == c)), shown[labels[shown] == c]
        for first in range(0, len(dealt), len(images)):
            hand = dealt[first : first + len(images)]
            assert len(set(hand)) == len(hand)
            assert set(hand) == images if len(hand) == len(images) else set(hand) < images


@pytest.mark.parametrize("sampling", ["instance", "balanced"])
def test_order_depends_on_its_key_and_on_nothing_else(sampling: Sampling) -> None:
    key: dict[str, Any] = {"seed": 1, "stream": 0, "epoch": 0}
    np.random.seed(0)  # noqa: NPY002  (the global state is what must not matter)
    first = order(LONG_TAIL, sampling, **key)
    np.testing.assert_array_equal(first, order(LONG_TAIL, sampling, **key))
    for change in ({"seed": 2}, {"stream": 1}, {"epoch": 1}, {"seed": 0, "epoch": 1}):
        assert (order(LONG_TAIL, sampling, **{**key, **change}) != first).any(), change


def test_the_very_order() -> None:
    # Another one would change every published number and break the resumption of every run.
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    assert order(labels, "instance", seed=0, stream=0, epoch=0).tolist() == [2, 4, 3, 6, 5, 0, 1]
    assert order(labels, "balanced", seed=0, stream=1, epoch=2).tolist() == [4, 1, 6, 2, 6, 5, 6]


@pytest.mark.parametrize("sampling", ["instance", "balanced"])
def test_the_first_place_is_given_to_every_image_alike(sampling: Sampling) -> None:
    labels = np.array([0, 0, 0, 1])
    first = Counter(int(order(labels, sampling, seed=0, stream=0, epoch=e)[0]) for e in range(2000))
    expected = [1 / 4] * 4 if sampling == "instance" else [1 / 6, 1 / 6, 1 / 6, 1 / 2]
    # Five standard errors of a share of 1/2 among 2,000.
    np.testing.assert_allclose([first[i] / 2000 for i in range(4)], expected, atol=5 * 0.5 / 2000**0.5)


def test_order_of_a_large_long_tail_is_quick() -> None:
    # iNaturalist 2018; a loop over classes that looks at all images in each turn takes longer.
    labels = np.concatenate([np.arange(8142), np.random.default_rng(0).integers(0, 8142, 437_513 - 8142)])
    began = time.process_time()
    order(labels, "balanced", seed=0, stream=0, epoch=0)
    assert time.process_time() - began < 1


# --- plan -------------------------------------------------------------------------------------------------------------


def test_an_epoch_has_as_many_steps_as_whole_batches() -> None:
    plan = Plan(LONG_TAIL, DUAL, 8, seed=0)
    assert len(LONG_TAIL) == 37 and plan.steps_per_epoch == 4
    for epoch in range(2):
        rows = [plan.rows(4 * epoch + step) for step in range(4)]
        for stream, sampling in enumerate(("instance", "balanced")):
            expected = order(LONG_TAIL, sampling, seed=0, stream=stream, epoch=epoch)[:32]
            np.testing.assert_array_equal(np.concatenate([row[stream] for row in rows]), expected)


def test_any_step_can_be_asked_for_directly() -> None:
    plan = Plan(LONG_TAIL, DUAL, 8, seed=3)
    in_turn = [plan.rows(step) for step in range(12)]
    for step in (11, 0, 5, 4, 11):
        for stream in range(2):
            np.testing.assert_array_equal(plan.rows(step)[stream], in_turn[step][stream])
            np.testing.assert_array_equal(Plan(LONG_TAIL, DUAL, 8, seed=3).rows(step)[stream], in_turn[step][stream])


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_processes_and_micro_batches_share_a_step(world: int, accumulate: int) -> None:
    alone = Plan(LONG_TAIL, DUAL, 16, seed=0)
    plans = [Plan(LONG_TAIL, DUAL, 16, seed=0, accumulate=accumulate, rank=r, world=world) for r in range(world)]
    for step in range(5):
        for stream, rows in enumerate(alone.rows(step)):
            # A micro-batch is the same stretch of the step for every number of processes.
            for number, stretch in enumerate(np.split(rows, accumulate)):
                shares = [plan.rows(step)[stream][plan.shares()[number]] for plan in plans]
                assert {len(share) for share in shares} == {16 // accumulate // world}
                np.testing.assert_array_equal(np.stack(shares, 1).ravel(), stretch)
        assert all(len(plan.shares()) == accumulate for plan in plans)
        assert all(plan.steps_per_epoch == alone.steps_per_epoch for plan in plans)


def test_plan_errors_name_the_value_and_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"^batch_size is 38; there are only 37 training images$"):
        Plan(LONG_TAIL, DUAL, 38, seed=0)
    with pytest.raises(ValueError, match=r"^batch_size is 12; it must be divisible by accumulate x devices = 2 x 4$"):
        Plan(LONG_TAIL, DUAL, 12, seed=0, accumulate=2, world=4)
    assert Plan(LONG_TAIL, DUAL, 37, seed=0).steps_per_epoch == 1


# --- batches ----------------------------------------------------------------------------------------------------------


def _image(sizes: tuple[tuple[int, int], ...], labels: np.ndarray, index: int) -> np.ndarray:
    height, width = sizes[index % len(sizes)]
    return picture(int(labels[index]), seed=index, height=height, width=width)


def source_of(*sizes: tuple[int, int], labels: np.ndarray = LONG_TAIL) -> Source:
    """Pictures whose sizes, `(height, width)`, take turns; reversed, so that positions and images are not the same."""
    labels = labels[::-1].copy()
    names = [f"picture/{i}" for i in range(len(labels))]
    return Source(labels, ("a", "b", "c", "d"), partial(_image, sizes, labels), names)


SAME, MIXED = source_of((16, 16)), source_of((20, 30), (40, 25), (33, 33))
INDICES = np.arange(len(LONG_TAIL))[::-1].copy()  # where in the source the plan's images are


def decode(plan: Plan, source: Source, start: int = 0, stop: int = 9, workers: int = 0, **options: Any) -> list[Step]:
    return list(decoded(plan, Encoded(source, INDICES, **options), workers=workers, start=start, stop=stop))


def same(actual: list[Step], expected: list[Step]) -> None:
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert [len(micro) for micro in a] == [len(micro) for micro in b]
        for x, y in zip((x for micro in a for x in micro), (y for micro in b for y in micro), strict=True):
            assert isinstance(x, Batch)
            assert x.images.dtype == torch.uint8 and x.labels.dtype == torch.int64
            torch.testing.assert_close(x.images, y.images, rtol=0, atol=0)
            torch.testing.assert_close(x.labels, y.labels, rtol=0, atol=0)


@pytest.fixture(params=[1, 2])
def plan(request: pytest.FixtureRequest) -> Plan:
    return Plan(LONG_TAIL, DUAL, 8, seed=5, accumulate=request.param)


def test_in_memory_looks_up_the_images_of_the_plan(plan: Plan) -> None:
    pixels = stack(SAME, INDICES, size=None)
    steps = list(in_memory(plan, pixels, start=3, stop=6))
    assert len(steps) == 3
    for number, step in enumerate(steps, 3):
        for stream, (views, rows) in enumerate(zip((2, 1), plan.rows(number), strict=True)):
            images = torch.cat([micro[stream].images for micro in step], dim=1)
            assert images.shape == (views, 8, 3, 16, 16)
            for view in images:
                assert torch.equal(view, pixels[rows])
            assert torch.cat([micro[stream].labels for micro in step]).tolist() == LONG_TAIL[rows].tolist()
            assert step[0][stream].images.stride(0) == 0 or views == 1  # views are not copied


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [None, 12])
def test_decoded_on_the_way_or_before_is_the_same(plan: Plan, workers: int, size: int | None) -> None:
    source = SAME if size is None else MIXED
    expected = list(in_memory(plan, stack(source, INDICES, size=size), start=0, stop=9))
    actual = decode(plan, source, size=size, workers=workers)
    same(actual, expected)
    same(decode(plan, source, size=size, workers=workers, start=5), expected[5:])
    same(list(in_memory(plan, stack(source, INDICES, size=size), start=5, stop=9)), expected[5:])
    assert actual[0][0][0].images.stride(0) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_random_crops_depend_on_step_and_row_only(plan: Plan, workers: int) -> None:
    options: dict[str, Any] = {"size": 12, "area": (0.2, 1.0)}
    expected = decode(plan, MIXED, **options)
    same(decode(plan, MIXED, workers=workers, **options), expected)
    same(decode(plan, MIXED, workers=workers, start=6, **options), expected[6:])
    assert expected[0][0][0].images.shape == (2, 8 // plan.accumulate, 3, 12, 12)


@pytest.mark.parametrize("area", [None, (0.2, 1.0)])
def test_processes_together_see_what_one_would(plan: Plan, area: tuple[float, float] | None) -> None:
    def of(rank: int, world: int) -> list[Step]:
        part = Plan(LONG_TAIL, DUAL, 8, seed=5, accumulate=plan.accumulate, rank=rank, world=world)
        return decode(part, MIXED, size=12, area=area)

    def woven(*parts: Batch) -> Batch:
        images = torch.stack([part.images for part in parts], 2).flatten(1, 2)
        return Batch(images, torch.stack([part.labels for part in parts], 1).flatten())

    together = [
        [tuple(woven(*batches) for batches in zip(*micros, strict=True)) for micros in zip(*steps, strict=True)]
        for steps in zip(of(0, 2), of(1, 2), strict=True)
    ]
    same(together, of(0, 1))


def test_views_streams_steps_and_seeds_differ() -> None:
    both = (Stream("instance", views=2), Stream("instance", views=2))
    labels = np.zeros(2, dtype=np.int64)
    large = source_of((64, 64), labels=labels)

    def of(seed: int) -> Tensor:
        plan = Plan(labels, both, 2, seed=seed)
        steps = decoded(plan, Encoded(large, np.zeros(2, int), size=8, area=(0.1, 0.5)), start=0, stop=2)
        # One picture, cut 2 seeds x 2 steps x 2 streams x 2 views x 2 rows times.
        return torch.stack([batch.images for step in steps for micro in step for batch in micro])

    crops = torch.stack([of(0), of(1)]).reshape(32, -1)
    assert len(torch.unique(crops, dim=0)) == 32


def test_labels_match_images() -> None:
    labels = np.arange(12) % 4

    def colour(i: int) -> np.ndarray:
        return np.full((21 - i, 9 + i, 3), (20 * i, 50 * (i % 4), 7), np.uint8)

    plan = Plan(labels, DUAL, 12, seed=0)
    for area in (None, (0.1, 1.0)):
        source = Source(labels, ("a", "b", "c", "d"), colour, [""] * 12)
        for [micro] in decoded(plan, Encoded(source, np.arange(12), size=8, area=area), start=0, stop=3):
            for batch in micro:
                for view in batch.images:
                    assert (view[:, 1] == 50 * batch.labels[:, None, None]).all()
            assert sorted((micro[0].images[0, :, 0, 0, 0] // 20).tolist()) == list(range(12))


def test_workers_take_nothing_from_the_chance_of_others() -> None:
    before = torch.get_rng_state()
    decode(Plan(LONG_TAIL, DUAL, 8, seed=0), SAME, workers=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_workers_get_can_be_pickled() -> None:
    # Where processes are not forked (macOS, Windows, Python 3.14) it must be.
    plan = Plan(LONG_TAIL, DUAL, 8, seed=0)
    plan.rows(0)
    assert pickle.loads(pickle.dumps((plan, MIXED, INDICES)))[0].rows(3)[1].tolist() == plan.rows(3)[1].tolist()


# --- stack ------------------------------------------------------------------------------------------------------------


def test_stack_decodes_in_the_order_asked_for() -> None:
    pixels = stack(SAME, np.array([5, 0, 5]), size=None)
    assert pixels.shape == (3, 3, 16, 16) and pixels.dtype == torch.uint8
    assert torch.equal(pixels[0], pixels[2])
    np.testing.assert_array_equal(pixels[1].permute(1, 2, 0), np.asarray(SAME.image(0)))
    assert stack(MIXED, INDICES, size=12).shape == (37, 3, 12, 12)


def children() -> list[Any]:
    return [child for child in multiprocessing.active_children() if child.pid]


SIZES_DIFFER = "images differ in size: picture/0 has 30 x 20 pixels, picture/1 has 25 x 40; set data.image_size"


def test_images_of_different_sizes_need_a_size() -> None:
    with pytest.raises(ValueError, match="differ in size") as error:
        stack(MIXED, np.arange(5), size=None)
    assert str(error.value) == SIZES_DIFFER


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_in_workers_are_one_line(workers: int) -> None:
    plan = Plan(LONG_TAIL, DUAL, 8, seed=0)
    with pytest.raises(ValueError, match="differ in size") as error:
        decode(plan, MIXED, workers=workers)
    assert str(error.value).endswith("; set data.image_size") and "\n" not in str(error.value)

    def broken(index: int) -> np.ndarray:
        if index == 30:
            raise ValueError("file 30 cannot be decoded")
        return SAME.image(index)

    source = Source(SAME.labels, SAME.class_names, broken, SAME.ids)
    for area in (None, (0.5, 1.0)):
        with pytest.raises(ValueError, match="file 30") as error:
            decode(plan, source, workers=workers, size=8, area=area)
        assert str(error.value) == "file 30 cannot be decoded"
        assert "in broken" in error.value.__notes__[0]  # who looks for a bug sees where it happened
    assert not children()


# --- interruptions ----------------------------------------------------------------------------------------------------


def gone(processes: list[Any]) -> bool:
    for process in processes:
        process.join(timeout=10)
    return not any(process.is_alive() for process in processes)


def running(plan: Plan) -> tuple[Any, Step]:
    steps = decoded(plan, Encoded(SAME, INDICES), workers=2, start=0, stop=40)
    assert not children()  # nothing is started before it is asked for
    return steps, next(steps)


def test_workers_leave_interrupts_to_the_process_that_trains() -> None:
    plan = Plan(LONG_TAIL, DUAL, 8, seed=0)
    steps, first = running(plan)
    for worker in children():
        os.kill(worker.pid, signal.SIGINT)
        if sys.platform == "linux":
            # As a scheduler does it, which signals all processes of a job: not from us.
            subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    same([first, *steps], list(in_memory(plan, stack(SAME, INDICES, size=None), start=0, stop=40)))
    assert not children()


def test_workers_end_with_the_batches() -> None:
    steps, _ = running(Plan(LONG_TAIL, DUAL, 8, seed=0))
    workers = children()
    assert len(workers) == 2
    steps.close()
    assert gone(workers)


def test_workers_obey_the_process_that_trains() -> None:
    # multiprocessing ends daemons by SIGTERM and waits for them: if they ignored it, a program with a bug would hang.
    code = """
import numpy as np
from longtail.data import batches, sources
source = sources.Source(np.zeros(64, int), ("a",), lambda i: np.zeros((8, 8, 3), np.uint8), [""] * 64)
plan = batches.Plan(source.labels, (batches.Stream("instance"),), 2, seed=0)
steps = batches.decoded(plan, batches.Encoded(source, np.arange(64)), workers=2, start=0, stop=1000)
next(steps)
raise AssertionError("a bug")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("AssertionError: a bug"), ended.stderr
