"""Surveys: every image of a source decoded once, and the little that is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from longtail.data import worker_pool
from longtail.data.audit import duplicates
from longtail.data.audit.duplicates import Thumbnails
from longtail.data.decode import UnreadableError, examine
from longtail.data.source import Source
from longtail.data.worker_pool import Progress


@dataclass(frozen=True)
class Survey:
    """What all N images are.

    Args:
        sizes: width and height in pixels, as the image is to be looked at; 0 if it is unreadable.
        digests: equal for equal pixels; empty if it is unreadable.
        thumbnails: small squares; black if it is unreadable.
        unreadable: by position, the reason.
        odd: by position, what is unusual about the file.
    """

    sizes: Int[np.ndarray, "images 2"]
    digests: tuple[bytes, ...]
    thumbnails: Thumbnails
    unreadable: Mapping[int, str]
    odd: Mapping[int, tuple[str, ...]]


def survey(source: Source, *, workers: int, progress: Progress | None = None) -> Survey:
    """Decode all images and keep what an audit needs: 800 bytes an image.

    Args:
        source: whose images are files, or bytes that files would hold.
        workers: processes that decode; 0: this one.
        progress: is told how many images of how many are done.
    """
    images = len(source.labels)
    sizes, thumbnails = (
        np.zeros((images, 2), np.int64),
        np.zeros((images, duplicates.SIDE, duplicates.SIDE, 3), np.uint8),
    )
    digests = list[bytes]()
    unreadable, odd = dict[int, str](), dict[int, tuple[str, ...]]()
    for chunk, (looks, reasons) in worker_pool.over(source, _look, workers=workers):
        unreadable.update(reasons)
        for position, look in zip(chunk, looks, strict=True):
            digests.append(look.digest if look else b"")
            if look:
                sizes[position], thumbnails[position] = look.size, look.thumbnail
                if look.oddities:
                    odd[position] = look.oddities
        if progress:
            progress(chunk.stop, images)
    return Survey(sizes, tuple(digests), thumbnails, unreadable, odd)


class _Look(NamedTuple):
    size: tuple[int, int]
    digest: bytes
    thumbnail: np.ndarray
    oddities: tuple[str, ...]


def _look(source: Source, chunk: range) -> tuple[list[_Look | None], dict[int, str]]:
    """What is seen of some images; nothing, but a reason by position, of those that are unreadable."""
    assert source.encoded
    looks, reasons = list[_Look | None](), dict[int, str]()
    for position in chunk:
        try:
            seen = examine(source.encoded(position), source.ids[position])
        except UnreadableError as error:
            looks.append(None)
            reasons[position] = error.reason
        else:
            size = (seen.width, seen.height)
            looks.append(_Look(size, duplicates.digest(seen.pixels), duplicates.thumbnail(seen.pixels), seen.oddities))
    return looks, reasons
