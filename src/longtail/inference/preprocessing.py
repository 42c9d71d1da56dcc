"""Preprocessing: from image files, or from a source, to batches of pixels as the network of a run takes them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int, UInt8

from longtail import recipe
from longtail.data.crops import centre_crop, shrunk
from longtail.data.decode import UnreadableError, decode
from longtail.data.loader import by_workers
from longtail.data.source import Pixels, Source
from longtail.data.worker_pool import cores
from longtail.runs import custom_data

K = TypeVar("K")


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel, of images in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image before the network sees it: shrunk, then cropped, then normalised.

    Args:
        normalisation: of its channels.
        shrunk_side: shorter side to which larger images are shrunk; `None`: they are not. Shrinking twice changes
            nothing, so images from a cache of shrunk ones may be given as well.
        size: side of the square that is cut out of the centre; `None`: images stay as they are.
    """

    normalisation: Normalisation
    shrunk_side: int | None
    size: int | None

    @classmethod
    def of(cls, settings: recipe.Recipe) -> "Preprocessing":
        """That of a training."""
        normalisation = Normalisation(settings.augment.mean, settings.augment.std)
        return cls(normalisation, custom_data.shrunk_side(settings.data), settings.data.image_size)

    def crop(self, pixels: Pixels) -> Pixels:
        """Shrink and crop an image."""
        return centre_crop(shrunk(pixels, self.shrunk_side), self.size)


@dataclass(frozen=True)
class Inputs(Generic[K]):
    """Images to go through a network, in this order; they are decoded when their turn comes.

    Args:
        each: their names, and what `read` needs; an iterator can be used once.
        read: decodes an image, by its name and that; where processes are not forked, something that can be pickled.
        total: how many there are; `None` if that is not known before the last.
    """

    each: Iterable[tuple[str, K]]
    read: Callable[[str, K], Pixels]
    total: int | None

    @classmethod
    def of(cls, source: Source, indices: Int[np.ndarray, " _"]) -> "Inputs[int]":
        """Images of a source, by their positions in it."""
        each = [(source.ids[i], i) for i in map(int, indices)]
        return Inputs(each, partial(_of_source, source), len(each))


def _of_source(source: Source, _name: str, position: int) -> Pixels:
    return source.image(position)


def read_file(name: str, encoded: Path | bytes) -> Pixels:
    """Decode an image file, or what it holds.

    Raises: UnreadableError if it cannot be decoded.
    """
    return decode(encoded, name)


class Batch(NamedTuple):
    """Decoded images, those of one size together.

    Args:
        names: of all n.
        by_size: for each size the positions in the batch, and the pixels, `(some, h, w, 3)`.
        reasons: why there are no pixels, of the other images, by their position.
    """

    names: list[str]
    # Arrays, not tensors: those would keep a file descriptor each while they wait to be used.
    by_size: list[tuple[list[int], UInt8[np.ndarray, "some h w 3"]]]
    reasons: dict[int, str]


def batches(images: Inputs[K], preprocessing: Preprocessing, *, size: int, workers: int | None) -> Iterator[Batch]:
    """Decode and crop images, a batch at a time and in order, by worker processes if wanted.

    Args:
        images: which.
        preprocessing: of the network.
        size: images a batch, at least 1.
        workers: processes that decode; 0: this one; `None`: one for each core if there are many images.
    """
    if workers is None:
        workers = 0 if images.total is not None and images.total <= 2 * size else cores()
    each = iter(images.each)
    chunks = iter(lambda: list(islice(each, size)), [])
    yield from by_workers(partial(_batch, images.read, preprocessing), chunks, workers=workers)


def _batch(read: Callable[[str, K], Pixels], preprocessing: Preprocessing, images: Sequence[tuple[str, K]]) -> Batch:
    by_size: dict[tuple[int, ...], tuple[list[int], list[Pixels]]] = {}
    reasons = dict[int, str]()
    for position, (name, key) in enumerate(images):
        try:
            pixels = preprocessing.crop(read(name, key))
        except UnreadableError as error:
            reasons[position] = error.reason
            continue
        positions, some = by_size.setdefault(pixels.shape, ([], []))
        positions.append(position)
        some.append(pixels)
    stacked = [(positions, np.stack(some)) for positions, some in by_size.values()]
    return Batch([name for name, _ in images], stacked, reasons)
