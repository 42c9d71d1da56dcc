"""Somebody's own data: told from its files, read, and described."""

from pathlib import Path

import numpy as np
import pyarrow

from longtail.data.source import PARTS, Listing
from longtail.data.sources import image_folder, lists_coco
from longtail.data.sources.detect import Form, Reading, tell
from longtail.data.sources.images import Images, found, of_files
from longtail.data.sources.manifest import manifest_images, read_manifest
from longtail.data.sources.records import Records, listing
from longtail.text import first_few, printable, quantity


def read(
    path: Path,
    *,
    form: Form | None = None,
    root: Path | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> Listing:
    """Read images with their labels, splits and groups, whatever form they have.

    Args:
        path: a folder or a file.
        form: how to read it; `None`: as its files tell.
        root: where relative paths of images start; `None`: where the file that names them is.
        label_column: of a table, where it has several that could be the class, or none.
        group_column: of a table: images with the same value are alike.
    Raises: ValueError if the data is damaged, or could be read in two ways; FileNotFoundError if there is none.
    """
    reading = tell(path, form=form, label_column=label_column)
    records = _records(reading, path, root, label_column, group_column)
    return listing(records, reading.words)


def unlabelled(path: Path, *, form: Form | None = None, root: Path | None = None) -> Images:
    """Read images without labels, or whose labels do not matter: one for each row, in the order of the rows.

    Args:
        path: a folder, of which all images are taken, or a file as `read` reads it, with or without labels.
        form: how to read it; `None`: as its files tell, and a folder with images in it or below as images.
        root: where relative paths of images start; `None`: where the file that names them is.
    Raises: ValueError if the data is damaged; FileNotFoundError if there is none.
    """
    if form is None and path.is_dir():
        form = "folder" if any(folder.images for folder in image_folder.walk(path)) else None
    if form == "folder":
        return of_files(path, image_folder.files_below(path))
    reading = tell(path, form=form)
    if reading.form == "folder":
        raise ValueError(f"{path} holds no images, nor a file that lists any")
    files = [file for file, _ in reading.files]
    if reading.form in ("table", "hub"):
        return manifest_images(files, where=path, root=root)
    names = lists_coco.read_paths if reading.form == "list" else lists_coco.coco_images
    return found(path, root or files[0].parent, pyarrow.concat_arrays(map(names, files)))[0]


def _records(
    reading: Reading,
    path: Path,
    root: Path | None,
    label_column: str | None,
    group_column: str | None,
) -> Records:
    if reading.form not in ("table", "hub"):
        for setting, value in (("label_column", label_column), ("group_by", group_column)):
            if value is not None:
                raise ValueError(f"data.{setting} is {value}, but {path} is read as {reading.words}, not as a table")
    match reading.form:
        case "folder":
            if root is not None:
                raise ValueError(
                    f"data.root is {root}, but {path} is read as an image folder, which has no paths in it"
                )
            return image_folder.read_folder(path)
        case "table" | "hub":
            return read_manifest(
                reading.files, where=path, root=root, label_column=label_column, group_column=group_column
            )
        case "list":
            return lists_coco.read_lists(reading.files, where=path, root=root)
        case "inaturalist" | "coco":
            return lists_coco.read_coco(reading.files, where=path, root=root)


def describe(data: Listing) -> tuple[str, ...]:
    """What was understood, in lines: form, images, classes, head and tail, split, groups, and what is worth knowing."""
    names, counts = data.source.class_names, np.bincount(data.source.labels, minlength=len(data.source.class_names))
    order = np.argsort(-counts, kind="stable")
    sizes = [f"{printable(names[c])} {counts[c]:,}" for c in order]
    head = f"classes: {', '.join(sizes)}" if len(sizes) <= 6 else f"largest: {', '.join(sizes[:3])}"
    lines = [f"{data.form}: {quantity(len(data.source.labels), 'image')} in {quantity(len(names), 'class')}", head]
    if len(sizes) > 6:
        lines.append(f"smallest: {', '.join(sizes[-3:])}")
    lines.append(f"split: {_split_in_words(data)}")
    groups = [f"{quantity(len(np.unique(group[group >= 0])), name)}" for name, group in data.groups.items()]
    lines.append(f"groups: {', '.join(groups) or 'none given'}")
    return (*lines, *data.notes)


def _split_in_words(data: Listing) -> str:
    if data.parts is None:
        return "none given"
    numbers = [f"{part} {np.count_nonzero(data.parts == i):,}" for i, part in enumerate(PARTS) if i in data.parts]
    free = np.count_nonzero(data.parts < 0)
    untrained = np.setdiff1d(data.source.labels, data.source.labels[data.parts == PARTS.index("train")])
    return ", ".join([*numbers, *([f"not assigned {free:,}"] if free else [])]) + (
        f"; not in train: {first_few([data.source.class_names[c] for c in untrained])}"
        if len(untrained) and not free
        else ""
    )
