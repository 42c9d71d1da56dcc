"""Tallies: weighted sums over images, for many weightings at once, from which every metric is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from longtail.metrics.scores import Labels, Logits, PerImage, confidences_and_losses, ranks

Groups = Mapping[str, Bool[np.ndarray, " classes"]]
PerClass = Float[np.ndarray, "classes #weightings"]
OfClasses = Bool[np.ndarray, "classes #weightings"]
Columns = Float[np.ndarray, "images columns"]
Sums = Float[np.ndarray, "columns weightings"]
Weights = Float[np.ndarray, "images weightings"]


@dataclass(frozen=True)
class Outcomes:
    """What a network predicted for N images, as far as metrics ask.

    Args:
        labels: `(N,)` true classes.
        predicted: `(N,)` classes of the highest logit.
        confidences: `(N,)` probabilities of these.
        losses: `(N,)` minus the log of the probability of the true class.
        ranks: `(N,)` classes that rank before the true one.
        classes: C.
        calibrated: `(N,)` confidences after temperature scaling; `None` without a temperature.
    """

    labels: Labels
    predicted: Labels
    confidences: PerImage
    losses: PerImage
    ranks: Int[np.ndarray, " images"]
    classes: int
    calibrated: PerImage | None = None

    @classmethod
    def of(cls, logits: Logits, labels: Labels, *, temperature: float | None = None) -> "Outcomes":
        """What logits say, beside the truth; the logits themselves are not kept.

        >>> Outcomes.of(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 0])).right.tolist()
        [True, False]
        """
        confidences, losses = confidences_and_losses(logits, labels)
        calibrated = confidences_and_losses(logits, labels, temperature=temperature)[0] if temperature else None
        return cls(
            labels, logits.argmax(1), confidences, losses, ranks(logits, labels), logits.shape[1], calibrated=calibrated
        )

    @property
    def right(self) -> Bool[np.ndarray, " images"]:
        """`(N,)`, whether the predicted class is the true one."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class Tally:
    """Images of each class, counted with R weightings of the images.

    Args:
        correct: `(C, R)` images of each class that are recognised.
        predicted: `(C, R)` images that are predicted as each class.
        true: `(C, R)` images of each class; `(C, 1)` where no weighting changes them.
        groups: which classes are many, medium and few.
    """

    correct: PerClass
    predicted: PerClass
    true: PerClass
    groups: Groups

    @cached_property
    def images(self) -> Float[np.ndarray, " #weightings"]:
        """`(R,)`, weights of all images together."""
        return self.true.sum(0, dtype=np.float64)

    @cached_property
    def measured(self) -> OfClasses:
        """`(C, R)`, which classes have images."""
        return self.true > 0

    @cached_property
    def recalls(self) -> PerClass:
        """`(C, R)` fractions; 0 for a class without images."""
        return np.divide(self.correct, self.true, out=np.zeros_like(self.correct), where=self.measured)

    @cached_property
    def f1s(self) -> PerClass:
        """`(C, R)` fractions; 0 for a class without images."""
        whole = self.true + self.predicted
        return np.divide(2 * self.correct, whole, out=np.zeros_like(self.correct), where=self.measured)


def count(outcomes: Outcomes, groups: Groups) -> Tally:
    """Every image once, R = 1."""
    labels, predicted = outcomes.labels, outcomes.predicted
    correct, taken, true = (
        np.bincount(those, minlength=outcomes.classes)[:, None].astype(np.float64)
        for those in (labels[outcomes.right], predicted, labels)
    )
    return Tally(correct, taken, true, groups)


def count_weighted(outcomes: Outcomes, weights: Weights, groups: Groups) -> Tally:
    """Every image as often as its weight says.

    Args:
        outcomes: of N images.
        weights: `(N, R)`, at least 0, one of each column above 0.
        groups: which classes are many, medium and few.
    """
    correct, taken, true = (
        _sum_by(index, values, outcomes.classes)
        for index, values in (
            (outcomes.labels, outcomes.right[:, None] * weights),
            (outcomes.predicted, weights),
            (outcomes.labels, weights),
        )
    )
    return Tally(correct, taken, true, groups)


def _sum_by(index: Labels, values: Weights, length: int) -> PerClass:
    """Rows of values, summed by an index: `(length, R)`."""
    images = len(index)
    return sparse.csr_array((np.ones(images), (index, np.arange(images))), shape=(length, images)) @ values
