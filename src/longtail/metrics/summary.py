"""The summary of one evaluation: all metrics with their intervals, and every class."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from longtail.data.class_counts import Counts, Groups
from longtail.metrics import calibration, intervals, table, tally, validation
from longtail.metrics import per_class as of_classes
from longtail.metrics.calibration import Bin
from longtail.metrics.intervals import Interval
from longtail.metrics.scores import Labels, Logits
from longtail.metrics.tally import Outcomes
from longtail.text import quantity

# Files keep this order, whatever that of the table; metrics that are not in it follow, then what is long.
_IN_FILES = (
    *("images", "classes", "classes_measured", "top1", "top5", "balanced_accuracy", "macro_f1"),
    *("hmean_recall", "gmean_recall", "many", "medium", "few", "head_tail_gap", "intervals"),
    *("group_classes", "group_measured", "group_bounds", "worst_class_recall", "worst_class"),
    *("ece", "nll", "temperature", "ece_calibrated"),
)
_LAST_IN_FILES = ("reliability", "per_class")


@dataclass(frozen=True)
class ClassResult:
    """How well one class is recognised. Intervals are Wilson's, 95 %."""

    name: str
    train_count: int  # images
    test_count: int  # images
    correct: int  # test images of the class that are recognised
    predicted: int  # how often the class was predicted, rightly or wrongly
    recall: float | None  # correct / test_count; None if the class has no test image
    precision: float | None  # correct / predicted; None if it was never predicted
    f1: float | None  # their harmonic mean, 0 if never predicted; None if the class has no test image
    recall_interval: Interval | None  # None if there is no recall
    precision_interval: Interval | None  # None if there is no precision; given the images of the test


