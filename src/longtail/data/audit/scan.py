"""Scans: every image of a source decoded once, and the little that is kept of it."""

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
class Scan:
    """What all N images are.

    Args:
        sizes: width and height in pixels, upright; 0 if it is unreadable.
        digests: equal for equal pixels; empty if it is unreadable.
        thumbnails: small squares; black if it is unreadable.
        unreadable: by position, the reason.
        unusual: by position, what is unusual about the file.
    """

    sizes: Int[np.ndarray, "images 2"]
    digests: tuple[bytes, ...]
    thumbnails: Thumbnails
    unreadable: Mapping[int, str]
    unusual: Mapping[int, tuple[str, ...]]


def scan(source: Source, *, workers: int, progress: Progress | None = None) -> Scan:
    """Decode all images and keep what an audit needs: 800 bytes an image.

    Args:
        source: whose images are files, or bytes that files would hold.
        workers: processes that decode; 0: this one.
        progress: is called with how many images of how many are done.
    """
    images = len(source.labels)
    sizes = np.zeros((images, 2), np.int64)
    thumbnails = np.zeros((images, duplicates.SIDE, duplicates.SIDE, 3), np.uint8)
    digests = list[bytes]()
    unreadable, unusual = dict[int, str](), dict[int, tuple[str, ...]]()
    for chunk, (decoded, reasons) in worker_pool.map_chunks(source, _decode, workers=workers):
        unreadable.update(reasons)
        for position, image in zip(chunk, decoded, strict=True):
            digests.append(image.digest if image else b"")
            if image:
                sizes[position], thumbnails[position] = image.size, image.thumbnail
                if image.unusual:
                    unusual[position] = image.unusual
        if progress:
            progress(chunk.stop, images)
    return Scan(sizes, tuple(digests), thumbnails, unreadable, unusual)


class _Image(NamedTuple):
    """What is kept of one image."""

    size: tuple[int, int]
    digest: bytes
    thumbnail: np.ndarray
    unusual: tuple[str, ...]


def _decode(source: Source, chunk: range) -> tuple[list[_Image | None], dict[int, str]]:
    """What is kept of some images; nothing, but a reason by position, of those that are unreadable."""
    assert source.encoded
    images, reasons = list[_Image | None](), dict[int, str]()
    for position in chunk:
        try:
            found = examine(source.encoded(position), source.ids[position])
        except UnreadableError as error:
            images.append(None)
            reasons[position] = error.reason
        else:
            size, pixels = (found.width, found.height), found.pixels
            images.append(_Image(size, duplicates.digest(pixels), duplicates.thumbnail(pixels), found.unusual))
    return images, reasons
