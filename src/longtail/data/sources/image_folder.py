"""Image folders: a folder for each class, perhaps inside a folder for each part of a split."""

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow

from longtail.data.decode import FORMAT_OF, is_image
from longtail.data.source import PARTS
from longtail.data.sources.columns import part_of
from longtail.data.sources.format import Format, Request
from longtail.data.sources.images import Images, file_names, of_files
from longtail.data.sources.records import Records
from longtail.text import first_few, quantity

# What systems and tools put into folders, beside names that begin with a dot.
_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"})


class Folder(NamedTuple):
    """Files of one folder, by names.

    Args:
        name: of the folder below the root, with slashes; empty for the root.
        images: files with an ending of images.
        others: other files.
        clutter: hidden files and folders, and what systems leave behind.
        again: it is a link to a folder that was read already, and was not read again.
    """

    name: str
    images: list[str]
    others: list[str]
    clutter: int = 0
    again: bool = False


def walk(root: Path) -> Iterator[Folder]:
    """List a folder and all below it, each once: links are followed last, and only to folders that are not listed yet.

    Raises: ValueError if a folder cannot be read.
    """
    seen, waiting, links = set[tuple[int, int]](), deque([""]), deque[str]()
    while waiting or links:
        name = (waiting or links).popleft()
        try:
            status = (root / name).stat()
            entries = sorted(os.scandir(root / name), key=lambda entry: entry.name)
        except OSError as error:
            raise ValueError(f"folder {root / name} cannot be read: {error.strerror}") from error
        if (status.st_dev, status.st_ino) in seen:
            yield Folder(name, [], [], again=True)
            continue
        seen.add((status.st_dev, status.st_ino))
        folder = Folder(name, [], [])
        clutter = 0
        for entry in entries:
            path = f"{name}/{entry.name}" if name else entry.name
            if entry.name.startswith(".") or entry.name.lower() in _CLUTTER:
                clutter += 1
            elif _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(path)
            else:
                (folder.images if is_image(entry.name) else folder.others).append(path)
        yield folder._replace(clutter=clutter)


def natural(name: str) -> tuple[list[str | int], str]:
    """A key by which people sort names: numbers by value.

    >>> sorted(["10.png", "9.png"], key=natural)
    ['9.png', '10.png']
    """
    # Texts and numbers alternate; the name itself comes last, since 1 and 01 are equal as numbers.
    return [int(piece) if i % 2 else piece for i, piece in enumerate(re.split(r"(\d+)", name))], name


def holds_classes(root: Path) -> bool:
    """Whether there are two class folders at least; stops at the second."""
    classes = set[str]()
    for folder in walk(root):
        pieces = [piece for i, piece in enumerate(folder.name.split("/")) if i or part_of(piece) is None]
        if folder.images and any(pieces):
            classes.add("/".join(pieces))
        if len(classes) > 1:
            return True
    return False


def read_folder(request: Request) -> Records:
    """Read an image folder: the class of an image is the folder that holds it, `a/b` for nested ones.

    The folders directly below the root are the parts of a split if they have such names: train, val, test and the like.
    If all that the folder holds is in one folder, that is the root.

    Raises: ValueError if only some folders below the root are named like parts, or if there are no images.
    """
    root = request.path
    if request.root is not None:
        raise ValueError(
            f"data.root is {request.root}, but {root} is read as an image folder, which has no paths in it"
        )
    folders = [*walk(root)]
    full = [folder for folder in folders if folder.images]
    if not full:
        raise ValueError(
            f"{root} holds no image files, nor does any folder in it; allowed: {', '.join(sorted(FORMAT_OF))}"
        )
    top = _top([folder.name for folder in full])
    below = [folder.name[len(top) :] for folder in full]
    split = _is_split(root / top, below)
    rows = []
    for folder, name in zip(full, below, strict=True):
        above, label = name.partition("/")[::2] if split else ("", name)
        part = part_of(above)
        number = PARTS.index(part) if part else -1
        rows += [(image, _text(label), number) for image in folder.images]
    rows.sort(key=lambda row: natural(row[0]))
    files, labels, parts = zip(*rows, strict=True)
    names = file_names(files)
    images = of_files(root, names)
    notes = [f"everything is in {top}"] * bool(top) + [*_notes(folders, {*labels} - {""})]
    return Records(
        images,
        pyarrow.array([label or None for label in labels], pyarrow.string()),
        root,
        lambda row: images.ids[row],
        np.array(parts, np.int64) if split else None,
        notes=tuple(notes),
    )


