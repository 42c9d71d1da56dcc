"""The section about confusions: which class is predicted instead of which, for groups, classes and in the tail."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longtail.report.difference import Verdicts
from longtail.report.examples import Example, example
from longtail.report.run import GROUPS, Run
from longtail.report.section import Content, Section
from longtail.runs.examples import Pair
from longtail.text import quantity

_CELLS = 30  # classes, up to which the whole confusion matrix is drawn


@dataclass(frozen=True)
class Confusion:
    """A class of the tail, which class is predicted instead, and images of that."""

    true: str
    predicted: str
    true_images: str
    predicted_images: str
    share: str
    examples: tuple[Example, ...]
    example: Example | None


@dataclass(frozen=True)
class Square:
    """A confusion matrix: names of its columns and rows; of each cell its share of the row, and that in words."""

    across: tuple[str, ...]
    down: tuple[str, ...]
    rows: tuple[tuple[tuple[float, str], ...], ...]


@dataclass(frozen=True)
class Confusions:
    """The confusions of one run.

    Args:
        name: of the run.
        tail: which group the tail is.
        groups: between groups.
        matrix: between classes; `None` if they are too many.
        confusions: the most frequent ones of the tail.
        thumbnails: whether the run kept some.
    """

    name: str
    tail: str
    groups: Square
    matrix: Square | None
    confusions: list[Confusion]
    thumbnails: bool


@dataclass(frozen=True)
class View:
    """The confusions of each run."""

    runs: list[Confusions]


def _build(runs: Sequence[Run], _: Verdicts) -> Content:
    return Content(
        View(
            [
                Confusions(
                    run.name, run.examples.tail, groups(run), matrix(run), confusions(run), run.gallery is not None
                )
                for run in runs
            ]
        )
    )


SECTION = Section("confusions", "Confusions", "Confusions of the tail", "confusions.html", _build)


def confusions(run: Run) -> list[Confusion]:
    """The most frequent ones of the tail."""
    return [_confusion(run, pair) for pair in run.examples.pairs]


def _confusion(run: Run, pair: Pair) -> Confusion:
    true, predicted = (run.summary.per_class[number] for number in (pair.true, pair.taken))
    return Confusion(
        true.name,
        predicted.name,
        quantity(true.train_count, "training image"),
        quantity(predicted.train_count, "training image"),
        f"{pair.images:,} of {quantity(pair.of, 'image')}",
        tuple(example(run, row) for row in pair.rows),
        None if pair.example is None else example(run, pair.example),
    )


def groups(run: Run) -> Square:
    """How often images of each evaluated group are right, and to which group the wrong answers belong."""
    number = np.zeros(len(run.class_names), np.int64)
    for i, group in enumerate(GROUPS):
        number[run.masks[group]] = i
    rows = {}
    for i, group in enumerate(GROUPS):
        own = number[run.labels] == i
        if not own.any():
            continue
        right = own & (run.labels == run.predicted)
        wrong = [int((own & ~right & (number[run.predicted] == j)).sum()) for j in range(len(GROUPS))]
        rows[group] = _shares([int(right.sum()), *wrong])
    return Square(("right", *(f"wrong, {group}" for group in GROUPS)), tuple(rows), tuple(rows.values()))


def matrix(run: Run) -> Square | None:
    """The confusion matrix, most frequent class first; `None` if there are too many classes to see it."""
    classes = len(run.class_names)
    if classes > _CELLS:
        return None
    order = np.argsort([-each.train_count for each in run.summary.per_class], kind="stable")
    cells = np.bincount(run.labels * classes + run.predicted, minlength=classes**2).reshape(classes, classes)
    names = tuple(run.class_names[i] for i in order.tolist())
    return Square(names, names, tuple(_shares(row) for row in cells[order][:, order].tolist()))


def _shares(images: Sequence[int]) -> tuple[tuple[float, str], ...]:
    total = sum(images)
    return tuple((each / total if total else 0.0, f"{each:,} of {total:,}") for each in images)
