"""Images to predict: files, folders, files that list images, or names on standard input."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from longtail.data.sources import Images, unlabelled
from longtail.data.sources.detect import endings
from longtail.inference.preprocessing import Inputs, read_file

STANDARD_INPUT = "-"


class Query(NamedTuple):
    """One image to predict.

    Args:
        name: as it was given.
        encoded: its file, or what that holds.
    """

    name: str
    encoded: Path | bytes


@dataclass(frozen=True)
class Queries:
    """Images to predict, in the order in which they were named; they can be iterated once.

    Args:
        each: the images.
        total: how many there are; `None` if that is not known before the last.
        paths: that name them, and must not be overwritten meanwhile.
    """

    each: Iterator[Query]
    total: int | None
    paths: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Query]:
        return self.each

    def inputs(self) -> Inputs[Path | bytes]:
        """What the network is to see of them."""
        return Inputs(self.each, read_file, self.total)


def read(paths: Iterable[str], *, lines: Iterable[bytes] = (), root: Path | None = None) -> Queries:
    r"""Find the images to predict. What lists images is read at once; no image is opened.

    Args:
        paths: each a folder, of which all images are taken, with those in folders below it; a file that lists images
            (see `sources.read`; labels are not needed), of which all rows are taken; "-", for `lines`; or an image,
            whether it exists or not.
        lines: names of image files, one a line. They are read one by one as the images are, however many there are.
        root: where relative paths in files that list images start; `None`: where the file is.
    Raises: ValueError if a path is empty, or a folder or a list holds no images or is damaged; FileNotFoundError if
        there is no such list.

    >>> [query.name for query in read(["a.png", "-"], lines=[b"b.png\n"])]
    ['a.png', 'b.png']
    """
    paths = tuple(paths)
    parts = [_part(path, lines, root) for path in paths]
    numbers = [part.total for part in parts if part.total is not None]
    total = sum(numbers) if len(numbers) == len(parts) else None
    return Queries(chain.from_iterable(part.each for part in parts), total, paths)


def _part(path: str, lines: Iterable[bytes], root: Path | None) -> Queries:
    """What one path stands for."""
    if not path:
        raise ValueError("the path of an image is empty; name a file or a folder")
    if path == STANDARD_INPUT:
        names = (line.removesuffix(b"\n").removesuffix(b"\r") for line in lines)
        return Queries((_file(os.fsdecode(name)) for name in names if name), None)
    folder = os.path.isdir(path)  # noqa: PTH112 - no name makes it raise
    if folder or Path(path).suffix.lower() in endings():
        images = _images(Path(path), root)
        return Queries(_listed(images, by_file=folder), len(images.ids))
    return Queries(iter([_file(path)]), 1)


def _images(path: Path, root: Path | None) -> Images:
    try:
        return unlabelled(path, root=root)
    except ValueError as error:  # which speaks of the settings of a training
        raise ValueError(str(error).replace("data.root", "--root")) from error


def _listed(images: Images, *, by_file: bool) -> Iterator[Query]:
    """Images of a folder, each by the path of its file, or of a list, as that names them."""
    for i in range(len(images.ids)):
        encoded = images.encoded(i)
        yield _file(str(encoded)) if by_file and isinstance(encoded, Path) else Query(images.ids[i], encoded)


def _file(path: str) -> Query:
    return Query(_printable(path), Path(path))


def _printable(path: str) -> str:
    r"""A name that can be written down: names of files are bytes, and not always UTF-8.

    >>> print(_printable(os.fsdecode(b"caf\xe9.png")))
    caf\xe9.png
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
