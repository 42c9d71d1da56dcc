"""Rates: recall, precision and F1 of each class, from counts of images."""

import numpy as np
from jaxtyping import Float64, Int

from longtail.data.class_counts import Counts
from longtail.metrics import validation
from longtail.metrics.scores import Labels

Confusion = Int[np.ndarray, "classes classes"]
PerClass = Float64[np.ndarray, " classes"]


def confusion(labels: Labels, predicted: Labels, classes: int) -> Confusion:
    """Count how often each true class (row) was taken for each class (column).

    Args:
        labels: `(N,)` true classes, in `[0, C)`.
        predicted: `(N,)`, in `[0, C)`.
        classes: number of classes C.
    Returns: `(C, C)` images; the whole square, so 530 MB for 8,142 classes.
    Raises: ValueError if there is no image, a class is out of range or the lengths differ.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if labels.shape != predicted.shape:
        raise ValueError(f"predicted has shape {predicted.shape}; it must be that of labels, {labels.shape}")
    validation.indices("labels", labels, classes)
    validation.indices("predicted", predicted, classes)
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def recalls(confusion: Confusion) -> PerClass:
    """Share of each class's images that were recognised.

    Args:
        confusion: `(C, C)` images, rows true.
    Returns: `(C,)` fractions; NaN for a class without images.
    Raises: ValueError unless the matrix is square.

    >>> recalls(np.array([[1, 1], [0, 0]])).tolist()
    [0.5, nan]
    """
    validation.square(confusion)
    return ratios(confusion.diagonal(), confusion.sum(1))


def macro_f1(confusion: Confusion) -> float:
    """Mean F1 of the classes that have images.

    scikit-learn also averages over classes that were only predicted, as zeros, unless told `labels=`.

    Args:
        confusion: `(C, C)` images, rows true.
    Returns: a fraction, 0 to 1.
    Raises: ValueError if there is no image or the matrix is not square.

    >>> macro_f1(np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]]))  # 2/3 and 4/5
    0.7333333333333334
    """
    validation.square(confusion)
    if not confusion.any():
        raise ValueError("confusion counts no image; at least 1 is needed")
    return float(np.nanmean(f1s(confusion.diagonal(), confusion.sum(1), confusion.sum(0))))


def ratios(part: Counts, whole: Counts) -> PerClass:
    """Part of the whole, for each class; NaN where there is nothing to divide by.

    >>> ratios(np.array([1, 0]), np.array([2, 0])).tolist()
    [0.5, nan]
    """
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def f1s(correct: Counts, true: Counts, taken: Counts) -> PerClass:
    """F1 of each class; NaN for a class without images.

    Args:
        correct: `(C,)` images of the class that were recognised.
        true: `(C,)` images of it.
        taken: `(C,)` images that were taken for it.

    >>> f1s(np.array([1, 0]), np.array([2, 0]), np.array([2, 1])).tolist()
    [0.5, nan]
    """
    return np.where(true > 0, ratios(2 * correct, true + taken), np.nan)
