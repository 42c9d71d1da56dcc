"""Predictions as files: a row for each image, as CSV, JSON lines or parquet."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow
import pyarrow.parquet

from longtail.inference.label_shift import Estimate
from longtail.inference.predict import PredictedBatch
from longtail.runtime import files
from longtail.text import join_or, printable

ENDINGS = (".csv", ".jsonl", ".parquet")

_ROWS = 10_000  # of a parquet file that are kept until they are written


class ClassProbability(NamedTuple):
    """A class that an image may be of."""

    name: str
    probability: float


class Prediction(NamedTuple):
    """What was predicted of one image.

    Args:
        path: the image, by the name that was given.
        top: the most probable classes, best first; none if there is an error.
        error: why nothing could be predicted; `None` if it could.
    """

    path: str
    top: tuple[ClassProbability, ...]
    error: str | None

    @property
    def predicted(self) -> str | None:
        """The most probable class; `None` if there is an error."""
        return self.top[0].name if self.top else None

    @property
    def confidence(self) -> float | None:
        """The probability of that class."""
        return self.top[0].probability if self.top else None


@dataclass
class Tally:
    """How many images were predicted, and how many could not be.

    Args:
        predicted: images.
        failed: images without a prediction.
        first: the first of those, and why.
        estimate: the class distribution of the images, if it was estimated from them.
    """

    predicted: int = 0
    failed: int = 0
    first: str = ""
    estimate: Estimate | None = None

    @property
    def images(self) -> int:
        """How many there were."""
        return self.predicted + self.failed

    def count(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Count predictions as they pass."""
        for row in rows:
            if row.error is None:
                self.predicted += 1
            else:
                self.first = self.first or f"{printable(row.path)} {row.error}"
                self.failed += 1
            yield row


def predictions(found: Iterable[PredictedBatch], class_names: Sequence[str], *, top: int) -> Iterator[Prediction]:
    """One row for each image, in order.

    Args:
        found: batches of class probabilities.
        class_names: C names.
        top: classes to name for an image; more than C are C.

    >>> found = PredictedBatch(["a.png", "b.png"], np.array([[0.2, 0.8]]), {0: "does not exist"})
    >>> for row in predictions([found], ["cat", "dog"], top=1):
    ...     print(row.path, row.predicted, row.confidence, row.error)
    a.png None None does not exist
    b.png dog 0.8 None
    """
    for batch in found:
        order = np.argsort(-batch.probabilities, axis=1, kind="stable")[:, :top]
        best = np.take_along_axis(batch.probabilities, order, axis=1)
        rows: Iterator[tuple[list[int], list[float]]] = zip(order.tolist(), best.tolist(), strict=True)
        for position, name in enumerate(batch.names):
            if position in batch.reasons:
                yield Prediction(name, (), batch.reasons[position])
            else:
                ranked = zip(*next(rows), strict=True)
                yield Prediction(name, tuple(ClassProbability(class_names[c], share) for c, share in ranked), None)


@dataclass(frozen=True)
class Output:
    """Where predictions go, and in what form.

    Args:
        file: ends in one of `ENDINGS`, which says the form; an existing file is replaced. `None`: standard output.
        as_json: JSON lines, not CSV, on standard output.
        top: classes to name for an image.
    Raises: ValueError if the file has another ending, or is asked to be JSON by anything but its ending.
    """

    file: Path | None = None
    as_json: bool = False
    top: int = 5

    def __post_init__(self) -> None:
        if self.file is None:
            return
        if self.file.suffix.lower() not in ENDINGS:
            raise ValueError(f"out is {self.file}; allowed: a file that ends in {join_or(ENDINGS)}")
        if self.as_json:
            raise ValueError(f"out is {self.file}, whose ending says how it is written; JSON is for standard output")


