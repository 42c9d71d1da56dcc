"""Forms: as what somebody's data is to be read, told from its files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from longtail.data.source import PARTS, Part
from longtail.data.sources import image_folder, lists_coco, tables
from longtail.data.sources.columns import LABEL, PATH, part_in, part_of, plain
from longtail.data.sources.hf_parquet import check_complete, image_column, open_parquet
from longtail.text import first_few, join_or

Form = Literal["folder", "table", "hub", "list", "inaturalist", "coco"]

_LISTS = (".txt", ".lst")
LISTINGS = (*tables.KINDS, ".json", *_LISTS)  # endings of files that list images
_NUMBER = re.compile(r"-\d+(-of-\d+)?$")  # of a piece of a large table
_WORDS: dict[Form, str] = {
    "folder": "image folder",
    "table": "manifest",
    "hub": "parquet with images in it",
    "list": "list of paths and class numbers",
    "inaturalist": "iNaturalist JSON",
    "coco": "COCO Camera Traps JSON",
}


class Reading(NamedTuple):
    """How data is read.

    Args:
        form: as what.
        words: as what, for people.
        files: what is read, each with the part of the split that it is, if it is one.
    """

    form: Form
    words: str
    files: Sequence[tuple[Path, Part | None]]


def tell(path: Path, *, form: Form | None = None, label_column: str | None = None) -> Reading:
    """Tell how data is to be read.

    Args:
        path: a folder or a file.
        form: as what, where the user has said it.
        label_column: of a table, where the user has named it.
    Raises: ValueError if it cannot be read, or in two ways; FileNotFoundError if there is nothing.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    files = _possible(path, label_column)
    words = {kind: _in_words(kind, some, path) for kind, some in files.items()}
    fitting: list[Form] = [kind for kind in files if form in (None, kind) or {form, kind} == {"inaturalist", "coco"}]
    match fitting:
        case [kind]:
            return Reading(kind, words[kind], _by_part(path, words[kind], files[kind]))
        case []:
            others = join_or([f"{words[kind]} ({kind})" for kind in files])
            raise ValueError(f"{path} cannot be read with data.form={form}; it could be {others}")
        case _:
            raise ValueError(
                f"{path} can be read as {' or as '.join(words[kind] for kind in fitting)}; choose with "
                f"{' or '.join(f'data.form={kind}' for kind in fitting)}"
            )


def _in_words(form: Form, files: Sequence[Path], path: Path) -> str:
    words = f"{tables.KINDS[files[0].suffix.lower()]} manifest" if form == "table" else _WORDS[form]
    return words if form == "folder" or files == [path] else f"{words} ({first_few([file.name for file in files])})"


def _form_of(file: Path) -> Form:
    """The form of a file, by the ending of its name."""
    match file.suffix.lower():
        case ".parquet":
            return "hub" if _holds_images(file) else "table"
        case ".json":
            return "coco" if lists_coco.is_camera_trap(file) else "inaturalist"
        case ending if ending in tables.KINDS:
            return "table"
        case ending if ending in _LISTS:
            return "list"
    endings = join_or(LISTINGS)
    raise ValueError(f"{file} is no data that can be read; allowed: a folder, or a file that ends in {endings}")


def _possible(path: Path, label_column: str | None) -> dict[Form, list[Path]]:
    """All forms that data could have, with their files. A folder without any is an image folder without classes."""
    if path.is_file():
        return {_form_of(path): [path]}
    # Parquet lies in `data` in a repository of the Hub; the tables of Hub-style image folders in the folder of a part.
    inside = [
        *path.glob("data/*.parquet"),
        *(file for file in path.glob("*/metadata.*") if part_of(file.parent.name)),
    ]
    files = [file for file in sorted([*path.iterdir(), *inside]) if file.suffix.lower() in LISTINGS and file.is_file()]
    found: dict[Form, list[Path]] = {}
    for file in files:
        form = _form_of(file)
        if not file.name.startswith(".") and (form == "hub" or _lists_images(file, form, label_column)):
            found.setdefault(form, []).append(file)
    if "coco" in found and "inaturalist" in found:  # some parts of one split have locations, and others none
        found["coco"] = sorted([*found["coco"], *found.pop("inaturalist")])
    if not found or image_folder.holds_classes(path):
        found["folder"] = []
    return found


def _lists_images(file: Path, form: Form, label_column: str | None) -> bool:
    """Whether a file names images and classes, as far as its beginning tells."""
    if form == "list":
        return lists_coco.is_list(file)
    if form != "table":
        return lists_coco.is_coco(file)
    names = [plain(name) for name in tables.header(file)]
    labels = LABEL if label_column is None else (plain(label_column),)
    return any(name in PATH for name in names) and any(name in labels for name in names)


def _by_part(folder: Path, words: str, files: Sequence[Path]) -> list[tuple[Path, Part | None]]:
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
    if len({rest for _, rest in groups}) > 1 or (len(groups) > 1 and any(part is None for part, _ in groups)):
        raise ValueError(f"{folder} can be read as {words}, but these are no parts of one split; name one file instead")
    for some in groups.values():
        check_complete(some)
    ordered = sorted(groups, key=lambda key: PARTS.index(key[0]) if key[0] else 0)
    return [(file, key[0]) for key in ordered for file in groups[key]]


def _holds_images(file: Path) -> bool:
    with open_parquet(file) as parquet:
        return image_column(file, parquet.schema_arrow) is not None
