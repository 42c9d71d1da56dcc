"""Streams and batches: which images go into each step, and the loader that decodes them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from longtail.data.crops import centre_crop, channels_first, random_crop
from longtail.data.loader import by_workers
from longtail.data.sampler import Sampler, Weights
from longtail.data.source import Source
from longtail.runtime.seeds import DECODE, ORDER

Sampling = Literal["instance", "balanced"]
Rows = tuple[Int[np.ndarray, " batch"], ...]


class Stream(NamedTuple):
    """One sequence of batches: how its images are drawn, and in how many differently augmented views each comes.

    Args:
        sampling: "instance": each image equally often; "balanced": each class equally often.
        views: at least 1.
    """

    sampling: Sampling
    views: int = 1


class Mixed(NamedTuple):
    """What else is in each image of a batch.

    Args:
        labels: `(B,)`, of the other image that a part was taken from.
        share: `(B,)`, of the image's area that is of the other one, in `[0, 1]`.
    """

    labels: Int[Tensor, " batch"]
    share: Float[Tensor, " batch"]


class Batch(NamedTuple):
    """Images of one stream in one step.

    Args:
        images: `(V, B, 3, H, W)`, uint8 from a loader, normalised float32 for a method.
        labels: `(B,)`, in `[0, C)`.
        mixed: what was mixed into the images; `None`: nothing.
        weights: how much the loss of each counts; `None`: 1.
    """

    images: UInt8[Tensor, "views batch 3 h w"] | Float[Tensor, "views batch 3 h w"]
    labels: Int[Tensor, " batch"]
    mixed: Mixed | None = None
    weights: Weights | None = None


def order(
    labels: Int[np.ndarray, " images"], sampling: Sampling, *, seed: int, stream: int, epoch: int
) -> Int[np.ndarray, " images"]:
    """The order in which a stream draws images during one epoch.

    Any epoch can be asked for directly: nothing is remembered. "instance" is a permutation. "balanced" deals the
    classes in shuffled rounds: from the start of the epoch on, two classes never differ by more than one image, and in
    any stretch of it by no more than two. It deals the images of a class without repetition until all were dealt, so
    images of rare classes come many times, some of frequent classes not at all. A class without images is left out.

    Args:
        labels: `(N,)`, in `[0, C)`.
        sampling: see `Stream`.
        seed: of the run, at least 0.
        stream: position of the stream in its method, so that two streams differ.
        epoch: from 0.
    Returns: `(N,)` indices into `labels`.

    >>> order(np.array([0, 0, 0, 1]), "balanced", seed=0, stream=0, epoch=0).tolist().count(3)
    2
    """
    rng = np.random.default_rng([seed, ORDER, stream, epoch])
    n = len(labels)
    if sampling == "instance":
        return rng.permutation(n)
    classes = np.unique(labels)
    rounds = -(-n // len(classes))
    turns = rng.permuted(np.tile(classes, (rounds, 1)), axis=1).ravel()[:n]
    dealt = np.empty(n, dtype=np.int64)
    for turn, images in zip(_by_class(turns, classes), _by_class(labels, classes), strict=True):
        passes = -(-len(turn) // len(images))
        dealt[turn] = rng.permuted(np.tile(images, (passes, 1)), axis=1).ravel()[: len(turn)]
    return dealt


def _by_class(labels: Int[np.ndarray, " n"], classes: Int[np.ndarray, " classes"]) -> list[np.ndarray]:
    """Positions of each class, ascending."""
    positions = np.argsort(labels, kind="stable")
    return np.split(positions, np.searchsorted(labels[positions], classes[1:]))


@dataclass(frozen=True, eq=False)
class Plan:
    """Which images every process sees in every step, from arguments alone.

    A step takes `batch_size` images of each stream, over all processes. They are cut into `accumulate` micro-batches,
    and a process takes every `world`-th row of each: the union over processes does not depend on their number. An
    epoch has as many steps as whole batches fit into the natural set; the rest of its order is not used.

    Args:
        labels: `(N,)` of the training images.
        streams: of the method.
        batch_size: images a stream and step, divisible by `accumulate * world`, at most N.
        seed: of the run.
        accumulate: micro-batches a step, at least 1.
        rank: of this process, in `[0, world)`.
        world: number of processes.
    Raises: ValueError if the batch is larger than the data, or cannot be divided.
    """

    labels: Int[np.ndarray, " images"]
    streams: Sequence[Stream]
    batch_size: int
    seed: int
    accumulate: int = 1
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch_size > len(self.labels):
            raise ValueError(f"batch_size is {self.batch_size}; there are only {len(self.labels)} training images")
        if self.batch_size % (self.accumulate * self.world):
            raise ValueError(
                f"batch_size is {self.batch_size}; it must be divisible by accumulate x devices = "
                f"{self.accumulate} x {self.world}"
            )

    @property
    def steps_per_epoch(self) -> int:
        return len(self.labels) // self.batch_size

    def rows(self, step: int) -> Rows:
        """Indices of the images of one step over all processes, `(batch_size,)` for each stream."""
        epoch, position = divmod(step, self.steps_per_epoch)
        chosen = slice(position * self.batch_size, (position + 1) * self.batch_size)
        return tuple(_order_of(self, stream, epoch)[chosen] for stream in range(len(self.streams)))

    def shares(self) -> list[slice]:
        """Positions within a step's rows that this process takes, one slice per micro-batch."""
        micro = self.batch_size // self.accumulate
        return [slice(start + self.rank, start + micro, self.world) for start in range(0, self.batch_size, micro)]


@lru_cache(maxsize=4)  # only to save the time of drawing an order again for every step of its epoch
def _order_of(plan: Plan, stream: int, epoch: int) -> Int[np.ndarray, " images"]:
    return order(plan.labels, plan.streams[stream].sampling, seed=plan.seed, stream=stream, epoch=epoch)


