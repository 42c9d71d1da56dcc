"""Tables as text: CSV in its dialects, JSON lines and parquet, with the line of each row."""

import codecs
import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from jaxtyping import Int

from longtail.data.sources.columns import count_known
from longtail.data.sources.hf_parquet import class_names_of, image_column, open_parquet, read_columns
from longtail.text import join_or, one_line, quantity, yaml_value

KINDS = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".parquet": "parquet",
}
_CHUNK = 65_536  # rows that are Python objects at a time
_START = 65_536  # characters in which the names of columns end
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        file: where it was read.
        names: of its columns.
        lines: `(N,)`, where each row stands, from 1.
        cells: of a column by its name: `(N,)` text, null for an empty one, or other values as Python has them.
        unit: what `lines` counts: "line" or "row".
        class_names: by column, where the file has numbers for classes and names for the numbers.
        images: the column that holds images; `None` if none does.
    """

    file: Path
    names: tuple[str, ...]
    lines: Int[np.ndarray, " rows"]
    cells: Callable[[str], pyarrow.Array | list[Any]]
    unit: str = "line"
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: str | None = None

    def column(self, name: str) -> pyarrow.Array:
        """The cells of a column as text, null for an empty one; whole numbers have no point, however they are stored.

        Raises: ValueError, with the line, if a cell holds neither text nor a number.
        """
        cells = self.cells(name)
        if isinstance(cells, pyarrow.Array):
            return cells
        texts = list[str | None]()
        for row, value in enumerate(cells):
            match value:
                case None | "":
                    texts.append(None)
                case str():
                    texts.append(value)
                case float() if math.isnan(value):
                    texts.append(None)
                case float() if value.is_integer():
                    texts.append(str(int(value)))
                case bool() | int() | float():
                    texts.append(json.dumps(value))
                case _:
                    cell = yaml_value(value)
                    raise ValueError(f"{self.place(row)}: {name} is {cell}; allowed: one text or number")
        return pyarrow.array(texts, pyarrow.string())

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.file} {self.unit} {self.lines[row]}"


def read_table(file: Path) -> Table:
    """Read a table by the ending of its name.

    Raises: ValueError if it is damaged or no table, with the line.
    """
    match KINDS.get(file.suffix.lower()):
        case "parquet":
            return _parquet(file)
        case "JSON lines":
            return _json_lines(file)
        case "CSV":
            return _csv(file, None)
        case "TSV":
            return _csv(file, "\t")
        case _:
            raise ValueError(f"{file} is not a table; allowed: {join_or(list(KINDS))}")


def header(file: Path) -> tuple[str, ...]:
    """Names of the columns, by the first lines; none if this is no table.

    >>> header(Path("no-such.csv"))
    ()
    """
    kind = KINDS.get(file.suffix.lower())
    try:
        if kind == "parquet":
            with open_parquet(file) as parquet:
                return tuple(parquet.schema_arrow.names)
        with file.open(encoding=_encoding(file), errors="replace", newline="") as text:
            if kind == "JSON lines":
                return tuple(json.loads(next(line for line in text if line.strip())))
            return tuple(_first_row(file, text.read(_START), "\t" if kind == "TSV" else None)[0])
    except (OSError, ValueError, TypeError, StopIteration, RecursionError, csv.Error):
        return ()


def text_of(file: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 as spreadsheets write it.

    Raises: ValueError with the line that is not.
    """
    encoding, content = _encoding(file), file.read_bytes()
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        name = encoding.upper().removesuffix("-SIG")
        raise ValueError(f"{file} line {line} is not {name}; save it as UTF-8") from None


def _encoding(file: Path) -> str:
    with file.open("rb") as opened:
        start = opened.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


# --- CSV: Python's reader, which knows the line of each row, also after line breaks in quotes -------------------------


def _csv(file: Path, delimiter: str | None) -> Table:
    try:
        with file.open(encoding=_encoding(file), newline="") as text:
            names, delimiter = _first_row(file, text.read(_START), delimiter)
            text.seek(0)
            columns, lines = _rows(file, text, delimiter, len(names))
    except UnicodeDecodeError:
        text_of(file)  # raises, with the line
        raise
    # The names of columns are the first row.
    cells = {name: column[1:] for name, column in zip(names, columns, strict=True)}
    return Table(file, names, lines[1:], cells.__getitem__)


