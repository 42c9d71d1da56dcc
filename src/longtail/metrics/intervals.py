"""Confidence intervals: Wilson's of a share, and the bootstrap's of every metric."""

import numpy as np
from jaxtyping import Int

from longtail.metrics import table, tally
from longtail.metrics.table import Metric
from longtail.metrics.tally import Columns, Groups, Outcomes, Sums, Tally
from longtail.runtime.seeds import BOOTSTRAP

Interval = tuple[float, float]

_AT_ONCE = 2**20  # draws of images, to bound memory

_Z = 1.959963984540054  # leaves 2.5 % of a normal distribution above


def wilson(successes: float, trials: int) -> Interval | None:
    """Wilson's 95 % interval of a share.

    Unlike value +- 2 standard errors it never leaves 0 to 1, and it has a width where all or none succeed.

    Args:
        successes: from 0 to `trials`.
        trials: at least 0.
    Returns: lower and upper bound, fractions; `None` without trials.
    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.

    >>> [round(bound, 3) for bound in wilson(3, 4)]
    [0.301, 0.954]
    """
    if trials == 0:
        return None
    share, z2 = successes / trials, _Z**2 / trials
    centre = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    # Rounding must not move the bounds off 0 and 1.
    low, high = (0.0 if successes == 0 else centre - half), (1.0 if successes == trials else centre + half)
    return float(low), float(high)


def bootstrap(
    outcomes: Outcomes, groups: Groups, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval | None]:
    """95 % intervals of all metrics, from resampled images.

    Images are resampled within their classes. A test set fixes how many images a class has; were all of them
    resampled together, rare classes would vanish from some resamples, and means over classes would be of others.

    Of n images of a class, n - 1 are drawn and weighted by n / (n - 1): drawing n would make intervals of classes with
    few images too narrow, by a third at three. A class with a single image adds no width.

    Args:
        outcomes: of N images, at least one.
        groups: which classes are many, medium and few.
        resamples: how many; 0 gives `None` for everything.
        seed: of the draws. The order of images does not change the result.
    Returns: by key of the metric; `None` where it is not measured, or where resampling shows no chance. There, a share
        has Wilson's interval, of a share with as many images. The worst class is left out: its recall has Wilson's.
    Source: Efron 1979, Ann. Stat. 7, 1-26, percentile interval; Davison and Hinkley 1997, Bootstrap Methods, sec. 5.2,
        for the basic one; Rao and Wu 1988, J. Am. Stat. Assoc. 83, 231-241, for n - 1 of n.

    >>> labels, predicted = np.array([0] * 50 + [1] * 50), np.array([0] * 80 + [1] * 20)
    >>> groups = {"many": np.array([True, False]), "medium": np.zeros(2, bool), "few": np.array([False, True])}
    >>> found = bootstrap(Outcomes.of(np.eye(2)[predicted], labels), groups)
    >>> {name: [round(bound, 1) for bound in found[name]] for name in ("top1", "macro_f1", "many", "few")}
    {'top1': [0.6, 0.8], 'macro_f1': [0.6, 0.8], 'many': [0.9, 1.0], 'few': [0.3, 0.6]}
    """
    resampled = [metric for metric in table.METRICS if metric.tested]
    if not resamples:
        return dict.fromkeys(metric.key for metric in resampled)
    columns = table.columns(outcomes)
    once = tally.count(outcomes, groups)
    values = table.measure(once, {key: each.sum(0)[:, None] for key, each in columns.items()})
    drawn = table.measure(*_resampled(outcomes, once, columns, resamples=resamples, seed=seed))
    found = dict[str, Interval | None]()
    for metric in resampled:
        images = sum(once.true[groups[name]].sum() for name in metric.groups) if metric.groups else once.images[0]
        found[metric.key] = _interval(metric, float(values[metric.key][0]), drawn[metric.key], int(images))
    return found


