"""Streams and batches: which images go into each step, and the loader that decodes them."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from longtail.data.sources import Source

Sampling = Literal["instance", "balanced"]
Rows = tuple[Int[np.ndarray, " batch"], ...]

# What chance is used for. Part of every key, so that no two uses share their random numbers.
ORDER, AUGMENT, DECODE, NETWORK = range(4)


class Stream(NamedTuple):
    """One sequence of batches: how its images are drawn, and in how many differently augmented views each comes.

    Args:
        sampling: "instance": each image equally often; "balanced": each class equally often.
        views: at least 1.
    """

    sampling: Sampling
    views: int = 1


class Batch(NamedTuple):
    """Images of one stream in one step.

    Args:
        images: `(V, B, 3, H, W)`, uint8 from a loader, normalised float32 for a method.
        labels: `(B,)`, in `[0, C)`.
    """

    images: UInt8[Tensor, "views batch 3 h w"] | Float[Tensor, "views batch 3 h w"]
    labels: Int[Tensor, " batch"]


def order(
    labels: Int[np.ndarray, " images"], sampling: Sampling, *, seed: int, stream: int, epoch: int
) -> Int[np.ndarray, " images"]:
    """The order in which a stream shows images during one epoch.

    Any epoch can be asked for directly: nothing is remembered. "instance" is a permutation. "balanced" deals the
    classes in shuffled rounds, so in any N draws two classes differ by at most two, and deals the images of a class
    without repetition until all were shown; images of rare classes come many times, some of frequent classes not at
    all. A class without images is left out.

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
    shown = np.empty(n, dtype=np.int64)
    for c in classes:
        turn = np.flatnonzero(turns == c)
        images = np.flatnonzero(labels == c)
        passes = -(-len(turn) // len(images))
        shown[turn] = rng.permuted(np.tile(images, (passes, 1)), axis=1).ravel()[: len(turn)]
    return shown


@dataclass(frozen=True)
class Plan:
    """Which images every process sees in every step, from arguments alone.

    A step takes `batch_size` images of each stream, over all processes. They are cut into `accumulate` micro-batches,
    and a process takes every `world`-th row of each: the union over processes does not depend on their number. An
    epoch has as many steps as whole batches fit into the natural set; the rest of its order is not shown.

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
    _last: dict[int, tuple[int, Int[np.ndarray, " images"]]] = field(default_factory=dict, repr=False, compare=False)

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
        return tuple(self._order(stream, epoch)[chosen] for stream in range(len(self.streams)))

    def _order(self, stream: int, epoch: int) -> Int[np.ndarray, " images"]:
        """The epoch's order; the last one is kept only to save the time of drawing it again for every step."""
        if self._last.get(stream, (-1,))[0] != epoch:
            drawn = order(self.labels, self.streams[stream].sampling, seed=self.seed, stream=stream, epoch=epoch)
            self._last[stream] = (epoch, drawn)
        return self._last[stream][1]

    def shares(self) -> list[slice]:
        """Positions within a step's rows that this process takes, one slice per micro-batch."""
        micro = self.batch_size // self.accumulate
        return [slice(start + self.rank, start + micro, self.world) for start in range(0, self.batch_size, micro)]


def in_memory(
    plan: Plan, pixels: UInt8[Tensor, "images 3 h w"], *, start: int, stop: int
) -> Iterator[list[tuple[Batch, ...]]]:
    """Batches of the steps `start` to `stop` from images that are already decoded: looking up is indexing.

    Args:
        plan: which images.
        pixels: `(N, 3, H, W)`, on the device that trains.
        start: first step.
        stop: the step after the last.
    Yields: per step a list of micro-batches, each with one batch a stream. Views are one image repeated, not copied.
    """
    labels = torch.from_numpy(plan.labels).to(pixels.device)
    for step in range(start, stop):
        rows = [torch.from_numpy(row) for row in plan.rows(step)]
        yield [
            tuple(
                _look_up(pixels, labels, row[share], stream.views)
                for row, stream in zip(rows, plan.streams, strict=True)
            )
            for share in plan.shares()
        ]


def _look_up(pixels: Tensor, labels: Tensor, index: Tensor, views: int) -> Batch:
    index = index.to(pixels.device)
    return Batch(pixels[index].expand(views, -1, -1, -1, -1), labels[index])


class _Key(NamedTuple):
    """One image to decode: its row in the step's global batch decides its random crop, whoever decodes it."""

    step: int
    stream: int
    row: int
    image: int


class _Keys:
    """The keys of every micro-batch, in order: what a data loader calls a batch sampler."""

    def __init__(self, plan: Plan, start: int, stop: int) -> None:
        self.plan, self.start, self.stop = plan, start, stop

    def __len__(self) -> int:
        return (self.stop - self.start) * self.plan.accumulate

    def __iter__(self) -> Iterator[list[_Key]]:
        for step in range(self.start, self.stop):
            rows = self.plan.rows(step)
            for share in self.plan.shares():
                yield [
                    _Key(step, stream, row, int(rows[stream][row]))
                    for stream in range(len(rows))
                    for row in range(*share.indices(self.plan.batch_size))
                ]


class _Decoded(Dataset[tuple[int, Tensor, int]]):
    """Decodes an image into the views its stream asks for."""

    def __init__(
        self, plan: Plan, source: Source, indices: np.ndarray, size: int | None, area: tuple[float, float] | None
    ) -> None:
        self.plan, self.source, self.indices, self.size, self.area = plan, source, indices, size, area

    def __getitem__(self, key: _Key) -> tuple[int, Tensor, int]:
        image = self.source.image(int(self.indices[key.image]))
        views = self.plan.streams[key.stream].views
        if self.size is not None and self.area is not None:
            rng = np.random.default_rng([self.plan.seed, DECODE, key.stream, key.step, key.row])
            shown = torch.stack([pixels_of(random_crop(image, self.size, self.area, rng)) for _ in range(views)])
        else:
            shown = pixels_of(centre_crop(image, self.size)).expand(views, -1, -1, -1)
        return key.stream, shown, int(self.plan.labels[key.image])


def decoded(
    plan: Plan,
    source: Source,
    indices: Int[np.ndarray, " images"],
    *,
    size: int | None,
    area: tuple[float, float] | None,
    workers: int,
    pin_memory: bool,
    start: int,
    stop: int,
) -> Iterator[list[tuple[Batch, ...]]]:
    """Batches of the steps `start` to `stop` from images decoded on the way, by worker processes if wanted.

    Args:
        plan: which images.
        source: decodes them.
        indices: `(N,)` positions in the source of the plan's images.
        size: side in pixels to which images are cropped and resized; `None` takes them as they are, all of one size.
        area: area range of a random resized crop, drawn anew for each view; `None` crops the centre.
        workers: processes that decode; 0 decodes in this one. Their number changes nothing but the speed.
        pin_memory: put batches into page-locked memory, for a faster way to a CUDA device.
        start: first step.
        stop: the step after the last.
    Yields: as `in_memory`, on the CPU.
    """
    loader = DataLoader(
        _Decoded(plan, source, indices, size, area),
        batch_sampler=_Keys(plan, start, stop),
        num_workers=workers,
        collate_fn=partial(_collate, len(plan.streams)),
        pin_memory=pin_memory,
        worker_init_fn=_ignore_interrupts if workers else None,
    )
    step: list[tuple[Batch, ...]] = []
    for micro in loader:
        step.append(micro)
        if len(step) == plan.accumulate:
            yield step
            step = []


def _collate(streams: int, items: list[tuple[int, Tensor, int]]) -> tuple[Batch, ...]:
    batches = []
    for stream in range(streams):
        views, labels = zip(*((views, label) for number, views, label in items if number == stream), strict=True)
        batches.append(Batch(torch.stack(views, dim=1), torch.tensor(labels)))
    return tuple(batches)


def _ignore_interrupts(_worker: int) -> None:
    """Leave Ctrl-C to the process that trains: it finishes the step it is in, and needs its workers for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)


def stack(source: Source, indices: Int[np.ndarray, " images"], *, size: int | None) -> UInt8[Tensor, "images 3 h w"]:
    """Decode images into one array.

    Args:
        source: decodes them.
        indices: `(N,)` positions in the source.
        size: side in pixels for a centre crop; `None` takes images as they are.
    Raises: ValueError if the images differ in size and `size` is `None`.
    """
    images = [pixels_of(centre_crop(source.image(int(i)), size)) for i in indices]
    sizes = {tuple(image.shape[1:]) for image in images}
    if len(sizes) > 1:
        a, b = sorted(sizes)[:2]
        raise ValueError(
            f"images differ in size ({a[1]} x {a[0]} and {b[1]} x {b[0]} pixels, ...); set data.image_size"
        )
    return torch.stack(images)


def in_order(
    source: Source, indices: Int[np.ndarray, " images"], *, size: int | None, workers: int, batch: int
) -> Iterator[UInt8[Tensor, "batch 3 h w"]]:
    """Decode images as `stack` does, a batch at a time, by worker processes if wanted.

    Args:
        source: decodes them.
        indices: `(N,)` positions in the source.
        size: see `stack`.
        workers: processes that decode; 0 decodes in this one.
        batch: images a batch.
    """
    yield from DataLoader(
        _Cropped(source, indices, size),
        batch_size=batch,
        num_workers=workers,
        worker_init_fn=_ignore_interrupts if workers else None,
    )


class _Cropped(Dataset[Tensor]):
    """Decodes an image and cuts out its centre."""

    def __init__(self, source: Source, indices: np.ndarray, size: int | None) -> None:
        self.source, self.indices, self.size = source, indices, size

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Tensor:
        return pixels_of(centre_crop(self.source.image(int(self.indices[position])), self.size))


def pixels_of(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    """An RGB image as an array with the colours first."""
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


def centre_crop(image: Image.Image, size: int | None) -> Image.Image:
    """Resize the shorter side to 8/7 of `size` and cut out the middle (256 and 224 pixels); `None` changes nothing."""
    if size is None:
        return image
    scale = min(image.size) / (size * 8 / 7)
    half = size * scale / 2
    x, y = image.width / 2, image.height / 2
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(x - half, y - half, x + half, y + half))


def random_crop(image: Image.Image, size: int, area: tuple[float, float], rng: np.random.Generator) -> Image.Image:
    """Cut out a random rectangle and resize it to a square.

    Args:
        image: of any size.
        size: side of the result in pixels.
        area: smallest and largest share of the image's area.
        rng: where chance comes from.
    Source: Szegedy et al. 2015, arXiv:1409.4842: aspect ratio between 3/4 and 4/3, ten tries, then the whole image's
        centre, as torchvision does.
    """
    w, h = image.size
    for _ in range(10):
        share, ratio = rng.uniform(*area), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        width, height = round(np.sqrt(w * h * share * ratio)), round(np.sqrt(w * h * share / ratio))
        if 0 < width <= w and 0 < height <= h:
            x, y = rng.integers(w - width + 1), rng.integers(h - height + 1)
            break
    else:
        width, height = min(w, round(h * 4 / 3)), min(h, round(w * 4 / 3))
        x, y = (w - width) // 2, (h - height) // 2
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + width, y + height))