@contextmanager
def replacing(file: Path, *, inputs: Iterable[str] = ()) -> Iterator[Path]:
    """A new file that takes the place of another when all is written, and not before.

    Args:
        file: to replace, or not there yet.
        inputs: paths that are read meanwhile, and which therefore must stay.
    Raises: ValueError if the file cannot be written, or is one of those that are read.
    """
    if file.is_dir():
        raise ValueError(f"out is {file}, which is a folder; name a file")
    # `os.path.exists` never raises, whatever the name.
    if file.exists() and any(os.path.exists(path) and file.samefile(path) for path in inputs):  # noqa: PTH110
        raise ValueError(f"out is {file}, which is read as well; name another file")
    with files.replacing(file) as new:
        try:
            new.touch()
        except OSError as error:
            raise ValueError(f"out is {file}, which cannot be written: {error.strerror}") from error
        yield new


def write(rows: Iterable[Prediction], output: Output, *, inputs: Iterable[str] = ()) -> None:
    """Write predictions as they come.

    Probabilities have 6 digits.

    Args:
        rows: the predictions.
        output: where to, and how. A file is there when all rows are, and not before.
        inputs: see `replacing`.
    Raises: ValueError as `replacing`, before the first row is asked for.
    """
    if output.file is None:
        # Python's own stream translates line breaks, and may know other letters only.
        stream = cast(io.TextIOWrapper, sys.stdout)
        stream.reconfigure(encoding="utf-8", newline="")
        if output.as_json:
            write_jsonl(rows, stream)
        else:
            write_csv(rows, stream, top=output.top)
        stream.flush()
        return
    with replacing(output.file, inputs=inputs) as new:
        match output.file.suffix.lower():
            case ".parquet":
                write_parquet(rows, new)
            case ".jsonl":
                with new.open("w", encoding="utf-8", newline="") as text:
                    write_jsonl(rows, text)
            case _:
                with new.open("w", encoding="utf-8", newline="") as text:
                    write_csv(rows, text, top=output.top)


def write_csv(rows: Iterable[Prediction], file: io.TextIOBase, *, top: int) -> None:
    """Write the columns `path`, `predicted`, `confidence`, `class_2`, `probability_2`, and so on, and `error`.

    What is not known is empty. Without a row there is no header either.

    Args:
        rows: the predictions.
        file: opened so that it leaves line breaks as they are.
        top: classes that have columns.
    """
    table = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    more = [f"{what}_{place}" for place in range(2, top + 1) for what in ("class", "probability")]
    for number, row in enumerate(rows):
        if not number:  # no image at all is a mistake, which leaves standard output empty
            table.writerow(["path", "predicted", "confidence", *more, "error"])
        classes = [cell for each in row.top for cell in (each.name, f"{each.probability:.6g}")]
        cells = [row.path, *classes, *[""] * (2 * top - len(classes)), row.error or ""]
        # Python quotes only those line breaks that it writes itself, until 3.13.
        (quoted if any("\r" in cell for cell in cells) else table).writerow(cells)


def write_jsonl(rows: Iterable[Prediction], file: io.TextIOBase) -> None:
    """Write an object a line: `path`, `predicted`, `confidence`, `top`, `error`; what is not known is null.

    `top` is a list of objects with `class` and `probability`, best first, the predicted one among them.
    """
    for row in rows:
        file.write(json.dumps(_record(row), ensure_ascii=False) + "\n")


_SCHEMA = pyarrow.schema(
    {
        "path": pyarrow.string(),
        "predicted": pyarrow.string(),
        "confidence": pyarrow.float64(),
        "top": pyarrow.list_(pyarrow.struct({"class": pyarrow.string(), "probability": pyarrow.float64()})),
        "error": pyarrow.string(),
    }
)


def write_parquet(rows: Iterable[Prediction], file: Path) -> None:
    """Write the columns that `write_jsonl` writes."""
    waiting = iter(rows)
    with pyarrow.parquet.ParquetWriter(file, _SCHEMA) as table:
        while some := [_record(row) for row in islice(waiting, _ROWS)]:
            table.write_table(pyarrow.Table.from_pylist(some, _SCHEMA))


def _record(row: Prediction) -> dict[str, Any]:
    top = [{"class": each.name, "probability": float(f"{each.probability:.6g}")} for each in row.top]
    best = top[0] if top else {"class": None, "probability": None}
    return {
        "path": row.path,
        "predicted": best["class"],
        "confidence": best["probability"],
        "top": top or None,
        "error": row.error,
    }
