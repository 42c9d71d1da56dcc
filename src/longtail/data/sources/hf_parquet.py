"""Parquet files with embedded images and labels, in the layout of the Hugging Face Hub."""

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from jaxtyping import Int

from longtail.data.decode import decode
from longtail.data.source import Pixels, Source
from longtail.data.sources.images import Images, Names, file_names
from longtail.text import one_line


def open_parquet(file: Path) -> pyarrow.parquet.ParquetFile:
    """Open a parquet file.

    Raises: ValueError if it is damaged.
    """
    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a complete parquet file: {one_line(error)}") from error


def class_names_of(schema: pyarrow.Schema, label_column: str) -> tuple[str, ...]:
    """Names from the metadata of Hugging Face's libraries; none if there are none."""
    try:
        return tuple(json.loads(schema.metadata[b"huggingface"])["info"]["features"][label_column]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def check_complete(files: Sequence[Path]) -> None:
    """Check that no file is missing, where they carry their number in their names: `train-00000-of-00002.parquet`.

    Raises: ValueError if one is missing, or there are too many.
    """
    numbers = [match.groups() for file in files if (match := re.search(r"-(\d+)-of-(\d+)", file.name))]
    wanted = {int(of) for _, of in numbers}
    if wanted and (len(wanted) > 1 or len(files) != max(wanted)):
        raise ValueError(
            f"{files[0].parent} holds {', '.join(file.name for file in files)}; there must be as many parts as they say"
        )


def read_parquet(files: Sequence[Path], *, label_column: str) -> Source:
    """Read images and labels in the Hub's layout: a struct column `img` or `image` (`bytes`, `path`) and class labels.

    Args:
        files: parts of one split, in order.
        label_column: the integer column; its class names stand in the schema's `huggingface` metadata.
    Raises: ValueError if a file is damaged or has another layout.
    """
    parts = [_read_part(file, label_column) for file in files]
    for file, part in zip(files, parts, strict=True):
        if part.class_names != parts[0].class_names:
            raise ValueError(f"{file} has other class names than {files[0]}; parts of one split must agree")
    labels = np.concatenate([part.labels for part in parts])
    chunks = [chunk for part in parts for chunk in part.images]
    images = _images(chunks)
    decoded = partial(_decoded, chunks, _starts(chunks))
    return Source(labels, parts[0].class_names, decoded, images.ids, images.encoded)


def image_column(file: Path, schema: pyarrow.Schema) -> str | None:
    """The column with encoded images: binary, or a struct with binary `bytes`.

    Raises: ValueError if several columns could be it.
    """
    found = [field.name for field in schema if _is_image(field)]
    if len(found) > 1:
        raise ValueError(f"{file}: columns {' and '.join(found)} could both hold the images; keep one of them")
    return found[0] if found else None


def holds_images(file: Path) -> bool:
    """Whether a parquet file has a column with encoded images.

    Raises: ValueError if it is damaged, or several columns could be it.
    """
    with open_parquet(file) as parquet:
        return image_column(file, parquet.schema_arrow) is not None


def embedded(files: Sequence[Path]) -> Images:
    """The images that parquet files hold, read into memory as they are encoded.

    Args:
        files: each with an `image_column`.
    Returns: images named by the file's name before its first hyphen, and a number: `train/0`.
    Raises: ValueError if a file is damaged.
    """
    chunks = []
    for file in files:
        with open_parquet(file) as parquet:
            column = image_column(file, parquet.schema_arrow)
            assert column is not None
            chunks += _image_chunks(file, read_columns(file, parquet, [column])[column])
    return _images(chunks)


def read_columns(file: Path, parquet: pyarrow.parquet.ParquetFile, columns: Sequence[str]) -> pyarrow.Table:
    """Read some columns; of a struct with `bytes`, `column.bytes` reads nothing else.

    Raises: ValueError if the file is damaged.
    """
    try:
        return parquet.read(columns=list(columns))
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a complete parquet file: {one_line(error)}") from error


class _Chunk(NamedTuple):
    """A piece of a file in Arrow's memory, which loader workers share: no reference counts are written into it."""

    file: Path
    encoded: pyarrow.Array


class _Part(NamedTuple):
    """What a file holds."""

    labels: Int[np.ndarray, " images"]
    class_names: tuple[str, ...]
    images: list[_Chunk]


def _read_part(file: Path, label_column: str) -> _Part:
    with open_parquet(file) as parquet:
        schema = parquet.schema_arrow
        column = next((column for column in ("img", "image") if column in schema.names), None)
        if (
            column is None
            or label_column not in schema.names
            or not pyarrow.types.is_integer(schema.field(label_column).type)
            or not pyarrow.types.is_struct(schema.field(column).type)
            or schema.field(column).type.get_field_index("bytes") < 0
        ):
            layout = ", ".join(f"{field.name} ({field.type})" for field in schema)
            raise ValueError(f"{file} has columns {layout}; need img or image (with bytes), and {label_column} (int64)")
        names = class_names_of(schema, label_column)
        if not names:
            raise ValueError(f"{file} has no names for the classes of {label_column} in its huggingface metadata")
        table = read_columns(file, parquet, [f"{column}.bytes", label_column])
    if table[label_column].null_count:
        raise ValueError(f"{file}: {table[label_column].null_count} images have no label")
    labels = table[label_column].to_numpy().astype(np.int64)
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(names)):
        raise ValueError(f"{file}: labels reach from {labels.min()} to {labels.max()}; allowed: 0 to {len(names) - 1}")
    return _Part(labels, names, _image_chunks(file, table[column]))


def _is_image(field: pyarrow.Field) -> bool:
    if pyarrow.types.is_struct(field.type):
        at = field.type.get_field_index("bytes")
        return at >= 0 and _is_binary(field.type.field(at).type)
    return _is_binary(field.type)


def _is_binary(kind: pyarrow.DataType) -> bool:
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _image_chunks(file: Path, column: pyarrow.ChunkedArray) -> list[_Chunk]:
    struct = pyarrow.types.is_struct(column.type)
    return [_Chunk(file, chunk.field("bytes") if struct else chunk) for chunk in column.chunks]


def _images(chunks: Sequence[_Chunk]) -> Images:
    names, rows = [], Counter[str]()
    for file, encoded in chunks:
        stem = file.stem.split("-")[0]
        names += [f"{stem}/{row}" for row in range(rows[stem], rows[stem] + len(encoded))]
        rows[stem] += len(encoded)
    return Images(Names(file_names(names)), partial(_encoded, chunks, _starts(chunks)))


def _encoded(chunks: Sequence[_Chunk], starts: Sequence[int], index: int) -> bytes:
    at = bisect_right(starts, index) - 1
    return chunks[at].encoded[index - starts[at]].as_py() or b""  # null is an image too, an unreadable one


def _decoded(chunks: Sequence[_Chunk], starts: Sequence[int], index: int) -> Pixels:
    file = chunks[bisect_right(starts, index) - 1].file
    return decode(_encoded(chunks, starts, index), f"{file}: image {index}")


def _starts(chunks: Sequence[_Chunk]) -> list[int]:
    return list(accumulate((len(chunk.encoded) for chunk in chunks), initial=0))
