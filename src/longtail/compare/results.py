"""A comparison of methods: results of the same seeds on the same images in, tables and plain sentences out."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool

from longtail.metrics import Summary, significance
from longtail.metrics.significance import Difference, Outcomes, Spread

METRICS = {
    "top1": "top-1",
    "balanced_accuracy": "balanced",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "macro_f1": "macro F1",
    "ece": "ECE",
}
_LOWER_IS_BETTER = {"ece"}
_LEVEL = 0.05


@dataclass(frozen=True)
class Results:
    """What the trainings of one method came to.

    Args:
        name: of the method.
        summaries: one for each seed.
        outcomes: the answers of the same seeds.
        seconds: that a training took, on average; `None` if that is not known.
    """

    name: str
    summaries: Sequence[Summary]
    outcomes: Outcomes
    seconds: float | None = None


@dataclass(frozen=True)
class Pair:
    """The difference between two methods in one metric.

    Args:
        metric: a key of `METRICS`.
        one: the method that is compared.
        other: with which.
        difference: of their means over seeds, `one - other`, as a fraction.
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
        return self.corrected < _LEVEL

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval that covers those of both tests."""
        tests = [test for test in (self.seeds, self.images) if test]
        return min(test.low for test in tests), max(test.high for test in tests)


@dataclass(frozen=True)
class Comparison:
    """Methods, trained with the same seeds on the same data, and how they differ.

    Args:
        seeds: of every method.
        split: on which they were measured.
        images: how many of them.
        even: whether all classes have equally many of these images.
        spreads: for each method and metric, its values in brief; metrics that cannot be measured are absent.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON has it. Accuracies are fractions."""
        return {
            "seeds": list(self.seeds),
            "split": self.split,
            "images": self.images,
            "methods": {
                name: {
                    "seconds": self.seconds[name],
                    "metrics": {
                        metric: {**found._asdict(), "values": list(self.values[name][metric])}
                        for metric, found in spreads.items()
                    },
                }
                for name, spreads in self.spreads.items()
            },
            "pairs": [
                {
                    **asdict(pair),
                    "seeds": pair.seeds and pair.seeds._asdict(),
                    "images": pair.images and pair.images._asdict(),
                    "interval": list(pair.interval),
                    "significant": pair.significant,
                }
                for pair in self.pairs
            ],
            "findings": self.findings(),
            "notes": self.notes(),
        }

    def findings(self) -> list[str]:
        """What the comparison says, a sentence a pair: of top-1, and of the mean over classes where that is another."""
        wanted = ["top1"] if self.even else ["top1", "balanced_accuracy"]
        return [self._finding(pair) for metric in wanted for pair in self.pairs if pair.metric == metric]

    def _finding(self, pair: Pair) -> str:
        low, high = pair.interval
        told = (
            f"{pair.one} against {pair.other}: {METRICS[pair.metric]} {_points(pair.difference)} points, 95 % interval "
            f"{_points(low)} to {_points(high)}, p {_p(pair.corrected)}: "
        )
        ahead = (pair.difference > 0) != (pair.metric in _LOWER_IS_BETTER)
        better, worse = (pair.one, pair.other) if ahead else (pair.other, pair.one)
        if pair.significant:
            return f"{told}significant; {better} was better"
        if pair.seeds and pair.images and pair.images.p < _LEVEL <= pair.seeds.p:
            return (
                f"{told}not significant; these trainings differ, but too unevenly from seed to seed to tell of others"
            )
        if pair.p < _LEVEL:
            pairs = sum(each.metric == pair.metric for each in self.pairs)
            return f"{told}not significant among {pairs} pairs, but would be as the only one"
        equal = f"{pair.one} and {pair.other} were equally good" if not pair.difference else f"{worse} was as good"
        seeds, images = _count(len(self.seeds), "seed"), _count(self.images, "image")
        return f"{told}not significant; {equal}, as far as {seeds} and {images} can tell"

    def notes(self) -> list[str]:
        """How to read the findings, and what they cannot tell."""
        count, pairs = len(self.seeds), len({(pair.one, pair.other) for pair in self.pairs})
        images = f"other {self.split} images would tell (paired bootstrap over {self.images:,} images)"
        if count < 3:
            few = "One seed" if count == 1 else "Two seeds"
            few += " of each: too few to say whether other trainings would differ likewise."
            notes = [f"{few} Intervals and p only say what {images}."]
        else:
            times = significance.detectable(count)
            power = f"a difference must be {times:.1f} times as large as its own standard deviation"
            both = f"what other seeds would tell (paired t-test of {count} seeds) and what {images}"
            notes = [
                f"Intervals and p are the more cautious of {both}.",
                f"With {count} seeds, {power} between seeds to count. A smaller one may be real and stay unseen.",
            ]
        if pairs > 1:
            notes.append(f"p is corrected for {pairs} pairs (Holm); intervals are not. Significant: p below {_LEVEL}.")
        return notes

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Columns and rows for people: means in %, with the standard deviation if there are several seeds."""
        shown = [metric for metric in METRICS if any(metric in spreads for spreads in self.spreads.values())]
        rows = [
            [name, *(_mean(spreads.get(metric)) for metric in shown), _seconds(self.seconds[name])]
            for name, spreads in self.spreads.items()
        ]
        return ["recipe", *(METRICS[metric] for metric in shown), "time"], rows

    def to_csv(self) -> str:
        """One row for each method and metric; fractions."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["recipe", "metric", "seeds", "mean", "sd", "low", "high"])
        for name, spreads in self.spreads.items():
            writer.writerows([name, metric, len(self.seeds), *found] for metric, found in spreads.items())
        return text.getvalue()

    def to_markdown(self, protocol: Sequence[str]) -> str:
        """A page: how it was done, the table, what it says, and every difference.

        Args:
            protocol: how the trainings were done, in sentences.
        """
        lines = ["# Comparison", "", *(f"- {line}" for line in protocol), "", *_table(*self.table()), ""]
        lines += [*(f"- {line}" for line in self.findings()), "", *self.notes()]
        rows = [
            [
                f"{pair.one} - {pair.other}",
                METRICS[pair.metric],
                _points(pair.difference),
                *(
                    f"{_points(test.low)} to {_points(test.high)}" if test else "-"
                    for test in (pair.seeds, pair.images)
                ),
                _p(pair.corrected) + " *" * pair.significant,
            ]
            for pair in self.pairs
        ]
        if rows:
            lines += ["", "## Differences", "", "In points of %; intervals of 95 %. A star: significant.", ""]
            lines += _table(["methods", "metric", "difference", "over seeds", "over images", "p"], rows)
        return "\n".join(lines) + "\n"


def compare(
    results: Sequence[Results],
    *,
    seeds: Sequence[int],
    split: str,
    groups: Mapping[str, Bool[np.ndarray, " classes"]],
    resamples: int = 2000,
) -> Comparison:
    """Measure each method over its seeds, and each pair of methods over seeds and over images.

    A difference may come from chance in training or from the choice of the images. It counts only if neither explains
    it: the p of a pair is the larger one of both tests (an intersection-union test, which needs no correction for being
    two). Pairs are corrected for their number, within each metric.

    Args:
        results: of each method, all of the same seeds and images.
        seeds: of the summaries, in order.
        split: on which all were measured.
        groups: which classes are many-, medium- and few-shot.
        resamples: see `significance.resample`.
    Source: Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", for the intersection of tests.
    """
    values = {each.name: _values(each.summaries) for each in results}
    drawn = (
        {each.name: significance.resample(each.outcomes, groups, seed=0, resamples=resamples) for each in results}
        if len(results) > 1
        else {}
    )
    pairs = list[Pair]()
    for metric in METRICS:
        found = [
            _pair(metric, one.name, other.name, values, drawn)
            for other, one in combinations(results, 2)
            if metric in values[one.name] and metric in values[other.name]
        ]
        found = [pair for pair in found if pair.seeds or pair.images]
        corrected = significance.holm([pair.p for pair in found])
        pairs += [Pair(**{**vars(pair), "corrected": p}) for pair, p in zip(found, corrected, strict=True)]
    first = results[0].summaries[0]
    counts = {each.test_count for each in first.per_class}
    return Comparison(
        seeds=tuple(seeds),
        split=split,
        images=first.images,
        even=len(counts) == 1,
        spreads={
            name: {metric: significance.spread(each) for metric, each in found.items()}
            for name, found in values.items()
        },
        values=values,
        seconds={each.name: each.seconds for each in results},
        pairs=pairs,
    )


def _values(summaries: Sequence[Summary]) -> dict[str, list[float]]:
    found = {metric: [getattr(summary, metric) for summary in summaries] for metric in METRICS}
    return {metric: values for metric, values in found.items() if None not in values}


def _pair(
    metric: str,
    one: str,
    other: str,
    values: Mapping[str, Mapping[str, Sequence[float]]],
    drawn: Mapping[str, Mapping[str, np.ndarray]],
) -> Pair:
    first, second = values[one][metric], values[other][metric]
    seeds = significance.over_seeds(first, second)
    images = significance.over_images(drawn[one][metric], drawn[other][metric])
    p = max((test.p for test in (seeds, images) if test), default=1.0)
    # Rounded, so that equal results differ by 0 and not by what adding them up in another order leaves.
    difference = round(float(np.mean(first)) - float(np.mean(second)), 12) + 0.0
    return Pair(metric, one, other, difference, seeds, images, p, p)


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}" if abs(difference) >= 0.0005 else "0.0"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _mean(found: Spread | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found.mean:.1f}" + (f" ± {100 * found.sd:.1f}" if found.sd is not None else "")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(columns) - 1)]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in (columns, marks, *rows)
    ]
