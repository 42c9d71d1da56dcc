"""Significance of differences between methods: over seeds, over images, and corrected for many pairs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import stats

from longtail.metrics import table, tally
from longtail.metrics.table import Metric
from longtail.metrics.tally import Groups, Outcomes, Weights
from longtail.runtime.seeds import BOOTSTRAP

LEVEL = 0.05  # below which a corrected p is called significant
_AT_ONCE = 100  # resamples that are worked on together, to bound memory
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
class Method:
    """Some trainings of one method.

    Args:
        name: of the method.
        values: metrics by key, a value for each seed; those that are not measured in all seeds are absent.
        outcomes: about the same images, one for each seed.
        groups: which classes are many, medium and few.
    """

    name: str
    values: Mapping[str, Sequence[float]]
    outcomes: Sequence[Outcomes]
    groups: Groups


@dataclass(frozen=True)
class Pair:
    """The difference between two methods in one metric.

    Args:
        metric: its key.
        one: the method that is compared.
        other: with which.
        difference: of their means over seeds, `one - other`.
        seeds: the test over seeds; `None` if they are too few.
        images: the test over images; `None` if a resample of the images cannot be measured.
        p: the larger p of both tests: a difference counts if neither chance explains it.
        corrected: p after Holm's correction over all pairs in this metric.
    """

    metric: str
    one: str
    other: str
    difference: float
    seeds: Difference | None
    images: Difference | None
    p: float
    corrected: float

    @property
    def significant(self) -> bool:
        return self.corrected < LEVEL

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval that covers those of both tests."""
        tests = [test for test in (self.seeds, self.images) if test]
        return min(test.low for test in tests), max(test.high for test in tests)


def compare(methods: Sequence[Method], *, resamples: int = 2000) -> list[Pair]:
    """Test every pair of methods in every metric, over seeds and over images.

    A difference may come from chance in training or from the choice of the images. It counts only if neither explains
    it: the p of a pair is the larger one of both tests (an intersection-union test, which needs no correction for being
    two). Pairs are corrected for their number, within each metric.

    Args:
        methods: all of the same seeds and images. Where two have other groups, metrics of groups are not compared.
        resamples: see `resample`.
    Returns: later methods minus earlier ones, metric by metric.
    Source: Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", for the intersection of tests.
    """
    if len(methods) < 2:
        return []
    drawn = {each.name: resample(each.outcomes, each.groups, seed=0, resamples=resamples) for each in methods}
    pairs = list[Pair]()
    for metric in table.METRICS:
        found = [
            _pair(metric.key, one, other, drawn)
            for other, one in combinations(methods, 2)
            if _comparable(metric, one, other)
        ]
        found = [pair for pair in found if pair.seeds or pair.images]
        corrected = holm([pair.p for pair in found])
        pairs += [replace(pair, corrected=p) for pair, p in zip(found, corrected, strict=True)]
    return pairs


def _comparable(metric: Metric, one: Method, other: Method) -> bool:
    groups = all(np.array_equal(one.groups[name], other.groups[name]) for name in metric.groups)
    return metric.tested and groups and metric.key in one.values and metric.key in other.values


def _pair(key: str, one: Method, other: Method, drawn: Mapping[str, Mapping[str, np.ndarray]]) -> Pair:
    first, second = one.values[key], other.values[key]
    seeds = over_seeds(first, second)
    images = over_images(drawn[one.name][key], drawn[other.name][key])
    p = max((test.p for test in (seeds, images) if test), default=1.0)
    # Rounded, so that equal results differ by 0 and not by what adding them up in another order leaves.
    difference = round(float(np.mean(first)) - float(np.mean(second)), 12) + 0.0
    return Pair(key, one.name, other.name, difference, seeds, images, p, p)


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
    differences = np.subtract(one, other)
    mean = float(differences.mean())
    if differences.std(ddof=1) <= _ROUNDING:  # of which scipy would warn
        return Difference(mean, mean, float(abs(mean) <= _ROUNDING))
    test: Any = stats.ttest_rel(one, other)
    interval = test.confidence_interval(0.95)
    return Difference(float(interval.low), float(interval.high), float(test.pvalue))


def detectable(seeds: int) -> float:
    """How many standard deviations of the differences a mean difference must exceed to be significant over seeds.

    Args:
        seeds: at least 2.

    >>> round(detectable(3), 2), round(detectable(10), 2)
    (2.48, 0.72)
    """
    return float(stats.t.ppf(0.975, seeds - 1)) / math.sqrt(seeds)


def resample(
    outcomes: Sequence[Outcomes], groups: Groups, *, seed: int, resamples: int = 2000
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Draw the images anew, with replacement, again and again, and measure a method on what was drawn.

    With each image come the answers of all its seeds. The same seed draws the same images for every method whose
    outcomes are about the same images, so their results are paired.

    Args:
        outcomes: of each seed, about the same images.
        groups: which of the C classes are many-, medium- and few-shot.
        seed: chooses the images.
        resamples: how often images are drawn, at least 1.
    Returns: `(resamples,)` for each metric.
    """
    rng = np.random.default_rng([seed, BOOTSTRAP])
    images, parts = len(outcomes[0].labels), list[dict[str, np.ndarray]]()
    columns = [table.columns(each) for each in outcomes]
    for start in range(0, resamples, _AT_ONCE):
        some = min(_AT_ONCE, resamples - start)
        drawn = rng.integers(images, size=(some, images)) + images * np.arange(some)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=some * images).reshape(some, images).T.astype(np.float64)
        seeds = [_measure(each, own, weights, groups) for each, own in zip(outcomes, columns, strict=True)]
        parts.append({key: np.mean([each[key] for each in seeds], axis=0) for key in seeds[0]})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _measure(
    outcomes: Outcomes, columns: Mapping[str, np.ndarray], weights: Weights, groups: Groups
) -> dict[str, np.ndarray]:
    """Metrics of images that count several times, or not at all: `(R,)` each."""
    sums = {key: own.T @ weights for key, own in columns.items()}
    return table.measure(tally.count_weighted(outcomes, weights, groups), sums)


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