def in_memory(
    plan: Plan,
    pixels: UInt8[Tensor, "images 3 h w"],
    *,
    start: int,
    stop: int,
    sampler: Sampler | None = None,
    progress: Callable[[int], float] = lambda _step: 0.0,
) -> Generator[list[tuple[Batch, ...]], None, None]:
    """Batches of the steps `start` to `stop` from images that are already decoded: looking up is indexing.

    Args:
        plan: which images.
        pixels: `(N, 3, H, W)`, on the device that trains.
        start: first step.
        stop: the step after the last.
        sampler: draws and weighs the images of the first stream; `None`: the plan does, and all weigh the same.
        progress: of the training, in `[0, 1]`, at a step that comes next; only a sampler asks.
    Yields: per step a list of micro-batches, each with one batch a stream. Views are one image repeated, not copied.
    """
    labels = torch.from_numpy(plan.labels).to(pixels.device)
    for step in range(start, stop):
        rows, weights = plan.rows(step), None
        if sampler is not None:
            sampler.begin(step, progress=progress(step))
            rows = (sampler.rows(step), *rows[1:])
            weights = sampler.weights(rows[0]).to(pixels.device)
        step_batches = []
        for share in plan.shares():
            looked_up = (
                _look_up(pixels, labels, torch.from_numpy(row[share]), stream.views)
                for row, stream in zip(rows, plan.streams, strict=True)
            )
            first, *others = looked_up
            if weights is not None:
                first = first._replace(weights=weights.rows(share))
            step_batches.append((first, *others))
        yield step_batches


def _look_up(pixels: Tensor, labels: Tensor, index: Tensor, views: int) -> Batch:
    index = index.to(pixels.device)
    return Batch(pixels[index].expand(views, -1, -1, -1, -1), labels[index])


class _Share(NamedTuple):
    """A micro-batch to decode: an image's row in the step's global batch decides its crops, whoever decodes it."""

    step: int
    rows: slice
    images: Rows


def _shares(plan: Plan, start: int, stop: int) -> Iterator[_Share]:
    for step in range(start, stop):
        rows = plan.rows(step)
        for share in plan.shares():
            yield _Share(step, share, tuple(row[share] for row in rows))


class Encoded(NamedTuple):
    """Images that are decoded when a batch needs them, and cropped to squares of one size.

    Args:
        source: decodes them.
        indices: `(N,)` positions in the source of a plan's images.
        size: side in pixels to which images are cropped and resized; `None` takes them as they are, all of one size.
        area: area range of a random resized crop, drawn anew for each view; `None` crops the centre.
    """

    source: Source
    indices: Int[np.ndarray, " images"]
    size: int | None = None
    area: tuple[float, float] | None = None


def _decode(plan: Plan, encoded: Encoded, share: _Share) -> tuple[Batch, ...]:
    batches = []
    for number, (stream, images) in enumerate(zip(plan.streams, share.images, strict=True)):
        indices = encoded.indices[images]
        if encoded.size is not None and encoded.area is not None:
            rows = range(*share.rows.indices(plan.batch_size))
            keys = [[plan.seed, DECODE, number, share.step, row] for row in rows]
            views = torch.empty(stream.views, len(images), 3, encoded.size, encoded.size, dtype=torch.uint8)
            for b, (key, i) in enumerate(zip(keys, indices, strict=True)):
                image, rng = encoded.source.image(int(i)), np.random.default_rng(key)
                for view in views[:, b]:
                    view.copy_(random_crop(image, encoded.size, encoded.area, rng))
        else:
            views = stack(encoded.source, indices, size=encoded.size).expand(stream.views, -1, -1, -1, -1)
        batches.append(Batch(views, torch.from_numpy(plan.labels[images])))
    return tuple(batches)


def decoded(
    plan: Plan, encoded: Encoded, *, start: int, stop: int, workers: int = 0, pin_memory: bool = False
) -> Generator[list[tuple[Batch, ...]], None, None]:
    """Batches of the steps `start` to `stop` from images decoded on the way, by worker processes if wanted.

    Args:
        plan: which images.
        encoded: the images.
        start: first step.
        stop: the step after the last.
        workers: processes that decode; 0 decodes in this one. Their number changes nothing but the speed.
        pin_memory: put batches into page-locked memory, for a faster way to a CUDA device.
    Yields: as `in_memory`, on the CPU.
    """
    decode = partial(_decode, plan, encoded)
    step: list[tuple[Batch, ...]] = []
    for micro in by_workers(decode, _shares(plan, start, stop), workers=workers, pin_memory=pin_memory):
        step.append(tuple(micro))  # pinning turns a tuple into a list
        if len(step) == plan.accumulate:
            yield step
            step = []


def stack(source: Source, indices: Int[np.ndarray, " images"], *, size: int | None) -> UInt8[Tensor, "images 3 h w"]:
    """Decode images into one array.

    Args:
        source: decodes them.
        indices: `(N,)` positions in the source, at least one.
        size: side in pixels for a centre crop; `None` takes images as they are.
    Raises: ValueError if the images differ in size and `size` is `None`.
    """
    images = (channels_first(centre_crop(source.image(int(i)), size)) for i in indices)
    first = next(images)
    stacked = first.new_empty(len(indices), *first.shape)
    for n, image in enumerate(chain([first], images)):
        if image.shape != first.shape:
            (_, h, w), (_, height, width) = first.shape, image.shape
            raise ValueError(
                f"images differ in size: {source.ids[int(indices[0])]} has {w} x {h} pixels, "
                f"{source.ids[int(indices[n])]} has {width} x {height}; set data.image_size"
            )
        stacked[n] = image
    return stacked