@dataclass(frozen=True)
class Summary:
    """What one evaluation found. Accuracies are fractions, 0 to 1; means over classes are over those with images.

    Args:
        images: test images N.
        classes: classes C that can be predicted.
        classes_measured: those with at least one test image.
        figures: all metrics of `metrics.table.METRICS`, by key; `None` where there was nothing to measure, or where
            the version that wrote the file did not have the metric. The usual ones are attributes too.
        intervals: 95 % of these; `None` where there is none; see `bootstrap`.
        group_classes: classes in many, medium and few, with images or not.
        group_measured: those of them with images.
        group_bounds: the fields of `Groups`.
        worst_class: of the lowest recall, the first one of several.
        temperature: by which logits are to be divided; `None` without validation images to fit it on.
        reliability: 15 bins of all images, and of those of many, medium and few.
        per_class: all C classes, in order.
    """

    images: int
    classes: int
    classes_measured: int
    figures: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]
    group_classes: dict[str, int]
    group_measured: dict[str, int]
    group_bounds: dict[str, int]
    worst_class: str
    temperature: float | None
    reliability: dict[str, tuple[Bin, ...]]
    per_class: tuple[ClassResult, ...]

    def _known(self, key: str) -> float:
        value = self.figures[key]
        if value is None:
            raise ValueError(f"{key} was not measured by the version that wrote this summary; evaluate the run again")
        return value

    @property
    def top1(self) -> float:
        """Share of images whose highest logit is the true class."""
        return self._known("top1")

    @property
    def top5(self) -> float | None:
        """Share of images whose true class is among the five highest; `None` if C <= 5."""
        return self.figures["top5"]

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall."""
        return self._known("balanced_accuracy")

    @property
    def macro_f1(self) -> float:
        """Mean F1."""
        return self._known("macro_f1")

    @property
    def hmean_recall(self) -> float:
        """Harmonic mean of recalls; 0 if one is 0."""
        return self._known("hmean_recall")

    @property
    def gmean_recall(self) -> float:
        """Geometric mean of recalls; 0 if one is 0."""
        return self._known("gmean_recall")

    @property
    def many(self) -> float | None:
        """Mean recall of the many-shot classes; `None` if none of them has images."""
        return self.figures["many"]

    @property
    def medium(self) -> float | None:
        """Mean recall of the medium-shot classes, likewise."""
        return self.figures["medium"]

    @property
    def few(self) -> float | None:
        """Mean recall of the few-shot classes, likewise."""
        return self.figures["few"]

    @property
    def head_tail_gap(self) -> float | None:
        """Many minus few; `None` if one of them is."""
        return self.figures["head_tail_gap"]

    @property
    def worst_class_recall(self) -> float:
        """The lowest recall of a class."""
        return self._known("worst_class_recall")

    @property
    def ece(self) -> float:
        """Expected calibration error over 15 bins."""
        return self._known("ece")

    @property
    def ece_calibrated(self) -> float | None:
        """The same with the temperature; `None` without, or where it was fitted on the images that are evaluated."""
        return self.figures["ece_calibrated"]

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood in nats."""
        return self._known("nll")

    @property
    def groups(self) -> Groups:
        """Bounds between many, medium and few."""
        return Groups(**self.group_bounds)

    def group_of(self, result: ClassResult) -> str:
        """To which group a class belongs: "many", "medium" or "few"."""
        masks = self.groups.masks(np.array([result.train_count]))
        return next(name for name, mask in masks.items() if mask[0])

    def worst(self, k: int = 5) -> tuple[ClassResult, ...]:
        """The classes of the lowest recall, the worst first; those without images are left out.

        Args:
            k: how many at most. Equal ones stay in order.
        """
        known = [(result.recall, n) for n, result in enumerate(self.per_class) if result.recall is not None]
        return tuple(self.per_class[n] for _, n in sorted(known)[:k])

    def meaning(self, metric: table.Metric) -> str:
        """What a metric is, with this summary's numbers of classes and bounds of groups."""
        many, few = self.group_bounds["many"], self.group_bounds["few"]
        some = f"the {self.classes_measured:,} of {self.classes:,} classes that have images"
        return metric.meaning.format(
            classes=some if self.classes_measured < self.classes else "the classes, each counts alike",
            many=f"more than {quantity(many, 'training image')}",
            medium=f"{few:,} to {many:,} training images",
            few=f"fewer than {quantity(few, 'training image')}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain dicts, lists, strings and numbers that `json` writes and `from_dict` reads back exactly."""
        whole = asdict(self)
        whole |= whole.pop("figures")
        new = [name for name in whole if name not in (*_IN_FILES, *_LAST_IN_FILES)]
        return {name: _lists(whole[name]) for name in (*_IN_FILES, *new, *_LAST_IN_FILES) if name in whole}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """Read what `to_dict` of this or of another version wrote.

        A metric that the file does not have is `None`, and what this version does not know is left out.

        Raises: ValueError if it holds no results.
        """
        missing = [name for name in ("images", "classes", "group_bounds", "per_class") if name not in values]
        if missing:
            raise ValueError(f"it has no {missing[0]}, so it holds no results")
        per_class = tuple(_class_result(each) for each in values["per_class"])
        known = {name: _interval(given) for name, given in values.get("intervals", {}).items()}
        worst = min((each for each in per_class if each.recall is not None), key=lambda each: each.recall or 0.0)
        known.setdefault("worst_class_recall", worst.recall_interval)
        return cls(
            images=values["images"],
            classes=values["classes"],
            classes_measured=values.get("classes_measured", sum(each.recall is not None for each in per_class)),
            figures={metric.key: values.get(metric.key) for metric in table.METRICS},
            intervals={metric.key: known.get(metric.key) for metric in table.METRICS},
            group_classes=values["group_classes"],
            group_measured=values.get("group_measured", values["group_classes"]),
            group_bounds=values["group_bounds"],
            worst_class=values.get("worst_class", worst.name),
            temperature=values.get("temperature"),
            reliability={
                group: tuple(Bin(**_fields_of(Bin, each)) for each in bins)
                for group, bins in values.get("reliability", {}).items()
            },
            per_class=per_class,
        )


def summarise(
    logits: Logits,
    labels: Labels,
    *,
    train_counts: Counts,
    class_names: Sequence[str],
    groups: Groups = Groups(),
    temperature: float | None = None,
    resamples: int = 1000,
) -> Summary:
    """Measure predictions against the truth.

    Works through the logits in blocks and needs little memory beside them, also for thousands of classes.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)` true classes, in `[0, C)`.
        train_counts: `(C,)` training images per class; they decide the groups and nothing else.
        class_names: C names.
        groups: bounds between many, medium and few.
        temperature: by which logits are to be divided, fitted on other images; `None`: none was.
        resamples: for intervals; see `bootstrap`. With 0, all but those of single classes are `None`.
    Returns: the summary.
    Raises: ValueError if there is no image, a label is out of range, a logit is not finite or lengths differ.

    >>> logits = np.array([[2.0, 0.0], [3.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> labels, counts = np.array([0, 0, 1, 1]), np.array([500, 5])
    >>> summary = summarise(logits, labels, train_counts=counts, class_names=["cat", "lynx"])
    >>> summary.top1, summary.many, summary.medium, summary.few, summary.worst_class
    (0.75, 1.0, None, 0.5, 'lynx')
    """
    validation.scores("logits", logits, labels)
    classes = logits.shape[1]
    for name, length in (("train_counts", len(train_counts)), ("class_names", len(class_names))):
        if length != classes:
            raise ValueError(f"{name} has length {length}; it must be {classes}, the number of classes in logits")

    outcomes, masks = Outcomes.of(logits, labels, temperature=temperature), groups.masks(train_counts)
    once = tally.count(outcomes, masks)
    values = table.measure(once, {key: each.sum(0)[:, None] for key, each in table.columns(outcomes).items()})
    per_class = _per_class(outcomes, class_names, train_counts)
    there = once.true[:, 0] > 0
    worst = min((each for each in per_class if each.recall is not None), key=lambda each: each.recall or 0.0)
    found = intervals.bootstrap(outcomes, masks, resamples=resamples) | {"worst_class_recall": worst.recall_interval}
    return Summary(
        images=len(labels),
        classes=classes,
        classes_measured=int(there.sum()),
        figures={key: None if np.isnan(value).any() else float(value[0]) for key, value in values.items()},
        intervals={metric.key: found[metric.key] for metric in table.METRICS},
        group_classes={name: int(mask.sum()) for name, mask in masks.items()},
        group_measured={name: int((mask & there).sum()) for name, mask in masks.items()},
        group_bounds=asdict(groups),
        worst_class=worst.name,
        temperature=temperature,
        reliability={
            "all": calibration.reliability(outcomes.confidences, outcomes.right),
            **{
                name: calibration.reliability(outcomes.confidences[mask[labels]], outcomes.right[mask[labels]])
                for name, mask in masks.items()
            },
        },
        per_class=per_class,
    )


def _per_class(outcomes: Outcomes, names: Sequence[str], train_counts: Counts) -> tuple[ClassResult, ...]:
    # Three vectors hold all that recall, precision and F1 need; the C x C matrix would be larger than most logits.
    true, taken, correct = (
        np.bincount(those, minlength=outcomes.classes)
        for those in (outcomes.labels, outcomes.predicted, outcomes.labels[outcomes.right])
    )
    columns = (train_counts.tolist(), true.tolist(), correct.tolist(), taken.tolist())
    rates = (of_classes.ratios(correct, true), of_classes.ratios(correct, taken), of_classes.f1s(correct, true, taken))
    wilson = ([intervals.wilson(k, n) for k, n in zip(columns[2], column, strict=True)] for column in columns[1::2])
    rows = zip(names, *columns, *map(_absent_as_none, rates), *wilson, strict=True)
    return tuple(ClassResult(*row) for row in rows)


def _absent_as_none(values: of_classes.PerClass) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _class_result(values: Mapping[str, Any]) -> ClassResult:
    read = dict.fromkeys(field.name for field in fields(ClassResult)) | _fields_of(ClassResult, values)
    bounds = {name: _interval(read[name]) for name in ("recall_interval", "precision_interval")}
    return ClassResult(**{**read, **bounds})


def _fields_of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that a class of this version has."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def _interval(bounds: Sequence[float] | None) -> Interval | None:
    return None if bounds is None else (bounds[0], bounds[1])


def _lists(value: Any) -> Any:
    """The same with lists for tuples, as JSON has it."""
    match value:
        case dict():
            return {key: _lists(each) for key, each in value.items()}
        case list() | tuple():
            return [_lists(each) for each in value]
    return value
