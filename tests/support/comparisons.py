"""Made-up methods, and comparisons of them."""

import numpy as np

from longtail import metrics
from longtail.compare import results as comparison
from longtail.compare.results import Comparison, Results
from longtail.data.class_counts import Groups
from longtail.metrics import Outcomes
from longtail.metrics.significance import Pair

COUNTS = np.array([500, 120, 60, 10, 3])
GROUPS = Groups().masks(COUNTS)


def results(name: str, skill: list[float], *, images: int = 400, noise: int = 0, uneven: bool = False) -> Results:
    """A method that recognises so large a share of the images, for each seed."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % (3 if uneven else 5)
    if uneven:
        labels[: images // 2] = 0
    hard = rng.permuted(np.arange(images))  # some images are harder than others, for every method
    logits = []
    for seed, share in enumerate(skill):
        each = np.zeros((images, 5))
        each[np.arange(images), (labels + 1) % 5] = 2.0
        right = (hard + np.random.default_rng([noise, seed]).integers(0, 40 * (noise > 0) + 1, images)) < share * images
        each[right] = 0
        each[right, labels[right]] = 2.0
        logits.append(each)
    summaries = [
        metrics.summarise(each, labels, train_counts=COUNTS, class_names=list("abcde"), resamples=0) for each in logits
    ]
    return Results(name, summaries, [Outcomes.of(each, labels) for each in logits], seconds=90.0)


def compare(*several: Results) -> Comparison:
    """Of methods, with few resamples."""
    seeds = range(len(several[0].summaries))
    return comparison.compare(several, seeds=seeds, split="test", groups=GROUPS, resamples=500)


def pair(found: Comparison, metric: str = "top1") -> Pair:
    """The first pair in a metric."""
    (one,) = (each for each in found.pairs if each.metric == metric)
    return one


SIX = {"a": 0.5, "b": 0.55, "c": 0.6, "d": 0.61}
