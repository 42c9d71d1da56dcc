"""Custom data: a user's files, of whichever format, read and described."""

from pathlib import Path

import numpy as np

from longtail.data.source import PARTS, Listing
from longtail.data.sources import image_folder
from longtail.data.sources.detect import detect
from longtail.data.sources.format import Request
from longtail.data.sources.images import Images
from longtail.data.sources.records import listing
from longtail.text import first_few, printable, quantity


def read(
    path: Path,
    *,
    form: str | None = None,
    root: Path | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> Listing:
    """Read images with their labels, splits and groups, whatever format they have.

    Args:
        path: a folder or a file.
        form: the name of its format; `None`: it is detected.
        root: where relative paths of images start; `None`: where the file that names them is.
        label_column: of a table, where it has several that could be the class, or none.
        group_column: of a table: images with the same value are alike.
    Raises: ValueError if the data is damaged, or could be read in two ways; FileNotFoundError if there is none.
    """
    found = detect(path, form=form, label_column=label_column)
    if not found.format.has_columns:
        for setting, value in (("label_column", label_column), ("group_by", group_column)):
            if value is not None:
                raise ValueError(f"data.{setting} is {value}, but {path} is read as {found.title}, not as a table")
    return listing(found.format.read(Request(path, found.files, root, label_column, group_column)), found.title)


def unlabelled(path: Path, *, form: str | None = None, root: Path | None = None) -> Images:
    """Read images without labels, or whose labels do not matter: one for each row, in the order of the rows.

    Args:
        path: a folder, of which all images are read, or a file as `read` reads it, with or without labels.
        form: the name of its format; `None`: it is detected, but a folder with images in it or below is read as images.
        root: where relative paths of images start; `None`: where the file that names them is.
    Raises: ValueError if the data is damaged; FileNotFoundError if there is none.
    """
    if form is None and path.is_dir() and any(folder.images for folder in image_folder.walk(path)):
        return image_folder.images_below(path)  # also of one class, or of none, in which no format is detected
    found = detect(path, form=form)
    return found.format.images(Request(path, found.files, root))


def describe(data: Listing) -> tuple[str, ...]:
    """What was understood, in lines: format, images, classes, head and tail, split, groups, and notes."""
    names, counts = data.source.class_names, np.bincount(data.source.labels, minlength=len(data.source.class_names))
    order = np.argsort(-counts, kind="stable")
    sizes = [f"{printable(names[c])} {counts[c]:,}" for c in order]
    head = f"classes: {', '.join(sizes)}" if len(sizes) <= 6 else f"largest: {', '.join(sizes[:3])}"
    lines = [f"{data.form}: {quantity(len(data.source.labels), 'image')} in {quantity(len(names), 'class')}", head]
    if len(sizes) > 6:
        lines.append(f"smallest: {', '.join(sizes[-3:])}")
    lines.append(f"split: {_describe_split(data)}")
    groups = [f"{quantity(len(np.unique(group[group >= 0])), name)}" for name, group in data.groups.items()]
    lines.append(f"groups: {', '.join(groups) or 'none given'}")
    return (*lines, *data.notes)


def _describe_split(data: Listing) -> str:
    if data.parts is None:
        return "none given"
    numbers = [f"{part} {np.count_nonzero(data.parts == i):,}" for i, part in enumerate(PARTS) if i in data.parts]
    unassigned = np.count_nonzero(data.parts < 0)
    untrained = np.setdiff1d(data.source.labels, data.source.labels[data.parts == PARTS.index("train")])
    words = ", ".join([*numbers, *([f"not assigned {unassigned:,}"] if unassigned else [])])
    if len(untrained) and not unassigned:
        words += f"; not in train: {first_few([data.source.class_names[c] for c in untrained])}"
    return words
