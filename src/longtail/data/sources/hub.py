"""Parquet files with embedded images and labels, in the layout of the Hugging Face Hub."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from jaxtyping import Int

from longtail import mistakes
from longtail.data.decoding import decode
from longtail.data.source import Pixels, Source


def open_parquet(file: Path) -> pyarrow.parquet.ParquetFile:
    """Open a parquet file.

    Raises: ValueError if it is damaged.
    """
    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a complete parquet file: {mistakes.one_line(error)}") from error


def class_names_of(schema: pyarrow.Schema, label_column: str) -> tuple[str, ...]:
    """Names from the metadata of Hugging Face's libraries; none if there are none."""
    try:
        return tuple(json.loads(schema.metadata[b"huggingface"])["info"]["features"][label_column]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


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
    chunks = [(file, chunk) for file, part in zip(files, parts, strict=True) for chunk in part.images]
    starts = list(accumulate((len(chunk) for _, chunk in chunks), initial=0))
    stem = files[0].name.split("-")[0]
    ids = [f"{stem}/{i}" for i in range(len(labels))]
    encoded = partial(_encoded, chunks, starts)
    return Source(labels, parts[0].class_names, partial(_decoded, chunks, starts), ids, encoded)


class _Part(NamedTuple):
    """What a file holds; the encoded images are in the pieces in which Arrow reads them."""

    labels: Int[np.ndarray, " images"]
    class_names: tuple[str, ...]
    images: list[pyarrow.Array]


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
        try:
            table = parquet.read(columns=[f"{column}.bytes", label_column])
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{file} is not a complete parquet file: {mistakes.one_line(error)}") from error
    if table[label_column].null_count:
        raise ValueError(f"{file}: {table[label_column].null_count} images have no label")
    labels = table[label_column].to_numpy().astype(np.int64)
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(names)):
        raise ValueError(f"{file}: labels reach from {labels.min()} to {labels.max()}; allowed: 0 to {len(names) - 1}")
    # Arrow keeps the bytes out of the reach of Python's reference counts, so loader workers share them.
    return _Part(labels, names, [chunk.field("bytes") for chunk in table[column].chunks])


def _encoded(chunks: Sequence[tuple[Path, pyarrow.Array]], starts: Sequence[int], index: int) -> bytes:
    at = bisect_right(starts, index) - 1
    return chunks[at][1][index - starts[at]].as_py() or b""  # null is an image too, an unreadable one


def _decoded(chunks: Sequence[tuple[Path, pyarrow.Array]], starts: Sequence[int], index: int) -> Pixels:
    file = chunks[bisect_right(starts, index) - 1][0]
    return decode(_encoded(chunks, starts, index), f"{file}: image {index}")
