"""Paired statistics: is a difference between two ways to train more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy import sparse, stats

from longtail.runtime.seeds import BOOTSTRAP

_AT_ONCE = 100  # resamples that are worked on together, to bound memory
_BINS = 15  # as in a summary
_ROUNDING = 1e-12  # what it may leave of a difference that is 0


class Spread(NamedTuple):
    """Results of some seeds in brief.

    Args:
        mean: over the seeds.
        sd: their standard deviation, with n - 1 below; `None` for one seed.
        low: lower end of the 95 % interval of the mean; `None` for one seed.
        high: upper end.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """What one source of chance says about a difference.

    Args:
        low: lower end of the 95 % interval of the difference.
        high: upper end.
        p: probability of a difference as large, to either side, if there were none.
    """

    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Outcomes:
    """What some trainings of one method answered about the same images.

    Args:
        labels: `(N,)` true classes.
        predicted: `(S, N)`, the class each of S trainings predicted.
        confidences: `(S, N)`, the probability it gave to that class.
    """

    labels: Int[np.ndarray, " images"]
    predicted: Int[np.ndarray, "seeds images"]
    confidences: Float[np.ndarray, "seeds images"]


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and 95 % t-interval of results of several seeds.

    The interval is about chance in training alone: the images are the same for all seeds.

    Args:
        values: at least one.
    Source: Student 1908, "The probable error of a mean".

    >>> [round(value, 3) for value in spread([0.5, 0.6, 0.7])]
    [0.6, 0.1, 0.352, 0.848]
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Spread(mean, None, None, None)
    sd = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return Spread(mean, sd, mean - half, mean + half)


def over_seeds(one: Sequence[float], other: Sequence[float]) -> Difference | None:
    """Paired t-test between results of the same seeds: would other trainings differ likewise.

    It has few degrees of freedom, so it only finds differences that are large beside the spread of the seeds:
    `detectable` says how large. With fewer than three seeds it would find next to nothing, and is not made.

    Args:
        one: a result for each seed.
        other: of the same seeds, in the same order.
    Returns: the test of `one - other`; `None` for fewer than three seeds. If all seeds differ by the same amount, there
        is no spread to compare it with: p is then 1 if that amount is 0, and 0 otherwise.
    Source: Student 1908.

    >>> over_seeds([0.50, 0.52, 0.54], [0.49, 0.50, 0.51])
    Difference(low=-0.0048..., high=0.0448..., p=0.0741...)
    """
    assert len(one) == len(other)
    if len(one) < 3:
        return None
    mean, sd, low, high = spread([a - b for a, b in zip(one, other, strict=True)])
    assert sd is not None and low is not None and high is not None
    if sd <= _ROUNDING:
        return Difference(mean, mean, float(abs(mean) <= _ROUNDING))
    t = mean / (sd / math.sqrt(len(one)))
    return Difference(low, high, 2 * float(stats.t.sf(abs(t), len(one) - 1)))


def detectable(seeds: int) -> float:
    """How many standard deviations of the differences a mean difference must exceed to be significant over seeds.

    Args:
        seeds: at least 2.

    >>> round(detectable(3), 2), round(detectable(10), 2)
    (2.48, 0.72)
    """
    return float(stats.t.ppf(0.975, seeds - 1)) / math.sqrt(seeds)


