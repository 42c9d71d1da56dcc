"""What a comparison of methods found: results of the same seeds on the same images, and tests of all pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from longtail.metrics import Outcomes, Summary, significance, table
from longtail.metrics.significance import Method, Pair, Spread
from longtail.metrics.tally import Groups


@dataclass(frozen=True)
class Results:
    """What the trainings of one method came to.

    Args:
        name: of the method.
        summaries: one for each seed.
        outcomes: what each seed predicted.
        seconds: that a training took, on average; `None` if that is not known.
    """

    name: str
    summaries: Sequence[Summary]
    outcomes: Sequence[Outcomes]
    seconds: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Methods, trained with the same seeds on the same data, and how they differ.

    Args:
        seeds: of every method.
        split: on which they were evaluated.
        images: how many of them.
        even: whether all classes have equally many of these images.
        spreads: for each method and metric, its values in brief; metrics that are not measured are absent.
        values: the same, one for each seed.
        seconds: that a training of each method took, on average.
        pairs: all differences.
    """

    seeds: tuple[int, ...]
    split: str
    images: int
    even: bool
    spreads: Mapping[str, Mapping[str, Spread]]
    values: Mapping[str, Mapping[str, Sequence[float]]]
    seconds: Mapping[str, float | None]
    pairs: Sequence[Pair]


def compare(
    results: Sequence[Results], *, seeds: Sequence[int], split: str, groups: Groups, resamples: int = 2000
) -> Comparison:
    """Measure each method over its seeds, and each pair of methods over seeds and over images.

    Args:
        results: of each method, all of the same seeds and images.
        seeds: of the summaries, in order.
        split: on which all were evaluated.
        groups: which classes are many-, medium- and few-shot.
        resamples: see `significance.resample`.
    """
    methods = [Method(each.name, _values(each.summaries), each.outcomes, groups) for each in results]
    first = results[0].summaries[0]
    return Comparison(
        seeds=tuple(seeds),
        split=split,
        images=first.images,
        even=len({each.test_count for each in first.per_class}) == 1,
        spreads={
            each.name: {metric: significance.spread(values) for metric, values in each.values.items()}
            for each in methods
        },
        values={each.name: each.values for each in methods},
        seconds={each.name: each.seconds for each in results},
        pairs=significance.compare(methods, resamples=resamples),
    )


def _values(summaries: Sequence[Summary]) -> dict[str, list[float]]:
    """Metrics that all seeds have."""
    found = dict[str, list[float]]()
    for metric in table.METRICS:
        values = [value for summary in summaries if (value := summary.figures[metric.key]) is not None]
        if len(values) == len(summaries):
            found[metric.key] = values
    return found
