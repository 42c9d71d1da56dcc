"""The decoded-image cache: all images of a source decoded and shrunk once, in one memory-mapped file."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from jaxtyping import Int

from longtail.data import worker_pool
from longtail.data.crops import shrunk
from longtail.data.decode import UnreadableError, size_of
from longtail.data.source import Pixels, Source, fingerprint
from longtail.data.worker_pool import Progress
from longtail.runtime.files import replacing

_VERSION = 1  # of what is in the files, and of how images are decoded and shrunk
_PIXELS, _SIZES, _ABOUT = "pixels.bin", "sizes.npy", "about.json"
_SAMPLED = 1000  # headers from which the room is estimated
_AT_ONCE = 8 * 2**20  # bytes of pixels that a process hands over


@dataclass(frozen=True)
class Decoded:
    """A source whose images are decoded.

    Args:
        source: the same images, ready; small to hand to other processes, which open the file themselves.
        unreadable: positions of images that cannot be decoded, with the reason.
    """

    source: Source
    unreadable: Mapping[int, str]


def decode_once(
    source: Source,
    *,
    shorter_side: int | None,
    folder: Path,
    header_sizes: Int[np.ndarray, "headers 2"] | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Decoded:
    """Decode all images, unless that was done before, and keep them in a file.

    The same images are found again by their names, labels, and the size and time of each file. What another process
    is decoding is waited for. What was interrupted or damaged is decoded again.

    Args:
        source: whose images are files, or bytes that files would hold.
        shorter_side: in pixels, to which larger images are shrunk; `None`: they stay as they are.
        folder: where the caches are; it is made if need be.
        header_sizes: width and height of some images, for an estimate of the room; `None`: their headers are read.
        workers: processes that decode; 0: this one.
        progress: is called with how many images of how many are done.
    Raises: ValueError if there is no room, or nothing may be written there.
    """
    place = folder / _key(source, shorter_side)
    if (found := _load(place, source)) and not _repaired(source, found.unreadable):
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Trainings that start at the same time, as those of a comparison, would decode all images each and write over
        # each other. The lock ends with its process, so none is left behind by a crash.
        with FileLock(f"{place}.lock"):
            if (found := _load(place, source)) and not _repaired(source, found.unreadable):
                return found  # another process was quicker
            known = _header_sizes(source) if header_sizes is None else header_sizes
            each = _bytes_each(known, shorter_side)
            _write(place, source, shorter_side, each, workers, progress)
    except OSError as error:
        wrong = "is full" if error.errno == errno.ENOSPC else f"cannot be written to: {error.strerror}"
        raise ValueError(f"{folder}, where decoded images are kept, {wrong}; {_ADVICE}") from error
    found = _load(place, source)
    assert found
    return found


_ADVICE = "let XDG_CACHE_HOME name a folder elsewhere, or decode images anew each time with --set data.packed=false"


def find_unreadable(source: Source, *, workers: int = 0, progress: Progress | None = None) -> Mapping[int, str]:
    """Decode all images only to find those that cannot be.

    Args:
        source: the images.
        workers: processes that decode; 0: this one.
        progress: is called with how many images of how many are done.
    Returns: positions of unreadable images, with the reason.

    >>> find_unreadable(Source(np.array([0]), ("cat",), lambda i: np.zeros((8, 8, 3), np.uint8), ["1.png"]))
    {}
    """
    unreadable = dict[int, str]()
    for chunk, reasons in worker_pool.map_chunks(source, _reasons, workers=workers):
        unreadable.update(reasons)
        if progress:
            progress(chunk.stop, len(source.labels))
    return unreadable


def _reasons(source: Source, chunk: range) -> dict[int, str]:
    return {i: image for i in chunk if isinstance(image := _image(source, i), str)}


def _image(source: Source, index: int) -> Pixels | str:
    """An image, or the reason why it cannot be read."""
    try:
        return source.image(index)
    except UnreadableError as error:
        return error.reason


def _images(shorter_side: int | None, source: Source, chunk: range) -> list[Pixels | str]:
    images = (_image(source, i) for i in chunk)
    return [image if isinstance(image, str) else shrunk(image, shorter_side) for image in images]


def _key(source: Source, shorter_side: int | None) -> str:
    """A digest of all that decides what is in the cache of a source."""
    assert source.encoded
    digest = hashlib.sha256(f"{_VERSION} {shorter_side} {fingerprint(source)}".encode())
    for i in range(len(source.labels)):
        encoded = source.encoded(i)
        if isinstance(encoded, bytes):
            digest.update(hashlib.sha256(encoded).digest())
            continue
        try:
            status = encoded.stat()
        except (OSError, ValueError):  # it is not there, or its name is none
            digest.update(b"nothing")
        else:
            known = f"{encoded.absolute()}\0{status.st_size} {status.st_mtime_ns} {stat.S_IFMT(status.st_mode)}"
            digest.update(os.fsencode(known))
    return digest.hexdigest()[:24]


def _write(
    place: Path, source: Source, shorter_side: int | None, each: float, workers: int, progress: Progress | None
) -> None:
    """Write a cache beside its place, then move it there, so that no half of one is found; images take `each` bytes."""
    images = len(source.labels)
    need, free = round(each * images * 1.02), shutil.disk_usage(place.parent).free
    if need > free:
        raise ValueError(
            f"decoded images need about {_gigabytes(need)} in {place.parent}, which has {_gigabytes(free)} left; "
            f"{_ADVICE}"
        )
    shutil.rmtree(place, ignore_errors=True)  # if it is there, it is damaged
    with replacing(place) as unfinished:
        unfinished.mkdir()
        sizes, unreadable = np.zeros((images, 2), np.int32), dict[int, str]()
        chunk = int(np.clip(_AT_ONCE // max(each, 1), 1, 64))
        with (unfinished / _PIXELS).open("wb") as file:
            for done, some in worker_pool.map_chunks(
                source, partial(_images, shorter_side), workers=workers, chunk=chunk
            ):
                for i, image in zip(done, some, strict=True):
                    if isinstance(image, str):
                        unreadable[i] = image
                    else:
                        sizes[i] = image.shape[:2]
                        file.write(np.ascontiguousarray(image).data)
                if progress:
                    progress(done.stop, images)
            _flush(file)
        np.save(unfinished / _SIZES, sizes)
        about = {"sizes": _digest(unfinished / _SIZES), "unreadable": unreadable}
        with (unfinished / _ABOUT).open("w", encoding="utf-8") as file:
            json.dump(about, file)
            _flush(file)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())  # or a power cut may leave a file of the right length with nothing in it


def _header_sizes(source: Source) -> Int[np.ndarray, "headers 2"]:
    """Width and height of some images."""
    assert source.encoded
    sampled = np.unique(np.linspace(0, len(source.labels) - 1, _SAMPLED).astype(np.int64)).tolist()
    sizes = [size for i in sampled if (size := size_of(source.encoded(i)))]
    return np.array(sizes, np.int64).reshape(-1, 2)


def _bytes_each(sizes: Int[np.ndarray, "headers 2"], shorter_side: int | None) -> float:
    """About how many bytes an image takes, by the sizes of some."""
    return float(np.mean([_bytes((width, height), shorter_side) for width, height in sizes.tolist()] or [0]))


def _bytes(size: tuple[int, int], shorter_side: int | None) -> float:
    scale = min(1.0, (shorter_side or np.inf) / min(size))
    return 3 * size[0] * size[1] * scale**2


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _load(place: Path, source: Source) -> Decoded | None:
    """The cache that was made before; `None` if there is none that is whole."""
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        unreadable = {int(position): str(reason) for position, reason in about["unreadable"].items()}
        cached = _Cached(place, unreadable, source.ids)
        if about["sizes"] != _digest(place / _SIZES) or not cached.is_whole(len(source.labels)):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Decoded(replace(source, image=cached), unreadable)


def _repaired(source: Source, unreadable: Mapping[int, str]) -> bool:
    """Whether an image can be read by now, since this user may, or since a disk is there again."""
    return any(not isinstance(_image(source, i), str) for i in unreadable)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class _Cached:
    """Images of a cache. Other processes get the names of its files, and open them when they need an image."""

    def __init__(self, place: Path, unreadable: Mapping[int, str], ids: Any) -> None:
        self.place, self.unreadable, self.ids = place, unreadable, ids

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_pixels", "_sizes", "_starts")}

    def __call__(self, index: int) -> Pixels:
        if index in self.unreadable:
            raise UnreadableError(self.ids[index], self.unreadable[index])
        height, width = self._sizes[index].tolist()
        start = int(self._starts[index])
        return self._pixels[start : start + 3 * height * width].reshape(height, width, 3)

    def is_whole(self, images: int) -> bool:
        size = (self.place / _PIXELS).stat().st_size
        return self._sizes.shape == (images, 2) and size == int(self._starts[-1])

    @cached_property
    def _sizes(self) -> Int[np.ndarray, "images 2"]:
        return np.load(self.place / _SIZES, allow_pickle=False)

    @cached_property
    def _starts(self) -> Int[np.ndarray, " one_more"]:
        return np.concatenate([[0], np.cumsum(3 * self._sizes.astype(np.int64).prod(1))])

    @cached_property
    def _pixels(self) -> np.ndarray:
        # A plain array: slicing a memmap takes ten times as long.
        return np.asarray(np.memmap(self.place / _PIXELS, np.uint8, mode="r"))
