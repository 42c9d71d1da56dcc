"""Intervals: between which values a rate may lie, given how few images it was measured on."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Float64

from longtail.data.class_counts import Counts
from longtail.metrics.scores import Labels
from longtail.runtime.seeds import BOOTSTRAP

Interval = tuple[float, float]
Drawn = Float[np.ndarray, "classes resamples"]

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
    labels: Labels,
    predicted: Labels,
    groups: Mapping[str, Bool[np.ndarray, " classes"]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """95 % intervals of accuracy and of means over classes, from resampled images.

    Images are resampled within their classes. A test set fixes how many images a class has; were all of them
    resampled together, rare classes would vanish from some resamples, and means over classes would be of others.

    Of n images of a class, n - 1 are drawn and weighted by n / (n - 1): drawing n would make intervals of classes with
    few images too narrow, by a third at three. A class with a single image adds no width.

    Args:
        labels: `(N,)` true classes, in `[0, C)`, at least one.
        predicted: `(N,)`, in `[0, C)`.
        groups: by name `(C,)` classes of which the mean recall is wanted.
        resamples: how many; 0 gives `None` for everything.
        seed: of the draws. The order of images does not change the result.
    Returns: fractions for "top1", "balanced_accuracy", "macro_f1" and each group; `None` for a group without images.
        Where all images of each class fare alike, resampling shows no chance; then the interval is Wilson's, of a
        share with as many images.
    Source: Efron 1979, Ann. Stat. 7, 1-26, percentile interval; Rao and Wu 1988, J. Am. Stat. Assoc. 83, 231-241,
        for n - 1 of n.

    >>> labels, predicted = np.array([0] * 50 + [1] * 50), np.array([0] * 80 + [1] * 20)
    >>> found = bootstrap(labels, predicted, {"first": np.array([True, False]), "second": np.array([False, True])})
    >>> {name: [round(bound, 1) for bound in bounds] for name, bounds in found.items()}
    {'top1': [0.6, 0.8], 'macro_f1': [0.6, 0.8], 'balanced_accuracy': [0.6, 0.8], 'first': [0.9, 1.0],
     'second': [0.3, 0.6]}
    """
    true = np.bincount(labels, minlength=len(next(iter(groups.values()))))
    members = {name: group & (true > 0) for name, group in {"balanced_accuracy": true > 0, **groups}.items()}
    if not resamples:
        return dict.fromkeys(("top1", "macro_f1", *members))
    drawn = _statistics(*_resampled(labels, predicted, true, resamples=resamples, seed=seed), true, members)
    correct, taken = (np.bincount(those, minlength=len(true)) for those in (labels[labels == predicted], predicted))
    measured = _statistics(correct[:, None].astype(np.float64), taken[:, None].astype(np.float64), true, members)
    images = {name: int(true[those].sum()) for name, those in members.items()}
    found = dict[str, Interval | None]()
    for name, (value,) in measured.items():
        if np.isnan(value):
            found[name] = None
            continue
        low, high = np.percentile(drawn[name], [2.5, 97.5]).tolist()
        if low == high:
            n = images.get(name, len(labels))
            found[name] = wilson(float(value) * n, n)
        else:  # what was measured is never outside, though means of ratios may drift; 1 may be passed by rounding
            found[name] = min(low, float(value)), min(max(high, float(value)), 1.0)
    return found


def _resampled(labels: Labels, predicted: Labels, true: Counts, *, resamples: int, seed: int) -> tuple[Drawn, Drawn]:
    """How many images of each class were recognised, and were taken for it, in each resample: twice `(C, R)`.

    What matters of an image is its class and what it was taken for, so the numbers of such images are drawn, not the
    images: there are far fewer of them.
    """
    rng, classes = np.random.default_rng([seed, BOOTSTRAP]), len(true)
    correct = np.zeros((classes, resamples), np.float32)
    taken = np.zeros((classes, resamples), np.float32)
    cells, images = np.unique(labels.astype(np.int64) * classes + predicted, return_counts=True)
    rows, columns = np.divmod(cells, classes)
    present, starts = np.unique(rows, return_index=True)
    for c, others, counts in zip(
        present.tolist(), np.split(columns, starts[1:]), np.split(images, starts[1:]), strict=True
    ):
        n = int(true[c])
        draws = max(n - 1, 1)
        weighted = (n / draws) * rng.multinomial(draws, counts / n, size=resamples).T  # (cells of the class, R)
        taken[others] += weighted
        correct[c] = weighted[others == c].sum(0)
    return correct, taken


def _statistics(
    correct: Drawn, taken: Drawn, true: Counts, members: Mapping[str, Bool[np.ndarray, " classes"]]
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """What is to get intervals, from counts in every resample; NaN for a group without images."""
    whole = true[:, None]
    recall = correct / np.maximum(whole, 1).astype(correct.dtype)
    f1 = 2 * correct / np.maximum(whole + taken, 1).astype(correct.dtype)
    nothing = np.full(correct.shape[1], np.nan)
    return {
        "top1": correct.sum(0, dtype=np.float64) / true.sum(),
        "macro_f1": f1[true > 0].mean(0, dtype=np.float64),
        **{
            name: recall[those].mean(0, dtype=np.float64) if those.any() else nothing for name, those in members.items()
        },
    }