def images_below(root: Path) -> Images:
    """All image files of a folder and the folders in it, in natural order.

    Raises: ValueError if there are none.
    """
    names = sorted((image for folder in walk(root) for image in folder.images), key=natural)
    if not names:
        raise ValueError(f"{root} holds no images, nor a file that lists any")
    return of_files(root, file_names(names))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _text(name: str) -> str:
    """The name of a folder, which need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _top(names: Sequence[str]) -> str:
    """The way, with a slash at its end, to the one folder that holds all classes or parts; often there is none."""
    way = ""
    while True:
        firsts = {name[len(way) :].partition("/")[0] for name in names}
        first = next(iter(firsts))
        if len(firsts) > 1 or part_of(first) or f"{way}{first}" in names:
            return way
        way += f"{first}/"


def _is_split(root: Path, names: Sequence[str]) -> bool:
    """Whether the folders below the root are parts of a split rather than classes.

    Raises: ValueError if only some are, or if each class has a split of its own.
    """
    tops = {name.partition("/")[0] for name in names} - {""}
    parts = sorted(top for top in tops if part_of(top))
    classes = sorted(tops - {*parts})
    if parts and classes:
        raise ValueError(
            f"{root} holds folders named like parts of a split ({first_few(parts)}) beside others "
            f"({first_few(classes)}); either all are classes or all are parts: rename {first_few(parts)}, or move "
            f"{first_few(classes)} elsewhere"
        )
    last = {name.rpartition("/")[2] for name in names if "/" in name}
    if not parts and last and all(map(part_of, last)) and all("/" in name for name in names if name):
        example = min(name for name in names if name)
        outer, _, inner = example.rpartition("/")
        raise ValueError(
            f"{root} holds folders such as {example}; either that is the name of a class, or {inner} is a part of a "
            f"split: put parts above classes, as in {inner}/{outer}, or rename {inner}"
        )
    if parts and not any("/" in name for name in names):
        raise ValueError(f"{root} holds images in {first_few(parts)}, but no folders of classes in there")
    return bool(parts)


def _notes(folders: Sequence[Folder], classes: set[str]) -> Iterator[str]:
    """What was passed over, and what may be meant otherwise."""
    ways = {way for folder in folders if folder.images for way in _ways(folder.name)}
    empty = [folder.name for folder in folders if folder.name not in ways and not folder.again]
    # Of empty folders inside each other, the outermost is named alone.
    outermost = [name for name in empty if not {*_ways(name)} - {name} & {*empty}]
    others = [name for folder in folders for name in folder.others]
    clutter = sum(folder.clutter for folder in folders)
    again = [folder.name for folder in folders if folder.again]
    if outermost:
        yield f"{quantity(len(outermost), 'folder')} without an image, and so no class: {first_few(outermost)}"
    if others:
        yield f"passed over {quantity(len(others), 'file')} whose names do not end like images: {first_few(others)}"
    if clutter:
        yield f"passed over {quantity(clutter, 'hidden file')} or folders"
    if again:
        yield f"passed over {quantity(len(again), 'link')} to folders that are read already: {first_few(again)}"
    inside = next(((outer, name) for name in sorted(classes) for outer in _ways(name)[1:-1] if outer in classes), None)
    if inside:
        outer, name = inside
        yield f"{outer} holds images and folders with images; {outer} and {name} are read as different classes"


def _ways(name: str) -> list[str]:
    """A folder and all that it is in, the outermost first.

    >>> _ways("a/b")
    ['', 'a', 'a/b']
    """
    pieces = name.split("/") if name else []
    return ["/".join(pieces[:i]) for i in range(len(pieces) + 1)]


IMAGE_FOLDER = Format(
    name="folder",
    title="image folder",
    recognise=lambda folder, _: holds_classes(folder),
    read=read_folder,
    images=lambda request: images_below(request.path),
)
