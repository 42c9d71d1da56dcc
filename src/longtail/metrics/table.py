"""The table of metrics: one row each, which summary, log, intervals, tests, pages and tables iterate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from longtail import text
from longtail.metrics import calibration
from longtail.metrics.tally import Columns, Outcomes, PerClass, Sums, Tally

PerWeighting = Float[np.ndarray, " weightings"]


@dataclass(frozen=True)
class OfImages:
    """A metric that is no function of counts, but of sums of quantities of each image.

    Args:
        columns: `(N, K)` quantities whose weighted sums are needed; `None` where the metric has no meaning.
        of: the metric, `(R,)`, from these sums `(K, R)` and the number of images `(R,)`.
    """

    columns: Callable[[Outcomes], Columns | None]
    of: Callable[[Sums, Float[np.ndarray, " #weightings"]], PerWeighting]


@dataclass(frozen=True)
class Metric:
    """One figure of a summary.

    Args:
        key: its name in files and in Python.
        title: heads it in tables.
        meaning: what it is, in a phrase. Of a summary, `{classes}`, `{many}`, `{medium}` and `{few}` stand for words.
        better: which of two values is the better one.
        of: the metric, `(R,)`, from counts of images with R weightings; NaN where there is nothing to measure. One
            function serves the value (R = 1), its interval and tests of differences (R resamples).
        unit: how values are written.
        interval: how the 95 % interval is made of resamples. "share": percentiles; of a share of images, or a mean of
            such shares, so Wilson's where resampling shows no chance. "percentile": there is none then. "basic":
            percentiles reflected at the value, for what resampling makes larger. "class": Wilson's of the worst class;
            the lowest of many recalls is lower still in resamples, so there is no test either.
        groups: which of many, medium and few it is of, if not of all classes.
        brief: whether it is reported while training.
        overview: whether it has a column where runs are rows.
    """

    key: str
    title: str
    meaning: str
    better: Literal["higher", "lower", "neither"]
    of: Callable[[Tally], PerWeighting] | OfImages
    unit: Literal["percent", "points", "nats"] = "percent"
    interval: Literal["share", "percentile", "basic", "class"] = "percentile"
    groups: tuple[str, ...] = ()
    brief: bool = False
    overview: bool = True

    @property
    def tested(self) -> bool:
        """Whether differences are tested over images."""
        return self.interval != "class"

    @property
    def heading(self) -> str:
        """The title at the start of a line."""
        return self.title[0].upper() + self.title[1:]

    def value_in_words(self, value: float | None) -> str:
        """A value; a dash for none.

        >>> METRICS[0].value_in_words(0.4497)
        '45.0 %'
        """
        match self.unit:
            case "percent":
                return text.percent(value)
            case "points":
                return text.DASH if value is None else text.percentage_points(value)
            case "nats":
                return text.DASH if value is None else text.decimal(value)

    def interval_in_words(self, interval: tuple[float, float] | None) -> str:
        """An interval of values; a dash for none.

        >>> METRICS[0].interval_in_words((0.4356, 0.4634))
        '43.6 to 46.3'
        """
        if interval is None:
            return text.DASH
        match self.unit:
            case "percent":
                return text.percent_interval(interval)
            case "points":
                return self.differences_in_words(interval)
            case "nats":
                return " to ".join(map(text.decimal, interval))

    def difference_in_words(self, difference: float) -> str:
        """A difference between two values, with its sign; of shares in percentage points.

        >>> METRICS[0].difference_in_words(0.0123)
        '+1.2'
        """
        if self.unit == "nats":
            return text.decimal(difference, sign=True)
        return text.percentage_points(difference)

    def differences_in_words(self, interval: tuple[float, float]) -> str:
        """An interval of differences.

        >>> METRICS[0].differences_in_words((-0.01, 0.02))
        '−1.0 to +2.0'
        """
        return " to ".join(map(self.difference_in_words, interval))

    def best(self, values: Sequence[float | None]) -> tuple[int, ...]:
        """Positions of the best of several values; none if all are equal or no value is better than another.

        >>> METRICS[0].best([0.4, None, 0.5])
        (2,)
        """
        known = [value for value in values if value is not None]
        if len(values) < 2 or not known or min(known) == max(known) or self.better == "neither":
            return ()
        best = min(known) if self.better == "lower" else max(known)
        return tuple(place for place, value in enumerate(values) if value == best)


def measure(tally: Tally, sums: Mapping[str, Sums]) -> dict[str, PerWeighting]:
    """Compute all metrics.

    Args:
        tally: counts of images.
        sums: of the columns that `columns` gives, weighted likewise.
    Returns: by key, `(R,)`; NaN where there is nothing to measure.
    """
    found = dict[str, PerWeighting]()
    nothing = np.full(tally.correct.shape[1], np.nan)
    for metric in METRICS:
        if not isinstance(metric.of, OfImages):
            found[metric.key] = metric.of(tally)
        elif metric.key in sums:
            found[metric.key] = metric.of.of(sums[metric.key], tally.images)
        else:
            found[metric.key] = nothing
    return found


def columns(outcomes: Outcomes) -> dict[str, Columns]:
    """What metrics of single images need of each image; without those that have no meaning for these."""
    found = {metric.key: metric.of.columns(outcomes) for metric in METRICS if isinstance(metric.of, OfImages)}
    return {key: values for key, values in found.items() if values is not None}


# Of counts. Classes without images are left out of means; of (C, R) arrays each function makes (R,).


def _top1(tally: Tally) -> PerWeighting:
    return tally.correct.sum(0, dtype=np.float64) / tally.images


def _mean(tally: Tally, values: PerClass, group: str | None = None) -> PerWeighting:
    """The mean over the classes that have images, or over those of a group."""
    rows = tally.measured.any(1)
    if group is not None:
        rows = rows & tally.groups[group]
    classes = tally.measured[rows].sum(0)
    nothing = np.full(values.shape[1], np.nan)
    return np.divide(values[rows].sum(0, dtype=np.float64), classes, out=nothing, where=classes > 0)


def _mean_recall(group: str | None = None) -> Callable[[Tally], PerWeighting]:
    return lambda tally: _mean(tally, tally.recalls, group)


def _macro_f1(tally: Tally) -> PerWeighting:
    return tally.f1s.sum(0, dtype=np.float64) / tally.measured.sum(0)


def _harmonic_mean(tally: Tally) -> PerWeighting:
    rows = tally.measured.any(1)
    recalls, measured = tally.recalls[rows], tally.measured[rows]
    inverse = np.divide(1.0, recalls, out=np.full(recalls.shape, np.inf), where=recalls > 0)
    return measured.sum(0) / np.where(measured, inverse, 0.0).sum(0)


def _geometric_mean(tally: Tally) -> PerWeighting:
    logs = np.log(tally.recalls, out=np.full(tally.recalls.shape, -np.inf), where=tally.recalls > 0)
    return np.exp(_mean(tally, np.where(tally.measured, logs, 0.0)))


def _gap(tally: Tally) -> PerWeighting:
    return _mean(tally, tally.recalls, "many") - _mean(tally, tally.recalls, "few")


def _worst(tally: Tally) -> PerWeighting:
    return np.where(tally.measured, tally.recalls, np.inf).min(0)


# Of single images.


def _mean_of_images(sums: Sums, images: Float[np.ndarray, " #weightings"]) -> PerWeighting:
    return sums[0] / images


def _top5(outcomes: Outcomes) -> Columns | None:
    return (outcomes.ranks < 5)[:, None].astype(np.float64) if outcomes.classes > 5 else None


def _calibration_error(sums: Sums, images: Float[np.ndarray, " #weightings"]) -> PerWeighting:
    return np.abs(sums).sum(0) / images


def _calibrated_gaps(outcomes: Outcomes) -> Columns | None:
    return None if outcomes.calibrated is None else calibration.gaps(outcomes.calibrated, outcomes.right)


METRICS: tuple[Metric, ...] = (
    Metric("top1", "top-1", "share of all images that are recognised", "higher", _top1, interval="share", brief=True),
    Metric(
        "top5",
        "top-5",
        "the true class is among the five most probable",
        "higher",
        OfImages(_top5, _mean_of_images),
        interval="share",
        overview=False,
    ),
    Metric("balanced_accuracy", "balanced", "mean recall of {classes}", "higher", _mean_recall(), interval="share"),
    *(
        Metric(
            group,
            group,
            f"mean recall of classes with {{{group}}}",
            "higher",
            _mean_recall(group),
            interval="share",
            groups=(group,),
            brief=True,
        )
        for group in ("many", "medium", "few")
    ),
    Metric(
        "head_tail_gap",
        "head minus tail",
        "many minus few, in percentage points",
        "neither",
        _gap,
        unit="points",
        groups=("many", "few"),
        overview=False,
    ),
    Metric(
        "macro_f1",
        "macro F1",
        "mean over classes of F1, which counts false alarms too",
        "higher",
        _macro_f1,
        interval="share",
    ),
    Metric(
        "worst_class_recall",
        "worst class",
        "the lowest recall of a class",
        "higher",
        _worst,
        interval="class",
        overview=False,
    ),
    Metric(
        "hmean_recall",
        "harmonic mean",
        "of recalls; 0 if one class is never recognised",
        "higher",
        _harmonic_mean,
        overview=False,
    ),
    Metric(
        "gmean_recall",
        "geometric mean",
        "of recalls; 0 if one class is never recognised",
        "higher",
        _geometric_mean,
        overview=False,
    ),
    Metric(
        "ece",
        "ECE",
        "mean gap between confidence and accuracy; lower is better",
        "lower",
        OfImages(lambda outcomes: calibration.gaps(outcomes.confidences, outcomes.right), _calibration_error),
        interval="basic",
    ),
    Metric(
        "ece_calibrated",
        "ECE, scaled",
        "the same after temperature scaling",
        "lower",
        OfImages(_calibrated_gaps, _calibration_error),
        interval="basic",
        overview=False,
    ),
    Metric(
        "nll",
        "NLL",
        "mean negative log-likelihood, in nats; lower is better",
        "lower",
        OfImages(lambda outcomes: outcomes.losses[:, None], _mean_of_images),
        unit="nats",
        overview=False,
    ),
)
