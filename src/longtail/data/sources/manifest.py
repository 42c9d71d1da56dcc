"""Manifests: tables with a row for each image: its path or the image itself, its class, split and groups."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path, PurePath

import numpy as np
import pyarrow
from jaxtyping import Int

from longtail.data.source import PARTS, Part
from longtail.data.sources.columns import GROUPS, LABEL, PART_NAMES, PATH, Columns, identify, normalised, part_of
from longtail.data.sources.format import Format, Request
from longtail.data.sources.hf_parquet import embedded, holds_images
from longtail.data.sources.images import Images, any_exists, file_names, found
from longtail.data.sources.records import Records, is_numbers, numbered
from longtail.data.sources.tables import KINDS, Table, header, read_table
from longtail.text import first_few


def read_manifest(request: Request) -> Records:
    """Read tables of images.

    Raises: ValueError if a table is damaged, or if its columns or rows could mean several things or nothing.
    """
    tables = [read_table(file) for file in request.paths]
    columns = [_columns(table, request.label_column, request.group_column) for table in tables]
    images, notes = _images(tables, columns, request.path, request.root)
    labels, class_names, more = _labels(tables, columns, request.path)
    unused = dict.fromkeys(name for each in columns for name in each.others if name.strip())
    if unused:
        more = (*more, f"columns not used: {first_few([*unused])}")
    starts = list(accumulate((len(table.lines) for table in tables), initial=0))
    return Records(
        images,
        labels,
        request.path,
        partial(_place, tables, starts),
        _parts(tables, columns, [part for _, part in request.files]),
        _groups(tables, columns),
        class_names,
        (*notes, *more),
    )


def manifest_images(request: Request) -> Images:
    """Read tables of images for the images alone.

    Raises: ValueError if a table is damaged, or if it has no column of paths or images.
    """
    tables = [read_table(file) for file in request.paths]
    return _images(tables, [_columns(table, None, None) for table in tables], request.path, request.root)[0]


def is_manifest(file: Path, label_column: str | None) -> bool:
    """Whether a table has columns for the image and for the class, by its first line."""
    names = [normalised(name) for name in header(file)]
    labels = LABEL if label_column is None else (normalised(label_column),)
    return any(name in PATH for name in names) and any(name in labels for name in names)


def _columns(table: Table, label_column: str | None, group_column: str | None) -> Columns:
    names = [name for name in table.names if name != table.images]
    columns = identify(names, where=str(table.file), label_column=label_column, group_column=group_column)
    if columns.labels:
        return columns
    # A column of classes under another name, as fine_label of CIFAR-100.
    classes = tuple(name for name in columns.others if name in table.class_names)
    return replace(columns, labels=classes, others=tuple(name for name in columns.others if name not in classes))


def _place(tables: Sequence[Table], starts: Sequence[int], row: int) -> str:
    at = bisect_right(starts, row) - 1
    return tables[at].place(row - starts[at])


def _images(
    tables: Sequence[Table], columns: Sequence[Columns], where: Path, root: Path | None
) -> tuple[Images, tuple[str, ...]]:
    """The images in the tables, or those that their paths lead to, and notes."""
    if all(table.images is not None for table in tables):
        if root is not None:
            raise ValueError(f"data.root is {root}, but {where} holds the images and has no paths in it")
        return embedded([table.file for table in tables]), ()
    if any(table.images is not None for table in tables):
        raise ValueError(f"{where}: some parquet files hold images and some hold paths; give them one by one")
    base = root or (where if where.is_dir() else where.parent)
    names = []
    for table, each in zip(tables, columns, strict=True):
        paths = _paths(table, each, root or table.file.parent)
        if paths.null_count:
            row = int(np.flatnonzero(paths.is_null().to_numpy(zero_copy_only=False))[0])
            raise ValueError(f"{table.place(row)} has no path of an image")
        if root is None and table.file.parent != base:  # in a folder for each part
            start = table.file.parent.relative_to(base)
            paths = file_names(str(start / path) for path in paths.to_pylist())
        names.append(paths.cast(pyarrow.binary()))
    return found(where, base, pyarrow.concat_arrays(names))


def _paths(table: Table, columns: Columns, root: Path) -> pyarrow.Array:
    """The column of paths; of several, the one whose files exist."""
    if not columns.paths:
        if any(PurePath(name).suffix[1:].isalpha() for name in table.names):
            raise ValueError(f"{table.file} has no line that names its columns; begin it with filepath,label, say")
        raise ValueError(_no_column(table, "path of the image", PATH))
    candidates = {name: table.column(name) for name in columns.paths}
    if len(candidates) > 1:
        leading = {name: each for name, each in candidates.items() if any_exists(root, each.drop_null())}
        if len(leading) != 1:
            which = "both lead to files" if leading else "lead to no files"
            raise ValueError(
                f"{table.file}: columns {' and '.join(leading or candidates)} could be the path of the image, and "
                f"{which}; rename or remove all but one of them, or name the folder where paths start with data.root"
            )
        candidates = leading
    return next(iter(candidates.values()))


def _labels(
    tables: Sequence[Table], columns: Sequence[Columns], where: Path
) -> tuple[pyarrow.Array, tuple[str, ...] | None, tuple[str, ...]]:
    """Labels, names of classes in their order where the files have one, and notes."""
    chosen = [_label_column(table, each) for table, each in zip(tables, columns, strict=True)]
    if not any(chosen):
        advice = ", or name one with data.label_column"
        raise ValueError(_no_column(tables[0], "class", LABEL) + advice)
    labels = pyarrow.concat_arrays([_column(table, name) for table, name in zip(tables, chosen, strict=True)])
    orders = {table.class_names.get(name) for table, name in zip(tables, chosen, strict=True) if name}
    if len(orders) > 1:
        raise ValueError(f"{where}: the files have other names of classes than each other; they must agree")
    dropped = {name for table, each in zip(tables, columns, strict=True) for name in each.labels} - {*chosen}
    notes = (
        (f"classes are named by {chosen[0]}, which says the same as {', '.join(sorted(dropped))}",) if dropped else ()
    )
    return labels, next(iter(orders), None), notes


def _label_column(table: Table, columns: Columns) -> str | None:
    """The column of labels; of several that say the same, one with names rather than numbers.

    Raises: ValueError if they do not say the same.
    """
    if len(columns.labels) < 2:
        return next(iter(columns.labels), None)
    cells = {name: table.column(name) for name in columns.labels}
    numbers = np.stack([numbered(each) for each in cells.values()], axis=1)  # (N, candidates)
    combinations = len(np.unique(numbers, axis=0))
    if any(len(np.unique(numbers[:, i])) != combinations for i in range(numbers.shape[1])):
        raise ValueError(
            f"{table.file}: columns {' and '.join(cells)} could both be the class; name one with data.label_column"
        )
    named = [name for name, each in cells.items() if not is_numbers(each.unique().drop_null().to_pylist())]
    return next(iter([*named, *cells]))


def _parts(
    tables: Sequence[Table], columns: Sequence[Columns], parts: Sequence[Part | None]
) -> Int[np.ndarray, " images"] | None:
    """The part of each image, by its row or its table."""
    if not any(each.split for each in columns) and not any(parts):
        return None
    numbers = []
    for table, each, part in zip(tables, columns, parts, strict=True):
        if each.split is None:
            numbers.append(np.full(len(table.lines), PARTS.index(part) if part else -1))
            continue
        cells = table.column(each.split).dictionary_encode()
        meanings = [part_of(word) for word in cells.dictionary.to_pylist()]
        codes = cells.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for code, meaning in enumerate(meanings):
            if meaning is None or part not in (None, meaning):
                row = int(np.flatnonzero(codes == code)[0])
                allowed = (
                    f"the file is {part} by its name" if meaning else f"allowed: {', '.join(PART_NAMES)}, or nothing"
                )
                raise ValueError(f"{table.place(row)}: {each.split} is {cells.dictionary[code].as_py()!r}; {allowed}")
        numbers.append(np.array([*(PARTS.index(meaning) for meaning in meanings if meaning), -1])[codes])
    return np.concatenate(numbers).astype(np.int64)


def _groups(tables: Sequence[Table], columns: Sequence[Columns]) -> dict[str, pyarrow.Array]:
    """Groups of the images by name; null where a table has no such column."""
    return {
        group: pyarrow.concat_arrays(
            [_column(table, each.groups.get(group)) for table, each in zip(tables, columns, strict=True)]
        )
        for group in GROUPS
        if any(group in each.groups for each in columns)
    }


def _column(table: Table, name: str | None) -> pyarrow.Array:
    return pyarrow.nulls(len(table.lines), pyarrow.string()) if name is None else table.column(name)


def _no_column(table: Table, what: str, names: Sequence[str]) -> str:
    return f"{table.file} has no column for the {what}: it has {', '.join(table.names)}; allowed: {', '.join(names)}"


TABLE = Format(
    name="table",
    title="manifest",
    recognise=is_manifest,
    read=read_manifest,
    images=manifest_images,
    endings=tuple(KINDS),
    titles={ending: f"{kind} manifest" for ending, kind in KINDS.items()},
    has_columns=True,
)
HUB = Format(
    name="hub",
    title="parquet with images in it",
    recognise=lambda file, _: holds_images(file),
    read=read_manifest,
    images=manifest_images,
    endings=(".parquet",),
    has_columns=True,
)
