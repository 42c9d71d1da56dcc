"""Columns of a manifest: which one holds the path, the class, the split or a group, by its name."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from longtail.data.source import Part

# Names as `normalised` writes them. In groups, the widest comes first: a location has many sequences.
PATH = ("filepath", "file_path", "path", "image_path", "img_path", "file_name", "filename", "file", "image", "img")
LABEL = (
    *("label", "labels", "label_name", "class", "class_name", "classname", "category", "category_name", "species"),
    *("class_id", "category_id", "label_id", "class_label", "target"),
)
SPLIT = ("split", "set", "subset", "partition")
GROUPS = {
    "group": ("group", "group_id"),
    "location": (
        *("location", "location_id", "site", "site_id", "camera", "camera_id", "station", "station_id"),
        *("deployment", "deployment_id"),
    ),
    "sequence": ("sequence", "sequence_id", "seq_id", "burst", "burst_id", "event", "event_id"),
}
PART_NAMES: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_PART_TOKEN = re.compile(
    rf"(?<![a-z])(?:{'|'.join(sorted(PART_NAMES, key=len, reverse=True))})(?![a-z])", re.IGNORECASE
)


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Args:
        paths, labels: candidates; with several, what they hold must decide.
        split: the column of the split.
        groups: columns by the name of the group, widest first.
        others: columns of which nothing is known.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    split: str | None = None
    groups: dict[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def identify(
    names: Sequence[str], *, where: str, label_column: str | None = None, group_column: str | None = None
) -> Columns:
    """Identify columns by their names, whatever their order, case, blanks and hyphens.

    Args:
        names: of the columns.
        where: the table, for messages.
        label_column, group_column: columns that the user has named.
    Raises: ValueError if a named column is missing, or two columns mean the same.

    >>> identify(["Image path", "species", "Location"], where="a.csv")
    Columns(paths=('Image path',), labels=('species',), split=None, groups={'location': 'Location'}, others=())
    """
    for setting, column in (("label_column", label_column), ("group_by", group_column)):
        if column is not None and column not in names:
            raise ValueError(f"{where} has no column {column} (data.{setting}); it has {', '.join(names)}")
    free = [name for name in names if name not in (label_column, group_column)]
    paths = _named(free, PATH)
    labels = [label_column] if label_column is not None else _named(free, LABEL)
    splits = _named(free, SPLIT)
    groups = {group: found for group, aliases in GROUPS.items() if (found := _named(free, aliases))}
    if group_column is not None:
        groups = {"group": [group_column], **{group: found for group, found in groups.items() if group != "group"}}
    for meaning, found in (("split", splits), *groups.items()):
        if len(found) > 1:
            raise ValueError(
                f"{where}: columns {' and '.join(found)} could both be the {meaning}; rename or remove one of them"
                + ("" if meaning == "split" else ", or name one with data.group_by")
            )
    known = {*paths, *labels, *splits, *(name for found in groups.values() for name in found)}
    return Columns(
        tuple(paths),
        tuple(labels),
        splits[0] if splits else None,
        {group: found[0] for group, found in groups.items()},
        tuple(name for name in names if name not in known),
    )


def count_known(names: Sequence[str]) -> int:
    """How many of the names are names of columns that mean something.

    >>> count_known(["filepath", "label", "weather"])
    2
    """
    groups = (alias for aliases in GROUPS.values() for alias in aliases)
    return len(_named(names, (*PATH, *LABEL, *SPLIT, *groups)))


def part_of(text: str) -> Part | None:
    """The part of a split that a word means.

    >>> part_of("Val"), part_of("holdout")
    ('validation', None)
    """
    return PART_NAMES.get(text.strip().lower())


def part_in(stem: str) -> tuple[Part, str] | None:
    """The part of a split in the name of a file, and the rest of the name.

    >>> part_in("ImageNet_LT_val"), part_in("trainspotting")
    (('validation', 'ImageNet_LT_*'), None)
    """
    found = [*_PART_TOKEN.finditer(stem)]
    if not found:
        return None
    start, end = found[-1].span()  # train_images_test.csv
    return PART_NAMES[stem[start:end].lower()], f"{stem[:start]}*{stem[end:]}"


def normalised(name: str) -> str:
    """A name of a column without what people write differently.

    >>> normalised(" Class-Name ")
    'class_name'
    """
    return re.sub(r"[\s\-.]+", "_", unicodedata.normalize("NFC", name).strip().lower())


def _named(names: Sequence[str], aliases: Sequence[str]) -> list[str]:
    """The columns with one of the names, in the order of the table."""
    return [name for name in names if normalised(name) in aliases]
