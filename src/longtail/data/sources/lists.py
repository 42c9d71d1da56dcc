"""Path lists: a line `path class-number` for each image, as of ImageNet-LT and Places-LT."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow

from longtail.data.decode import is_image
from longtail.data.sources.format import Format, Request
from longtail.data.sources.images import Images, file_names, found
from longtail.data.sources.records import Records, clean, part_numbers
from longtail.data.sources.tables import text_of
from longtail.text import yaml_value

# Files beside lists that may name the classes, a line each, in the order of their numbers.
CLASS_NAMES = ("classes.txt", "class_names.txt", "labels.txt")
_LINE = re.compile(r"\s*(.*\S)\s+(\d+)\s*", re.DOTALL)


def read_lists(request: Request) -> Records:
    """Read lists with a line for each image: its path, blanks, and the number of its class.

    Raises: ValueError if a line is no such line, or a class has no name in the file of names beside the lists.
    """
    names, numbers, lengths, places = list[str](), list[int](), list[int](), list[tuple[Path, int]]()
    for file in request.paths:
        before = len(names)
        for line, text in _lines(file):
            match = _LINE.fullmatch(text)
            if match is None:
                raise ValueError(f"{file} line {line} is {yaml_value(text)}; allowed: a path, a blank, and a number")
            names.append(match[1])
            numbers.append(int(match[2]))
            places.append((file, line))
        lengths.append(len(names) - before)
    folder = request.paths[0].parent
    class_names = _class_names(folder)
    nameless = next((row for row, number in enumerate(numbers) if class_names and number >= len(class_names)), None)
    if class_names and nameless is not None:
        file, line = places[nameless]
        raise ValueError(
            f"{file} line {line}: class {numbers[nameless]} has no name; there are {len(class_names)} in {folder}"
        )
    labels = [class_names[number] if class_names else str(number) for number in numbers]
    images, notes = found(request.path, request.root or folder, file_names(names))
    return Records(
        images,
        pyarrow.array(labels, pyarrow.string()),
        request.path,
        lambda row: "{} line {}".format(*places[row]),
        part_numbers([part for _, part in request.files], lengths),
        class_names=class_names,
        notes=notes,
    )


def list_images(request: Request) -> Images:
    """The images of lists, with or without numbers of classes."""
    names = pyarrow.concat_arrays(map(_paths, request.paths))
    return found(request.path, request.root or request.paths[0].parent, names)[0]


def is_list(file: Path) -> bool:
    """Whether the first line of a file is the path of an image and a number."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            match = _LINE.fullmatch(next((line for line in lines if line.strip()), ""))
    except (OSError, UnicodeDecodeError):
        return False
    return match is not None and is_image(match[1])


def _paths(file: Path) -> pyarrow.Array:
    """Paths from a list; `(N,)` binary."""
    return file_names(
        text.strip() if is_image(text.strip()) or match is None else match[1]
        for _, text in _lines(file)
        for match in [_LINE.fullmatch(text)]
    )


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text_of(file).split("\n"), start=1) if line.strip())


def _class_names(folder: Path) -> tuple[str, ...] | None:
    """Names of the classes by number, if there is a file of them.

    Raises: ValueError if two are the same.
    """
    file = next((folder / name for name in CLASS_NAMES if (folder / name).is_file()), None)
    if file is None:
        return None
    names = tuple(clean(line) for _, line in _lines(file))
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{file} has the class {twice[0]!r} twice; each needs a name of its own")
    return names


LIST = Format(
    name="list",
    title="list of paths and class numbers",
    recognise=lambda file, _: is_list(file),
    read=read_lists,
    images=list_images,
    endings=(".txt", ".lst"),
)
