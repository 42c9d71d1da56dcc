"""Metrics: predictions and training counts in, a frozen `Summary` out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from longtail.counts import Counts, Groups

Logits = Float[np.ndarray, "images classes"]
Labels = Int[np.ndarray, " images"]
Confusion = Int[np.ndarray, "classes classes"]
PerClass = Float64[np.ndarray, " classes"]
PerImage = Float64[np.ndarray, " images"]


@dataclass(frozen=True)
class ClassResult:
    """How well one class is recognised."""

    name: str
    train_count: int  # images
    test_count: int  # images
    correct: int  # test images of the class that were recognised
    predicted: int  # how often the class was predicted, rightly or wrongly
    recall: float | None  # correct / test_count; None if the class has no test image
    precision: float | None  # correct / predicted; None if it was never predicted
    f1: float | None  # their harmonic mean, 0 if never predicted; None if the class has no test image


@dataclass(frozen=True)
class Summary:
    """What one evaluation found. Accuracies are fractions, 0 to 1; means over classes are over the measured ones."""

    images: int  # test images N
    classes: int  # classes C that can be predicted
    classes_measured: int  # those with at least one test image
    top1: float  # share of images whose highest logit is the true class
    top5: float | None  # share of images whose true class is among the five highest; None if C <= 5
    balanced_accuracy: float  # mean recall
    macro_f1: float  # mean F1
    many: float | None  # mean recall of the many-shot classes; None if none of them is measured
    medium: float | None  # likewise
    few: float | None  # likewise
    group_classes: dict[str, int]  # classes in many, medium and few, measured or not
    group_bounds: dict[str, int]  # the fields of Groups
    worst_class_recall: float
    worst_class: str  # the first one of several
    ece: float  # expected calibration error over 15 bins
    nll: float  # mean negative log-likelihood in nats
    per_class: tuple[ClassResult, ...]  # all C classes, in order

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain dicts, lists, strings and numbers that `json` writes and `from_dict` reads back exactly."""
        values = asdict(self)
        return {**values, "per_class": list(values["per_class"])}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """Read what `to_dict` wrote.

        Raises: ValueError if a field is missing or unknown.
        """
        _check_fields(cls, values)
        for result in values["per_class"]:
            _check_fields(ClassResult, result)
        return cls(**{**values, "per_class": tuple(ClassResult(**result) for result in values["per_class"])})


