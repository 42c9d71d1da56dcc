"""Answers: what was predicted of each image, as rows of CSV, JSON lines or parquet."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow
import pyarrow.parquet

from longtail.inference.predict import Predicted
from longtail.text import join_or, printable

ENDINGS = (".csv", ".jsonl", ".parquet")

_ROWS = 10_000  # of a parquet file that are kept until they are written


class Choice(NamedTuple):
    """A class that an image may be of."""

    name: str
    probability: float


class Answer(NamedTuple):
    """What was predicted of one image.

    Args:
        path: the image, as whoever asked named it.
        top: the most probable classes, best first; none if there is an error.
        error: why nothing could be predicted; `None` if it could.
    """

    path: str
    top: tuple[Choice, ...]
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
    """How it went, as far as answers have been counted.

    Args:
        predicted: images.
        failed: images without a prediction.
        first: the first of those, and why.
    """

    predicted: int = 0
    failed: int = 0
    first: str = ""

    @property
    def images(self) -> int:
        """How many answers there were."""
        return self.predicted + self.failed

    def of(self, rows: Iterable[Answer]) -> Iterator[Answer]:
        """Count answers as they pass."""
        for answer in rows:
            if answer.error is None:
                self.predicted += 1
            else:
                self.first = self.first or f"{printable(answer.path)} {answer.error}"
                self.failed += 1
            yield answer


Writer = Callable[[Iterable[Answer]], None]


def answers(found: Iterable[Predicted], class_names: Sequence[str], *, top: int) -> Iterator[Answer]:
    """One answer for each image, in order.

    Args:
        found: the predictions.
        class_names: C names.
        top: classes to name for an image; more than C are C.

    >>> found = Predicted(["a.png", "b.png"], np.array([[0.2, 0.8]]), {0: "does not exist"})
    >>> for answer in answers([found], ["cat", "dog"], top=1):
    ...     print(answer.path, answer.predicted, answer.confidence, answer.error)
    a.png None None does not exist
    b.png dog 0.8 None
    """
    for each in found:
        order = np.argsort(-each.probabilities, axis=1, kind="stable")[:, :top]
        best = np.take_along_axis(each.probabilities, order, axis=1)
        rows: Iterator[tuple[list[int], list[float]]] = zip(order.tolist(), best.tolist(), strict=True)
        for position, name in enumerate(each.names):
            if position in each.reasons:
                yield Answer(name, (), each.reasons[position])
            else:
                classes, shares = next(rows)
                yield Answer(name, tuple(Choice(class_names[c], p) for c, p in zip(classes, shares, strict=True)), None)


@contextmanager
def writer(out: Path | None, *, top: int, as_json: bool = False, read: Iterable[str] = ()) -> Iterator[Writer]:
    """A function that writes answers, into a file that is there when all is written, and not before.

    - CSV: `path`, `predicted`, `confidence`; `class_2`, `probability_2`, and so on up to `top`; `error`. What is not
      known is empty.
    - JSON lines: `path`, `predicted`, `confidence`; `top`, a list of objects with `class` and `probability`, best
      first, the predicted one among them; `error`. What is not known is null.
    - parquet: the same columns as JSON lines.

    Probabilities have 6 digits.

    Args:
        out: ends in one of `ENDINGS`; an existing file is replaced. `None`: standard output.
        top: classes to name for an image.
        as_json: write JSON lines, not CSV, to standard output.
        read: files from which is read meanwhile, and which therefore must stay.
    Raises: ValueError if the file has another ending, cannot be written, or is one of those that are read.
    """
    if out is None:
        # Python's own stream translates line breaks, and may know other letters only.
        stream = cast(io.TextIOWrapper, sys.stdout)
        stream.reconfigure(encoding="utf-8", newline="")
        yield (lambda rows: _json_lines(stream, rows)) if as_json else (lambda rows: _csv(stream, rows, top))
        stream.flush()
        return
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"out is {out}; allowed: a file that ends in {join_or(ENDINGS)}")
    if as_json:
        raise ValueError(f"out is {out}, whose ending says how it is written; JSON is for standard output")
    if out.is_dir():
        raise ValueError(f"out is {out}, which is a folder; name a file")
    if out.exists() and any(os.path.exists(path) and out.samefile(path) for path in read):  # noqa: PTH110 - never raises
        raise ValueError(f"out is {out}, which is read as well; name another file")
    new = out.with_name(f".{out.name}.new")
    try:
        new.touch()
    except OSError as error:
        raise ValueError(f"out is {out}, which cannot be written: {error.strerror}") from error
    try:
        if ending == ".parquet":
            with pyarrow.parquet.ParquetWriter(new, _SCHEMA) as table:
                yield lambda rows: _parquet(table, rows)
        else:
            with new.open("w", encoding="utf-8", newline="") as text:
                yield (
                    (lambda rows: _csv(text, rows, top)) if ending == ".csv" else (lambda rows: _json_lines(text, rows))
                )
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)


def _csv(file: io.TextIOBase, rows: Iterable[Answer], top: int) -> None:
    table = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    more = [f"{what}_{place}" for place in range(2, top + 1) for what in ("class", "probability")]
    for number, answer in enumerate(rows):
        if not number:  # nothing to answer is a mistake, and leaves standard output empty
            table.writerow(["path", "predicted", "confidence", *more, "error"])
        cells = [cell for choice in answer.top for cell in (choice.name, f"{choice.probability:.6g}")]
        row = [answer.path, *cells, *[""] * (2 * top - len(cells)), answer.error or ""]
        # Python quotes only those line breaks that it writes itself, until 3.13.
        (quoted if any("\r" in cell for cell in row) else table).writerow(row)


def _json_lines(file: io.TextIOBase, rows: Iterable[Answer]) -> None:
    for answer in rows:
        file.write(json.dumps(_record(answer), ensure_ascii=False) + "\n")


_SCHEMA = pyarrow.schema(
    {
        "path": pyarrow.string(),
        "predicted": pyarrow.string(),
        "confidence": pyarrow.float64(),
        "top": pyarrow.list_(pyarrow.struct({"class": pyarrow.string(), "probability": pyarrow.float64()})),
        "error": pyarrow.string(),
    }
)


def _parquet(table: pyarrow.parquet.ParquetWriter, rows: Iterable[Answer]) -> None:
    waiting = iter(rows)
    while some := [_record(answer) for answer in islice(waiting, _ROWS)]:
        table.write_table(pyarrow.Table.from_pylist(some, _SCHEMA))


def _record(answer: Answer) -> dict[str, Any]:
    top = [{"class": choice.name, "probability": float(f"{choice.probability:.6g}")} for choice in answer.top]
    best = top[0] if top else {"class": None, "probability": None}
    return {
        "path": answer.path,
        "predicted": best["class"],
        "confidence": best["probability"],
        "top": top or None,
        "error": answer.error,
    }
