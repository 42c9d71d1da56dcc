"""Label shift: Bayes correction for another class distribution, and its estimate from images without labels."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Probabilities = Float[np.ndarray, "images classes"]
Prior = Float[np.ndarray, " classes"]

_CHUNK = 4096  # images that are worked on in float64 at a time


class Estimate(NamedTuple):
    """A class distribution that was estimated from images without labels.

    Args:
        prior: `(C,)`, sums to 1.
        rounds: how often it was improved.
        gap: no other distribution makes the images more likely by more than this, in nats an image.
    """

    prior: Prior
    rounds: int
    gap: float


def adjust(probabilities: Probabilities, *, assumed: Prior, wanted: Prior) -> Probabilities:
    """Turn class probabilities that assume one class distribution into those under another, by Bayes' rule.

    Nothing is learned anew: it is as if the images of each class were as they are in training, but more or fewer. The
    priors may be shares or counts. An image that only fits classes which are not wanted gets the wanted distribution
    itself, for nothing is known of it beyond that.

    Args:
        probabilities: `(N, C)`, rows that sum to 1.
        assumed: `(C,)`, the class distribution that the probabilities assume.
        wanted: `(C,)`, the class distribution where they are used.
    Returns: `(N, C)` in float64, rows that sum to 1.
    Raises: ValueError if a prior is no distribution, if a class is wanted that is assumed not to occur, or if a
        probability is negative or no number.
    Source: Saerens et al. 2002, "Adjusting the outputs of a classifier to new a priori probabilities", eq. 2.4.

    >>> even, rare = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    >>> adjust(np.array([[0.5, 0.5], [0.1, 0.9]]), assumed=even, wanted=rare).round(3).tolist()
    [[0.9, 0.1], [0.5, 0.5]]
    """
    _check(probabilities, assumed=assumed, wanted=wanted)
    unseen = np.flatnonzero((assumed == 0) & (wanted > 0))
    if len(unseen):
        raise ValueError(
            f"class {unseen[0]} is {wanted[unseen[0]]:g} of the wanted prior and 0 of the assumed one: nothing is "
            "known of a class without training images"
        )
    weighted = probabilities * _ratio(wanted / wanted.sum(), assumed / assumed.sum())
    totals = weighted.sum(1, keepdims=True)
    alone = np.broadcast_to(wanted / wanted.sum(), weighted.shape).copy()
    return np.divide(weighted, totals, out=alone, where=totals > 0)


def estimate(
    probabilities: Probabilities, *, assumed: Prior, tolerance: float = 1e-6, most_rounds: int = 1000
) -> Estimate:
    """Estimate the class distribution of images without labels, by expectation maximisation.

    Each round makes the images more likely, towards the one maximum there is. The probabilities must be calibrated:
    those that are too sure of themselves give little more than the count of predictions, which is too near to what was
    assumed; those that are not sure enough give a distribution that is far too extreme. Of few images, a rare class
    easily gets no share at all, nor does one that the model does not recognise.

    Args:
        probabilities: `(N, C)`, rows that sum to 1, at least one. No copy is made of them.
        assumed: `(C,)`, the class distribution that they assume, as shares or counts.
        tolerance: stop as soon as `Estimate.gap` is no larger.
        most_rounds: stop after so many rounds in any case; `Estimate.gap` says how good the estimate is by then.
    Raises: ValueError if there is no image, if the prior is no distribution, if a probability is negative or no
        number, or if an image fits no class that is assumed to occur.
    Source: Saerens et al. 2002, eq. 2.9. The gap is the largest slope of the log-likelihood towards a single class: the
        log-likelihood is concave, so it rises by no more.

    >>> sure = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> estimate(sure, assumed=np.array([0.5, 0.5])).prior.tolist()
    [0.75, 0.25]
    """
    _check(probabilities, assumed=assumed)
    if not len(probabilities):
        raise ValueError("there is no image to estimate a class distribution from; at least 1 is needed")
    impossible = np.flatnonzero(~(probabilities[:, assumed > 0] > 0).any(1))
    if len(impossible):
        raise ValueError(
            f"image {impossible[0]} fits no class that is assumed to occur; what has probability 0 is impossible"
        )
    assumed = assumed / assumed.sum()
    prior, rounds = assumed, 0
    while True:
        slope = _slope(probabilities, prior, assumed)
        gap = float(slope.max()) - 1
        if gap <= tolerance or rounds == most_rounds:
            return Estimate(prior, rounds, max(gap, 0.0))
        prior = prior * slope
        prior, rounds = prior / prior.sum(), rounds + 1


def _slope(probabilities: Probabilities, prior: Prior, assumed: Prior) -> Prior:
    """The log-likelihood's slope in each class, in nats an image: what a round multiplies the prior by."""
    weights, total = _ratio(prior, assumed), np.zeros(len(prior))
    for start in range(0, len(probabilities), _CHUNK):
        rows = probabilities[start : start + _CHUNK].astype(np.float64)
        total += (1 / (rows @ weights)) @ rows
    return _ratio(total, assumed) / len(probabilities)


def _ratio(over: Prior, under: Prior) -> Prior:
    """Quotients, 0 for a class that is assumed not to occur."""
    return np.divide(over, under, out=np.zeros(len(over)), where=under > 0)


def _check(probabilities: Probabilities, **priors: Prior) -> None:
    for name, prior in priors.items():
        if not (np.isfinite(prior).all() and (prior >= 0).all() and (prior > 0).any()):
            raise ValueError(
                f"{name} prior is {np.array2string(prior, threshold=8).replace(chr(10), '')}; every class must have a "
                "finite share of at least 0, and one of them more"
            )
    if not ((probabilities >= 0) & np.isfinite(probabilities)).all():
        raise ValueError("a probability is negative or no number; all must lie in 0..1")