def softmax(logits: Logits) -> Float64[np.ndarray, "images classes"]:
    """Turn logits into probabilities, in float64 and without overflow.

    Args:
        logits: `(N, C)`, finite.
    Returns: `(N, C)` probabilities; each row sums to 1. Twice the memory of float32 logits.
    Raises: ValueError if a logit is not finite.

    >>> softmax(np.array([[1000.0, 1000.0], [0.0, -2000.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    _check_finite("logits", logits)
    probabilities = _exponentials(logits)
    probabilities /= probabilities.sum(1, keepdims=True)
    return probabilities


def top_k_accuracy(logits: Logits, labels: Labels, k: int) -> float:
    """Share of images whose true class is among the k highest logits.

    Of equal logits the lower class index ranks first, so `k=1` is the accuracy of `argmax`.

    Args:
        logits: `(N, C)`, finite; probabilities do as well.
        labels: `(N,)`, in `[0, C)`.
        k: from 1 to C.
    Returns: a fraction, 0 to 1.
    Raises: ValueError if there is no image or an argument is out of range.

    >>> top_k_accuracy(np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), np.array([1, 2]), 2)
    0.5
    """
    _check_scores("logits", logits, labels)
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"k is {k}; it must be at least 1 and at most {logits.shape[1]}, the number of classes")
    return float(np.mean(_ranks(logits, labels) < k))


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
    _check_classes("labels", labels, classes)
    _check_classes("predicted", predicted, classes)
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
    _check_square(confusion)
    return _ratios(confusion.diagonal(), confusion.sum(1))


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
    _check_square(confusion)
    if not confusion.any():
        raise ValueError("confusion counts no image; at least 1 is needed")
    return float(np.nanmean(_f1s(confusion.diagonal(), confusion.sum(1), confusion.sum(0))))


def expected_calibration_error(probabilities: Logits, labels: Labels, bins: int = 15) -> float:
    """How far the confidence of predictions is from their accuracy: the mean gap over bins, weighted by their images.

    Only the highest probability of an image counts. Bins are equally wide and hold `lower < confidence <= upper`.

    Args:
        probabilities: `(N, C)`, rows that sum to 1 within 0.01.
        labels: `(N,)`, in `[0, C)`.
        bins: at least 1.
    Returns: a fraction, 0 to 1; lower is better.
    Raises: ValueError if there is no image, an argument is out of range or a row is no distribution.
    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.

    >>> expected_calibration_error(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
    0.25
    """
    _check_scores("probabilities", probabilities, labels)
    sums = probabilities.sum(1, dtype=np.float64)
    wrong = np.flatnonzero((probabilities.min(1) < 0) | (np.abs(sums - 1) > 0.01))
    if len(wrong):
        row = f"probabilities[{wrong[0]}] has lowest value {probabilities[wrong[0]].min()} and sum {sums[wrong[0]]}"
        raise ValueError(f"{row}; it must be at least 0 and sum to 1")
    if bins < 1:
        raise ValueError(f"bins is {bins}; it must be at least 1")
    return _calibration_error(probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels, bins)


def negative_log_likelihood(logits: Logits, labels: Labels) -> float:
    """Mean cross-entropy between the true class and the softmax of the logits.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)`, in `[0, C)`.
    Returns: nats, at least 0.
    Raises: ValueError if there is no image, a label is out of range or a logit is not finite.

    >>> round(negative_log_likelihood(np.array([[0.0, 0.0]]), np.array([1])), 6)  # log 2
    0.693147
    """
    _check_scores("logits", logits, labels)
    return float(np.mean(_confidences_and_losses(logits, labels)[1]))


def summarise(
    logits: Logits,
    labels: Labels,
    *,
    train_counts: Counts,
    class_names: Sequence[str],
    groups: Groups = Groups(),
) -> Summary:
    """Measure predictions against the truth.

    Works through the logits in blocks and needs little memory beside them, also for thousands of classes.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)` true classes, in `[0, C)`.
        train_counts: `(C,)` training images per class; they decide the groups and nothing else.
        class_names: C names.
        groups: bounds between many, medium and few.
    Returns: the summary.
    Raises: ValueError if there is no image, a label is out of range, a logit is not finite or lengths differ.

    >>> logits = np.array([[2.0, 0.0], [3.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> labels, counts = np.array([0, 0, 1, 1]), np.array([500, 5])
    >>> summary = summarise(logits, labels, train_counts=counts, class_names=["cat", "lynx"])
    >>> summary.top1, summary.many, summary.medium, summary.few, summary.worst_class
    (0.75, 1.0, None, 0.5, 'lynx')
    """
    _check_scores("logits", logits, labels)
    classes = logits.shape[1]
    for name, length in (("train_counts", len(train_counts)), ("class_names", len(class_names))):
        if length != classes:
            raise ValueError(f"{name} has length {length}; it must be {classes}, the number of classes in logits")

    predicted = logits.argmax(1)
    right = predicted == labels
    confidences, losses = _confidences_and_losses(logits, labels)
    # Three vectors hold all that recall, precision and F1 need; the C x C matrix would be larger than most logits.
    true, taken, correct = (np.bincount(those, minlength=classes) for those in (labels, predicted, labels[right]))
    recall, precision, f1 = _ratios(correct, true), _ratios(correct, taken), _f1s(correct, true, taken)
    masks = groups.masks(train_counts)
    measured = {name: mask & (true > 0) for name, mask in masks.items()}
    worst = int(np.nanargmin(recall))
    columns = (train_counts.tolist(), true.tolist(), correct.tolist(), taken.tolist())
    rates = (_absent_as_none(recall), _absent_as_none(precision), _absent_as_none(f1))
    return Summary(
        images=len(labels),
        classes=classes,
        classes_measured=int(np.count_nonzero(true)),
        top1=float(np.mean(right)),
        top5=float(np.mean(_ranks(logits, labels) < 5)) if classes > 5 else None,
        balanced_accuracy=float(np.nanmean(recall)),
        macro_f1=float(np.nanmean(f1)),
        **{name: float(recall[these].mean()) if these.any() else None for name, these in measured.items()},
        group_classes={name: int(mask.sum()) for name, mask in masks.items()},
        group_bounds=asdict(groups),
        worst_class_recall=float(recall[worst]),
        worst_class=class_names[worst],
        ece=_calibration_error(confidences, right, bins=15),
        nll=float(np.mean(losses)),
        per_class=tuple(ClassResult(*row) for row in zip(class_names, *columns, *rates, strict=True)),
    )


def _check_scores(name: str, scores: np.ndarray, labels: np.ndarray) -> None:
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"{name} and labels have shapes {scores.shape} and {labels.shape}; need (N, C) and (N,)")
    _check_classes("labels", labels, scores.shape[1])
    _check_finite(name, scores)


def _check_classes(name: str, indices: np.ndarray, classes: int) -> None:
    if len(indices) == 0:
        raise ValueError(f"{name} has no image; at least 1 is needed")
    wrong = np.flatnonzero((indices < 0) | (indices >= classes))
    if len(wrong):
        raise ValueError(f"{name}[{wrong[0]}] is {indices[wrong[0]]}; it must be at least 0 and below {classes}")


def _check_finite(name: str, scores: np.ndarray) -> None:
    for rows in _blocks(scores):
        finite = np.isfinite(scores[rows])
        if not finite.all():
            row, column = np.argwhere(~finite)[0] + (rows.start, 0)
            raise ValueError(f"{name}[{row}, {column}] is {scores[row, column]}; it must be a finite number")


def _check_square(confusion: np.ndarray) -> None:
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"confusion has shape {confusion.shape}; it must be (C, C)")


def _check_fields(kind: type, values: Mapping[str, Any]) -> None:
    wrong = {field.name for field in fields(kind)} ^ values.keys()
    if wrong:
        raise ValueError(f"{kind.__name__} has missing or unknown fields {sorted(wrong)}; need those of this version")


def _blocks(logits: np.ndarray) -> Iterator[slice]:
    # Work arrays of a block of rows stay in the cache; those of all rows would be twice the size of the logits.
    step = max(1, 2**17 // max(1, logits.shape[1]))
    return (slice(start, start + step) for start in range(0, len(logits), step))


def _exponentials(logits: Logits) -> Float64[np.ndarray, "images classes"]:
    # The difference can overflow float32, so it is taken in float64.
    exponents = np.subtract(logits, logits.max(1, keepdims=True), dtype=np.float64)
    return np.exp(exponents, out=exponents)


def _confidences_and_losses(logits: Logits, labels: Labels) -> tuple[PerImage, PerImage]:
    """Probability of the highest class, and minus the log of that of the true class."""
    # Sums are relative to the highest logit: adding it first would lose digits when all logits are large.
    log_sums = np.log(np.concatenate([_exponentials(logits[rows]).sum(1) for rows in _blocks(logits)]))
    below_top = np.subtract(logits.max(1), logits[np.arange(len(labels)), labels], dtype=np.float64)
    return np.exp(-log_sums), below_top + log_sums


def _ranks(logits: Logits, labels: Labels) -> Labels:
    """How many classes rank before the true one."""
    ranks = np.empty(len(labels), dtype=np.int64)
    for rows in _blocks(logits):
        block, own = logits[rows], labels[rows, None]
        score = np.take_along_axis(block, own, 1)
        before = np.where(np.arange(block.shape[1]) < own, block >= score, block > score)
        ranks[rows] = np.count_nonzero(before, axis=1)
    return ranks


def _calibration_error(confidences: PerImage, right: Bool[np.ndarray, " images"], bins: int) -> float:
    # Without the outer edges, a probability that rounding lifted above 1 still falls into the last bin.
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    gaps = np.bincount(np.searchsorted(inner, confidences), weights=right - confidences)
    return float(np.abs(gaps).sum() / len(right))


def _ratios(part: Counts, whole: Counts) -> PerClass:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _f1s(correct: Counts, true: Counts, taken: Counts) -> PerClass:
    return np.where(true > 0, _ratios(2 * correct, true + taken), np.nan)


def _absent_as_none(values: PerClass) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
