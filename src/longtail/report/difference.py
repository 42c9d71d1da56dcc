"""Comparison: by how much one run is better than another, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from longtail.metrics import Interval
from longtail.report.run import GROUPS, Run

_Z = 1.959963984540054


@dataclass(frozen=True)
class Difference:
    """Other minus first, a fraction.

    Args:
        value: the difference.
        interval: 95 %, of the same images under both; `None` if there is no way to tell.
    """

    value: float
    interval: Interval | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Paired:
    """How often two runs are right about the same images."""

    both: int
    first: int  # only the first run
    other: int  # only the other run
    neither: int


def same_images(first: Run, other: Run) -> bool:
    """Whether both were measured on the same images, so that they can be compared image by image."""
    return first.ids == other.ids and bool(np.array_equal(first.labels, other.labels))


def same_groups(first: Run, other: Run) -> bool:
    """Whether the same classes are many, medium and few in both."""
    return all(np.array_equal(first.masks[group], other.masks[group]) for group in GROUPS)


def paired(first: Run, other: Run) -> Paired:
    """Count images by which of two runs is right about them; both were measured on the same."""
    a, b = (run.predicted == run.labels for run in (first, other))
    return Paired(int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))


def differences(first: Run, other: Run) -> dict[str, Difference]:
    """Differences of all figures of the summary that both runs have.

    Groups are left out if they are of other classes.
    """
    figures = ("top1", "top5", "balanced_accuracy", "macro_f1", "head_tail_gap", "worst_class_recall", "ece")
    groups = GROUPS if same_groups(first, other) else ()
    found = {}
    for name in (*figures, *groups):
        before, after = getattr(first.summary, name), getattr(other.summary, name)
        if before is not None and after is not None and (name != "head_tail_gap" or groups):
            found[name] = Difference(after - before, None)
    if not same_images(first, other):
        return found
    gained = (other.predicted == other.labels).astype(np.float64) - (first.predicted == first.labels)
    classes = len(first.class_names)
    each = np.bincount(first.labels, minlength=classes)
    weights = {"top1": each / each.sum(), "balanced_accuracy": (each > 0) / (each > 0).sum()}
    for group in groups:
        measured = first.masks[group] & (each > 0)
        if measured.any():
            weights[group] = measured / measured.sum()
    if "many" in weights and "few" in weights:
        weights["head_tail_gap"] = weights["many"] - weights["few"]
    for name, weight in weights.items():
        found[name] = weighted(gained, first.labels, weight)
    return found


def weighted(
    gained: Float[np.ndarray, " images"], labels: Int[np.ndarray, " images"], weight: Float[np.ndarray, " classes"]
) -> Difference:
    """A weighted sum over classes of the mean gain of their images.

    How many images a class has is no chance: only which they are. A class with a single image adds no width.

    Args:
        gained: `(N,)`, 1 where only the other run is right, -1 where only the first is, else 0.
        labels: `(N,)`, in `[0, C)`.
        weight: `(C,)`, 0 for a class without images.
    Source: the standard error of a stratified sample, as in Cochran 1977, Sampling Techniques, sec. 5.6.

    >>> found = weighted(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0, 0, 1, 1]), np.array([0.5, 0.5]))
    >>> found.value, [round(bound, 2) for bound in found.interval], found.clear
    (0.25, [-0.24, 0.74], False)
    """
    classes = len(weight)
    each = np.bincount(labels, minlength=classes)
    mean = np.bincount(labels, weights=gained, minlength=classes) / np.maximum(each, 1)
    squares = np.bincount(labels, weights=(gained - mean[labels]) ** 2, minlength=classes)
    variance = squares / np.maximum(each - 1, 1) / np.maximum(each, 1)
    value, half = float(weight @ mean), _Z * float(np.sqrt(weight**2 @ variance))
    return Difference(value, (value - half, value + half))
