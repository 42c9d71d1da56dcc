"""Images without labels: the name of each, and its file or what the file holds."""

import operator
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import SupportsIndex, overload

import numpy as np
import pyarrow
from jaxtyping import Int

from longtail.data.decode import decode
from longtail.data.source import Pixels, Source
from longtail.text import printable, quantity


class Names(Sequence[str]):
    r"""Names in Arrow's memory: forked workers would copy a list page by page, as they count references.

    Names of files are bytes, and not always UTF-8; what is not, becomes `\xe9`.

    Args:
        encoded: `(N,)` binary.

    >>> Names(pyarrow.array([b"a.png", b"\xe9.png"]))[1]
    '\\xe9.png'
    """

    def __init__(self, encoded: pyarrow.Array) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.encoded[operator.index(index)].as_py().decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Images:
    """Images without labels.

    Args:
        ids: N names that identify the images for people.
        encoded: the file of image `i`, or what it holds.
    """

    ids: Names
    encoded: Callable[[int], Path | bytes]


def file_names(names: Iterable[str]) -> pyarrow.Array:
    """Names of files as `(N,)` binary, which holds whatever a file system allows.

    >>> file_names(["a.png"])[0].as_py()
    b'a.png'
    """
    return pyarrow.array(map(os.fsencode, names), pyarrow.binary())


def of_files(root: Path, names: pyarrow.Array) -> Images:
    """Images in files.

    Args:
        root: where relative names start.
        names: `(N,)` binary.

    >>> of_files(Path("birds"), file_names(["a.png"])).encoded(0).as_posix()
    'birds/a.png'
    """
    return Images(Names(names), partial(_file, root, names))


def any_exists(root: Path, names: pyarrow.Array) -> bool:
    """Whether any of the files, `(N,)` text or binary, is there.

    >>> any_exists(Path(), file_names(["no-such.png"]))
    False
    """
    start = os.fsencode(root)
    return any(os.path.lexists(os.path.join(start, os.fsencode(name.as_py()))) for name in names)  # noqa: PTH118


def found(where: Path, root: Path, names: pyarrow.Array) -> tuple[Images, tuple[str, ...]]:
    r"""Images in files of which at least one exists; backslashes are read as slashes if it needs that.

    Args:
        where: what names the files, for messages.
        root: where relative names start.
        names: `(N,)` binary.
    Returns: images and notes.
    Raises: ValueError if no file exists, with the first file that was tried.
    """
    if not len(names) or any_exists(root, names):
        return of_files(root, names), ()
    slashed = file_names(os.fsdecode(name.as_py()).replace("\\", "/") for name in names)
    if not slashed.equals(names) and any_exists(root, slashed):
        return of_files(root, slashed), ("backslashes in paths are read as slashes",)
    inside = [folder for place in (root, root.parent) for folder in sorted(place.glob("*/"))[:100]]
    around = (Path.cwd(), *root.absolute().parents[:3], *inside)
    other = next((folder for folder in around if any_exists(folder, names[:100])), None)
    advice = f"data.root={other}, for example" if other else "data.root"
    first = of_files(root, names).encoded(0)
    raise ValueError(
        f"{where} names {quantity(len(names), 'image file')}, but none exists; looked for {printable(str(first))}"
        f"{' and so on' * (len(names) > 1)}; name the folder in which the paths start with {advice}"
    )


def labelled(images: Images, labels: Int[np.ndarray, " images"], class_names: Sequence[str]) -> Source:
    """Join images and their labels."""
    return Source(labels, tuple(class_names), partial(_decoded, images), images.ids, images.encoded)


def subset(images: Images, chosen: Int[np.ndarray, " chosen"]) -> Images:
    """Some of the images, in the order of the positions.

    >>> subset(of_files(Path(), file_names(["a.png", "b.png"])), np.array([1])).ids[0]
    'b.png'
    """
    return Images(Names(images.ids.encoded.take(pyarrow.array(chosen))), partial(_at, images.encoded, chosen))


def _at(encoded: Callable[[int], Path | bytes], chosen: np.ndarray, index: int) -> Path | bytes:
    return encoded(int(chosen[index]))


def _file(root: Path, names: pyarrow.Array, index: int) -> Path:
    return root / os.fsdecode(names[index].as_py())


def _decoded(images: Images, index: int) -> Pixels:
    encoded = images.encoded(index)
    return decode(encoded, str(encoded) if isinstance(encoded, Path) else images.ids[index])
