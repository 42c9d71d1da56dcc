"""Checks: arguments that metrics cannot be worked out from, named in one line."""

from collections.abc import Iterator

import numpy as np


def scores(name: str, values: np.ndarray, labels: np.ndarray) -> None:
    """See that scores are finite, and that there is a class for each row.

    Raises: ValueError.
    """
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise ValueError(f"{name} and labels have shapes {values.shape} and {labels.shape}; need (N, C) and (N,)")
    indices("labels", labels, values.shape[1])
    finite(name, values)


def indices(name: str, classes_of: np.ndarray, classes: int) -> None:
    """See that there are images, and that their classes exist.

    Raises: ValueError.
    """
    if len(classes_of) == 0:
        raise ValueError(f"{name} has no image; at least 1 is needed")
    wrong = np.flatnonzero((classes_of < 0) | (classes_of >= classes))
    if len(wrong):
        raise ValueError(f"{name}[{wrong[0]}] is {classes_of[wrong[0]]}; it must be at least 0 and below {classes}")


def finite(name: str, values: np.ndarray) -> None:
    """See that all numbers are finite.

    Raises: ValueError.
    """
    for rows in blocks(values):
        right = np.isfinite(values[rows])
        if not right.all():
            row, column = np.argwhere(~right)[0] + (rows.start, 0)
            raise ValueError(f"{name}[{row}, {column}] is {values[row, column]}; it must be a finite number")


def square(confusion: np.ndarray) -> None:
    """See that a matrix is square.

    Raises: ValueError.
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"confusion has shape {confusion.shape}; it must be (C, C)")


def blocks(values: np.ndarray) -> Iterator[slice]:
    """Rows in blocks: work arrays of a block stay in the cache; those of all rows could be twice the logits.

    >>> list(blocks(np.zeros((3, 2**16))))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    step = max(1, 2**17 // max(1, values.shape[1]))
    return (slice(start, start + step) for start in range(0, len(values), step))