def _interval(metric: Metric, value: float, drawn: table.PerWeighting, images: int) -> Interval | None:
    if np.isnan(value):
        return None
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    if low == high:
        return wilson(value * images, images) if metric.interval == "share" else None
    if metric.interval == "basic":
        low, high = max(0.0, 2 * value - high), 2 * value - low
    # What was measured is never outside, though means of ratios may drift; 1 may be passed by rounding.
    high = max(high, value)
    return min(low, value), min(high, 1.0) if metric.unit == "percent" else high


def _resampled(
    outcomes: Outcomes, once: Tally, columns: dict[str, Columns], *, resamples: int, seed: int
) -> tuple[Tally, dict[str, Sums]]:
    """Counts `(C, R)` and sums of columns `(K, R)` in each resample.

    First the numbers of images of a class that are predicted as each class are drawn, of which there are far fewer than
    images; these give the counts. Then, for what differs from image to image, which of these images they are.
    """
    numbers, images = np.random.default_rng([seed, BOOTSTRAP]), np.random.default_rng([seed, BOOTSTRAP, 1])
    order, starts, sizes, cells = _cells(outcomes)
    true, predicted_as = np.divmod(cells, outcomes.classes)
    stacked = np.concatenate([np.empty((len(order), 0)), *columns.values()], axis=1)[order]
    correct = np.zeros((outcomes.classes, resamples), np.float32)
    predicted = np.zeros_like(correct)
    sums = np.zeros((stacked.shape[1], resamples))
    for own in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(true)) + 1):
        c, each = true[own[0]], sizes[own]
        n = int(each.sum())
        draws = max(n - 1, 1)
        drawn = numbers.multinomial(draws, each / n, size=resamples).T  # (cells of the class, R)
        weighted = (n / draws) * drawn
        predicted[predicted_as[own]] += weighted
        correct[c] = weighted[predicted_as[own] == c].sum(0)
        rows = stacked[starts[own[0]] : starts[own[0]] + n]
        # Of a single image there is no choice.
        sums += rows.T if n == 1 else (n / draws) * _sums_of_drawn(rows, drawn, each, images)
    counts = Tally(correct, predicted, once.true.astype(np.float32), once.groups)
    ends = np.cumsum([each.shape[1] for each in columns.values()])[:-1]
    return counts, dict(zip(columns, np.split(sums, ends), strict=True))


def _cells(outcomes: Outcomes) -> tuple[Int[np.ndarray, " images"], ...]:
    """Images in the order of their cells, of one true and one predicted class; and start, size and number of each."""
    own = outcomes.labels.astype(np.int64) * outcomes.classes + outcomes.predicted
    calibrated = outcomes.confidences if outcomes.calibrated is None else outcomes.calibrated
    # Within a cell by their values, so that the order of images does not matter.
    order = np.lexsort((calibrated, outcomes.ranks, outcomes.confidences, outcomes.losses, own))
    cells, starts, sizes = np.unique(own[order], return_index=True, return_counts=True)
    return order, starts, sizes, cells


def _sums_of_drawn(
    rows: Columns,
    drawn: Int[np.ndarray, "cells resamples"],
    sizes: Int[np.ndarray, " cells"],
    rng: np.random.Generator,
) -> Sums:
    """Sums over the images of a class, each as often as it is drawn from its cell: `(K, R)`."""
    first, parts = np.cumsum(sizes) - sizes, list[np.ndarray]()
    step = max(1, _AT_ONCE // len(rows))
    for start in range(0, drawn.shape[1], step):
        some = drawn[:, start : start + step]
        resamples = some.shape[1]
        cell, resample = np.divmod(np.repeat(np.arange(some.size), some.ravel()), resamples)
        image = first[cell] + (rng.random(len(cell)) * sizes[cell]).astype(np.int64)
        times = np.bincount(image * resamples + resample, minlength=len(rows) * resamples)
        parts.append(rows.T @ times.reshape(len(rows), resamples).astype(np.float64))
    return np.concatenate(parts, axis=1)