def resample(
    outcomes: Outcomes,
    groups: Mapping[str, Bool[np.ndarray, " classes"]],
    *,
    seed: int,
    resamples: int = 2000,
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Draw the images anew, with replacement, again and again, and measure a method on what was drawn.

    With each image come the answers of all its seeds. The same seed draws the same images for every method whose
    outcomes are about the same images, so their results are paired.

    Args:
        outcomes: the answers.
        groups: which of the C classes are many-, medium- and few-shot.
        seed: chooses the images.
        resamples: how often images are drawn, at least 1.
    Returns: `(resamples,)` for each metric of `weighted`.
    """
    rng = np.random.default_rng([seed, BOOTSTRAP])
    images, parts = len(outcomes.labels), []
    for start in range(0, resamples, _AT_ONCE):
        some = min(_AT_ONCE, resamples - start)
        drawn = rng.integers(images, size=(some, images)) + images * np.arange(some)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=some * images).reshape(some, images)
        parts.append(weighted(outcomes, weights.T.astype(np.float64), groups))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def over_images(one: Float64[np.ndarray, " resamples"], other: Float64[np.ndarray, " resamples"]) -> Difference | None:
    """Paired bootstrap over the images: would other images of this kind tell the two methods apart likewise.

    McNemar's test is the classic for two classifiers, but it only counts who is right; and answers of several seeds
    about one image are not independent, so it cannot be given them all. Drawing whole images does for any number of
    seeds, and for every metric: means over classes and groups, F1 and calibration too.

    Args:
        one: a metric on images drawn anew, as `resample` gives it.
        other: of the other method, on the same images.
    Returns: the test of `one - other`: the interval of the percentiles, and twice the share of resamples on the rarer
        side of 0, which is never 0 itself. `None` if no resample has an image to measure.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 13 and 16.

    >>> over_images(np.array([0.5, 0.6, 0.7]), np.array([0.4, 0.4, 0.4]))
    Difference(low=0.105, high=0.295, p=0.5)
    """
    differences = one - other
    known = differences[~np.isnan(differences)]
    if not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    # What was observed counts as one more on either side. Rounding must not push a difference of 0 to one of them.
    below, above = int((known <= _ROUNDING).sum()) + 1, int((known >= -_ROUNDING).sum()) + 1
    return Difference(round(float(low), 12), round(float(high), 12), min(1.0, 2 * min(below, above) / (len(known) + 1)))


def weighted(
    outcomes: Outcomes,
    weights: Float64[np.ndarray, "images resamples"],
    groups: Mapping[str, Bool[np.ndarray, " classes"]],
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Metrics of images that count several times, or not at all; their means over the seeds.

    Args:
        outcomes: the answers.
        weights: how often each image counts, for each of B resamples, one of them above 0.
        groups: see `resample`.
    Returns: `(B,)` for each metric; NaN where a resample has no image of a group. A group without any image is absent.
    """
    seeds = [_weighted(outcomes, row, weights, groups) for row in range(len(outcomes.predicted))]
    return {name: np.mean([each[name] for each in seeds], axis=0) for name in seeds[0]}


def _weighted(
    outcomes: Outcomes, row: int, weights: np.ndarray, groups: Mapping[str, Bool[np.ndarray, " classes"]]
) -> dict[str, np.ndarray]:
    labels, predicted, confidences = outcomes.labels, outcomes.predicted[row], outcomes.confidences[row]
    classes = max(int(max(labels.max(), predicted.max())) + 1, *(len(mask) for mask in groups.values()), 1)
    right = predicted == labels
    true, taken = _sums(labels, weights, classes), _sums(predicted, weights, classes)
    correct = _sums(labels, right[:, None] * weights, classes)
    total = weights.sum(0)
    bins = np.searchsorted(np.linspace(0, 1, _BINS + 1)[1:-1], confidences)
    gaps = _sums(bins, (right - confidences)[:, None] * weights, _BINS)
    there = true > 0
    recall = np.divide(correct, true, out=np.zeros_like(true), where=there)
    f1 = np.divide(2 * correct, true + taken, out=np.zeros_like(true), where=there)
    found = {
        "top1": correct.sum(0) / total,
        "balanced_accuracy": recall.sum(0) / there.sum(0),
        "macro_f1": f1.sum(0) / there.sum(0),
        "ece": np.abs(gaps).sum(0) / total,
    }
    measured = np.bincount(labels, minlength=classes) > 0
    for name, mask in groups.items():
        if (mask & measured).any():
            present = there[mask].sum(0)
            nothing = np.full(len(present), np.nan)
            found[name] = np.divide(recall[mask].sum(0), present, out=nothing, where=present > 0)
    return found


def _sums(index: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """Rows of values summed by an index: `(length, B)`."""
    images = len(index)
    return sparse.csr_array((np.ones(images), (index, np.arange(images))), shape=(length, images)) @ values


def holm(ps: Sequence[float]) -> list[float]:
    """Correct the p of several tests, so that the chance of any false finding among them stays what one alone has.

    Args:
        ps: of the tests.
    Returns: corrected, in the same order.
    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = least
    return corrected
