"""Forms: as what somebody's data is to be read, told from its files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from longtail import mistakes
from longtail.data.source import PARTS, Part
from longtail.data.sources import folders, listings, tables
from longtail.data.sources.columns import LABEL, PATH, part_in, part_of, plain
from longtail.data.sources.hub import check_complete, image_column, open_parquet
from longtail.data.sources.words import few

Form = Literal["folder", "table", "hub", "list", "inaturalist", "coco"]

_LISTS = (".txt", ".lst")
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
    """One way to read data.

    Args:
        form: how.
        words: how, for people.
        files: what is read, each with the part of the split that it is, if it is one.
    """

    form: Form
    words: str
    files: Sequence[tuple[Path, Part | None]]


def tell(path: Path, *, form: Form | None = None, label_column: str | None = None) -> Reading:
    """Tell how data is to be read.

    Args:
        path: a folder or a file.
        form: how, where the user has said it.
        label_column: of a table, where the user has named it.
    Raises: ValueError if it cannot be read, or in two ways; FileNotFoundError if there is nothing.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    readings = _readings_of_folder(path, label_column, form) if path.is_dir() else _readings_of_file(path)
    if form is not None:
        fitting = [reading for reading in readings if _same(reading.form, form)]
        if not fitting:
            others = mistakes.either([f"{reading.words} ({reading.form})" for reading in readings])
            raise ValueError(
                f"{path} cannot be read with data.form={form}" + (f"; it could be {others}" if others else "")
            )
        readings = fitting
    match readings:
        case [reading]:
            return reading
        case []:
            raise ValueError(
                f"{path} holds no images in folders of classes, and no file that names images and classes (.csv, .tsv, "
                ".jsonl, .parquet, .json, or .txt with a path and a number in each line)"
            )
        case _:
            raise ValueError(
                f"{path} can be read as {' or as '.join(reading.words for reading in readings)}; choose with "
                f"data.form={' or data.form='.join(dict.fromkeys(reading.form for reading in readings))}"
            )


def _same(form: Form, wanted: Form) -> bool:
    return form == wanted or {form, wanted} == {"inaturalist", "coco"}


def _readings_of_file(file: Path) -> list[Reading]:
    ending = file.suffix.lower()
    if ending == ".parquet":
        form: Form = "hub" if _holds_images(file) else "table"
    elif ending in tables.KINDS:
        form = "table"
    elif ending == ".json":
        form = _kind_of_json(file)
    elif ending in _LISTS:
        form = "list"
    else:
        endings = mistakes.either([*tables.KINDS, ".json", *_LISTS])
        raise ValueError(f"{file} is no data that can be read; allowed: a folder, or a file that ends in {endings}")
    return [Reading(form, f"{tables.KINDS[ending]} manifest" if form == "table" else _WORDS[form], [(file, None)])]


def _readings_of_folder(folder: Path, label_column: str | None, form: Form | None) -> list[Reading]:
    """All ways to read a folder."""
    endings = {*tables.KINDS, ".json", *_LISTS}
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in endings and file.is_file())
    files = [file for file in files if not file.name.startswith(".")]
    parquet = [file for file in files if file.suffix.lower() == ".parquet"]
    parquet = parquet or sorted(folder.glob("data/*.parquet"))  # as in a repository of the Hub
    hub = [file for file in parquet if _holds_images(file)]
    found: dict[Form, list[Path]] = {
        "hub": hub,
        "table": [
            file
            for file in [*files, *parquet, *_metadata_of_parts(folder)]
            if file not in hub and file.suffix.lower() in tables.KINDS and _is_manifest(file, label_column)
        ],
        "list": [file for file in files if file.suffix.lower() in _LISTS and listings.is_list(file)],
    }
    for file in files:
        if file.suffix.lower() == ".json" and listings.is_coco(file):
            found.setdefault(_kind_of_json(file), []).append(file)
    readings = [
        Reading(kind, f"{_WORDS[kind]} ({few([file.name for file in some])})", _by_part(folder, kind, some))
        for kind, some in found.items()
        if some and (form is None or _same(kind, form))
    ]
    # A look into folders may take a while, and is not needed if the user has said that it is something else.
    if form in (None, "folder") and (folders.holds_classes(folder) or not readings):
        readings.append(Reading("folder", _WORDS["folder"], []))
    return readings


def _metadata_of_parts(folder: Path) -> list[Path]:
    """Tables beside the images of each part, in `train/metadata.csv` and the like."""
    return sorted(file for file in folder.glob("*/metadata.*") if part_of(file.parent.name))


def _by_part(folder: Path, kind: Form, files: Sequence[Path]) -> list[tuple[Path, Part | None]]:
    """The files of each part of the split.

    Raises: ValueError if there are several and they are no such parts.
    """
    if len(files) == 1:
        return [(files[0], None)]
    groups: dict[tuple[Part | None, str], list[Path]] = {}
    for file in files:
        stem = _NUMBER.sub("", file.stem)
        above = part_of(file.parent.name) if file.parent.parent == folder else None
        groups.setdefault((above, stem) if above else part_in(stem) or (None, stem), []).append(file)
    if len({rest for _, rest in groups}) > 1 or (len(groups) > 1 and any(part is None for part, _ in groups)):
        raise ValueError(
            f"{folder} holds {few([str(file.relative_to(folder)) for file in files])}; each could be read as "
            f"{_WORDS[kind]}, but they are no parts of one split: name one of them instead of the folder"
        )
    for some in groups.values():
        check_complete(some)
    ordered = sorted(groups, key=lambda key: PARTS.index(key[0]) if key[0] else 0)
    return [(file, key[0]) for key in ordered for file in groups[key]]


def _is_manifest(file: Path, label_column: str | None) -> bool:
    names = [plain(name) for name in tables.header(file)]
    labels = LABEL if label_column is None else (plain(label_column),)
    return any(name in PATH for name in names) and any(name in labels for name in names)


def _holds_images(file: Path) -> bool:
    with open_parquet(file) as parquet:
        return image_column(file, parquet.schema_arrow) is not None


def _kind_of_json(file: Path) -> Form:
    return "coco" if listings.is_camera_trap(file) else "inaturalist"