def _rows(
    file: Path, text: Iterable[str], delimiter: str, width: int
) -> tuple[list[pyarrow.Array], Int[np.ndarray, " rows"]]:
    """Columns, and the line on which each row starts. Empty rows are left out."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    chunks, lines = [list[pyarrow.Array]() for _ in range(width)], list[int]()
    rows = list[list[str]]()
    line = 0
    try:
        for row in reader:
            started, line = line + 1, reader.line_num
            if not any(row):  # an empty line, or nothing but delimiters
                continue
            if len(row) != width:
                raise ValueError(
                    f"{file} line {started} has {quantity(len(row), 'cell')}, but there are {width} columns"
                )
            rows.append(row)
            lines.append(started)
            if len(rows) == _CHUNK:
                _append(chunks, rows)
    except csv.Error as error:
        raise ValueError(f"{file} line {line + 1} cannot be read: {error}") from None
    _append(chunks, rows)
    columns = [pyarrow.chunked_array(pieces, pyarrow.string()).combine_chunks() for pieces in chunks]
    return columns, np.array(lines, np.int64)


def _append(chunks: list[list[pyarrow.Array]], rows: list[list[str]]) -> None:
    for pieces, cells in zip(chunks, zip(*rows, strict=True), strict=False):
        pieces.append(pyarrow.array([cell or None for cell in cells], pyarrow.string()))
    rows.clear()


def _first_row(file: Path, start: str, delimiter: str | None) -> tuple[tuple[str, ...], str]:
    """Names of columns, and the delimiter: the one that gives most names that are known.

    Raises: ValueError without a first row, if two delimiters do as well, or if two names are the same.
    """
    try:
        readings = {
            each: next(
                (tuple(row) for row in csv.reader(io.StringIO(start, newline=""), delimiter=each) if any(row)), ()
            )
            for each in ([delimiter] if delimiter else _DELIMITERS)
        }
    except csv.Error as error:
        raise ValueError(f"{file}: the names of columns cannot be read: {error}") from None
    if not any(readings.values()):
        raise ValueError(f"{file} is empty; the first line must name the columns, such as filepath,label")
    best = max(readings, key=lambda each: (count_known(readings[each]), len(readings[each])))
    names = readings[best]
    rivals = [
        each for each in readings if count_known(readings[each]) == count_known(names) > 0 and readings[each] != names
    ]
    if rivals:
        both = join_or([_DELIMITERS[each] for each in (best, *rivals)])
        raise ValueError(f"{file}: the columns could be separated by {both}; use one of them in the first line")
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        times = names.count(twice[0])
        raise ValueError(f"{file} has {times} columns with the name {twice[0]!r}; each needs a name of its own")
    return names, best


# --- JSON lines -------------------------------------------------------------------------------------------------------


def _json_lines(file: Path) -> Table:
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} line {number} is not JSON: {one_line(error)}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{file} line {number} is not an object in braces, such as {{...}}")
        for name in row:
            columns.setdefault(name, [None] * len(lines))
        for name, cells in columns.items():
            cells.append(row.get(name))
        lines.append(number)
    return Table(file, tuple(columns), np.array(lines, np.int64), columns.__getitem__)


# --- parquet ----------------------------------------------------------------------------------------------------------


def _parquet(file: Path) -> Table:
    with open_parquet(file) as parquet:
        schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    named = {name: class_names for name in schema.names if (class_names := class_names_of(schema, name))}
    cells = partial(_parquet_cells, file, named)
    return Table(file, tuple(schema.names), np.arange(1, rows + 1), cells, "row", named, image_column(file, schema))


def _parquet_cells(file: Path, named: Mapping[str, Sequence[str]], column: str) -> list[Any]:
    with open_parquet(file) as parquet:
        cells = read_columns(file, parquet, [column])[column].to_pylist()
    if column not in named:
        return cells
    names = named[column]
    wrong = next((row for row, cell in enumerate(cells) if cell is not None and not -1 <= cell < len(names)), None)
    if wrong is not None:
        raise ValueError(f"{file} row {wrong + 1}: {column} is {cells[wrong]}; allowed: 0 to {len(names) - 1}")
    # The Hub writes -1 for an image without a label.
    return [None if cell is None or cell == -1 else names[cell] for cell in cells]
