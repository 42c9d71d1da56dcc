"""Looks: what classes are taken for, and the images themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longtail.report import html
from longtail.report.run import GROUPS, Run
from longtail.runs.examples import Pair
from longtail.text import quantity

_CELLS = 30  # classes, up to which the whole confusion matrix is drawn


@dataclass(frozen=True)
class Look:
    """One image.

    Args:
        picture: its address, which holds it; `None` if the run kept none.
        true: its class.
        taken: what it was taken for.
        confidence: probability of that, in words.
        name: by which it is found again.
    """

    picture: str | None
    true: str
    taken: str
    confidence: str
    name: str

    @property
    def said(self) -> str:
        return self.true if self.true == self.taken else f"{self.true}, taken for {self.taken}"


@dataclass(frozen=True)
class Confusion:
    """A class of the tail, what it was taken for, and images of that."""

    true: str
    taken: str
    true_images: str
    taken_images: str
    share: str
    looks: tuple[Look, ...]
    example: Look | None


@dataclass(frozen=True)
class Square:
    """A confusion matrix: names of its columns and rows; of each cell its share of the row, and that in words."""

    across: tuple[str, ...]
    down: tuple[str, ...]
    rows: tuple[tuple[tuple[float, str], ...], ...]


def confusions(run: Run) -> list[Confusion]:
    """The most frequent ones of the tail."""
    return [_confusion(run, pair) for pair in run.shown.pairs]


def _confusion(run: Run, pair: Pair) -> Confusion:
    true, taken = (run.summary.per_class[number] for number in (pair.true, pair.taken))
    return Confusion(
        true.name,
        taken.name,
        quantity(true.train_count, "training image"),
        quantity(taken.train_count, "training image"),
        f"{pair.images:,} of {quantity(pair.of, 'image')}",
        tuple(look(run, row) for row in pair.rows),
        None if pair.example is None else look(run, pair.example),
    )


def mistakes(run: Run) -> list[Look]:
    """The most confident ones."""
    return [look(run, row) for row in run.shown.mistakes]


def look(run: Run, row: int) -> Look:
    """One image of the predictions."""
    file, names, sure = run.pictures.get(row), run.class_names, 100 * float(run.confidences[row])
    return Look(
        html.data_url(file) if file else None,
        names[run.labels[row]],
        names[run.predicted[row]],
        confidence(sure),
        run.ids[row],
    )


def confidence(percent: float) -> str:
    """A probability in words; never 100 %, of which no network can be sure.

    >>> confidence(0.123), confidence(45.6), confidence(99.8), confidence(100.0)
    ('0.1 %', '46 %', '99.80 %', '99.99 %')
    """
    if percent < 1:
        return f"{percent:.1f} %"
    return f"{percent:.0f} %" if percent < 99.5 else f"{min(percent, 99.99):.2f} %"


def groups(run: Run) -> Square:
    """How often images of each measured group are right, and to which group the wrong answers belong."""
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
