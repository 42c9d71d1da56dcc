"""Differences between runs on one page, and which of them are more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longtail.metrics import Interval, significance, table
from longtail.metrics.significance import Method, Pair
from longtail.report.run import GROUPS, Run


@dataclass(frozen=True)
class Verdicts:
    """Tests of all pairs of runs on a page, or of the methods that they are the first seeds of.

    Args:
        pairs: by the names of the runs.
        seeds: of each method; 1 if the runs themselves are tested.
    """

    pairs: Sequence[Pair]
    seeds: int = 1


@dataclass(frozen=True)
class Difference:
    """Other minus first.

    Args:
        value: the difference.
        interval: 95 %, of the same images under both; `None` if there is no way to know.
        significant: whether it is more than chance; see `significance.compare`.
    """

    value: float
    interval: Interval | None = None
    significant: bool = False


@dataclass(frozen=True)
class Paired:
    """How often two runs are right about the same images."""

    name: str  # of the other run
    both: int
    first: int  # only the first run
    other: int  # only the other run
    neither: int


def same_images(first: Run, other: Run) -> bool:
    """Whether both were evaluated on the same images, so that they can be compared image by image."""
    return first.ids == other.ids and bool(np.array_equal(first.labels, other.labels))


def same_groups(first: Run, other: Run) -> bool:
    """Whether the same classes are many, medium and few in both."""
    return all(np.array_equal(first.masks[group], other.masks[group]) for group in GROUPS)


def paired(first: Run, other: Run) -> Paired:
    """Count images by which of two runs is right about them; both were evaluated on the same."""
    a, b = (run.outcomes.right for run in (first, other))
    return Paired(other.name, int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))


def verdicts(runs: Sequence[Run]) -> Verdicts:
    """Test every pair of those runs that were evaluated on the same images as the first, as `longtail compare` does."""
    methods = [
        Method(
            run.name,
            {key: [value] for key, value in run.summary.figures.items() if value is not None},
            [run.outcomes],
            run.masks,
        )
        for run in runs
        if same_images(runs[0], run)
    ]
    return Verdicts(significance.compare(methods))


def differences(first: Run, other: Run, verdicts: Verdicts) -> dict[str, Difference]:
    """Differences of all metrics that both runs have, by key.

    Those of groups are left out if the groups are of other classes.
    """
    pairs = {pair.metric: pair for pair in verdicts.pairs if (pair.one, pair.other) == (other.name, first.name)}
    groups, found = same_groups(first, other), dict[str, Difference]()
    for metric in table.METRICS:
        before, after = first.summary.figures[metric.key], other.summary.figures[metric.key]
        if before is None or after is None or (metric.groups and not groups):
            continue
        pair = pairs.get(metric.key)
        found[metric.key] = (
            Difference(pair.difference, pair.interval, pair.significant) if pair else Difference(after - before)
        )
    return found
