"""Format detection: which of all formats custom data has, by the names and the beginnings of its files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from longtail.data.source import PARTS, Part
from longtail.data.sources import coco, image_folder, lists, manifest
from longtail.data.sources.columns import part_in, part_of
from longtail.data.sources.format import Format
from longtail.data.sources.hf_parquet import check_complete
from longtail.text import first_few, join_or, yaml_value

# All formats. Of those with the same ending, the first that recognises a file reads it; if none does, the last, which
# says what is wrong. Image folders come last: whatever is no other format is one, perhaps without images.
FORMATS: tuple[Format, ...] = (
    manifest.HUB,
    manifest.TABLE,
    coco.CAMERA_TRAPS,
    coco.INATURALIST,
    lists.LIST,
    image_folder.IMAGE_FOLDER,
)

_NUMBER = re.compile(r"-\d+(-of-\d+)?$")  # of a piece of a large table


class Detected(NamedTuple):
    """How data is read.

    Args:
        format: its format.
        title: the same for people, with the files.
        files: what is read, each with the part of the split that it is, if it is one.
    """

    format: Format
    title: str
    files: Sequence[tuple[Path, Part | None]]


def names() -> tuple[str, ...]:
    """Names of all formats, as the setting `data.form` takes them."""
    return tuple(each.name for each in FORMATS)


def endings() -> tuple[str, ...]:
    """Endings of files that list or hold images.

    >>> ".csv" in endings(), ".png" in endings()
    (True, False)
    """
    return tuple(dict.fromkeys(ending for each in FORMATS for ending in each.endings))


def detect(path: Path, *, form: str | None = None, label_column: str | None = None) -> Detected:
    """Detect the format of data.

    Args:
        path: a folder or a file.
        form: the name of its format, where the user has set it.
        label_column: of a table, where the user has named it.
    Raises: ValueError if it has no format, or several; FileNotFoundError if there is nothing.
    """
    if form not in (None, *names()):
        raise ValueError(f"data.form is {yaml_value(form)}; allowed: {join_or(names())}")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    found = {_of_file(path): [path]} if path.is_file() else _of_folder(path, label_column)
    titles = {each: _title(each, files, path) for each, files in found.items()}
    wanted = [each for each in FORMATS if each.name == form]
    fitting = [each for each in found if form is None or each.is_like(wanted[0])]
    match fitting:
        case [one]:
            return Detected(one, titles[one], _by_part(path, titles[one], found[one]))
        case []:
            others = join_or([f"{titles[each]} ({each.name})" for each in found])
            raise ValueError(f"{path} cannot be read with data.form={form}; it could be {others}")
        case _:
            raise ValueError(
                f"{path} can be read as {' or as '.join(titles[each] for each in fitting)}; choose with "
                f"{' or '.join(f'data.form={each.name}' for each in fitting)}"
            )


def _title(format_: Format, files: Sequence[Path], path: Path) -> str:
    if not format_.endings:
        return format_.title
    title = format_.title_of(files[0])
    return title if files == [path] else f"{title} ({first_few([file.name for file in files])})"


def _of_file(file: Path) -> Format:
    """The format of a file that the user named: it is read, or said to be damaged, though nothing recognises it."""
    able = [each for each in FORMATS if file.suffix.lower() in each.endings]
    if not able:
        raise ValueError(
            f"{file} is no data that can be read; allowed: a folder, or a file that ends in {join_or(endings())}"
        )
    return next((each for each in able if each.recognise(file, None)), able[-1])


def _of_folder(folder: Path, label_column: str | None) -> dict[Format, list[Path]]:
    """All formats that a folder could have, with their files. One without any is an image folder without classes."""
    # Parquet lies in `data` in a repository of the Hub; the tables of Hub-style image folders in the folder of a part.
    inside = [
        *folder.glob("data/*.parquet"),
        *(file for file in folder.glob("*/metadata.*") if part_of(file.parent.name)),
    ]
    files = [
        file
        for file in sorted([*folder.iterdir(), *inside])
        if file.suffix.lower() in endings() and not file.name.startswith(".") and file.is_file()
    ]
    found: dict[Format, list[Path]] = {}
    for file in files:
        able = (each for each in FORMATS if file.suffix.lower() in each.endings)
        recognised = next((each for each in able if each.recognise(file, label_column)), None)
        if recognised:
            found.setdefault(recognised, []).append(file)
    found = _families_joined(found)
    folders = [each for each in FORMATS if not each.endings]
    found |= {each: [] for each in folders if each.recognise(folder, label_column)}
    return found or {folders[-1]: []}


def _families_joined(found: dict[Format, list[Path]]) -> dict[Format, list[Path]]:
    """The files of each family as one: of one split, some parts may have locations and others none."""
    joined: dict[Format, list[Path]] = {}
    for format_ in found:
        first = next(each for each in FORMATS if each in found and each.is_like(format_))
        joined.setdefault(first, []).extend(found[format_])
    return {each: sorted(files) for each, files in joined.items()}


def _by_part(folder: Path, title: str, files: Sequence[Path]) -> list[tuple[Path, Part | None]]:
    """The files of each part of the split.

    Raises: ValueError if there are several and they are no such parts.
    """
    if len(files) < 2:
        return [(file, None) for file in files]
    groups: dict[tuple[Part | None, str], list[Path]] = {}
    for file in files:
        stem = _NUMBER.sub("", file.stem)
        above = part_of(file.parent.name) if file.parent.parent == folder else None
        groups.setdefault((above, stem) if above else part_in(stem) or (None, stem), []).append(file)
    # Names that differ in more than the part are no split: birds_train.csv beside cars_test.csv.
    if len({rest for _, rest in groups}) > 1 or (len(groups) > 1 and any(part is None for part, _ in groups)):
        raise ValueError(f"{folder} can be read as {title}, but these are no parts of one split; name one file instead")
    for some in groups.values():
        check_complete(some)
    ordered = sorted(groups, key=lambda key: PARTS.index(key[0]) if key[0] else 0)
    return [(file, key[0]) for key in ordered for file in groups[key]]
