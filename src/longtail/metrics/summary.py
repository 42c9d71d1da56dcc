"""Summary: all that one evaluation found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from longtail.data.class_counts import Counts, Groups
from longtail.metrics import calibration, intervals, validation
from longtail.metrics import per_class as of_classes
from longtail.metrics.calibration import Bin
from longtail.metrics.intervals import Interval
from longtail.metrics.scores import Labels, Logits, confidences_and_losses, ranks


@dataclass(frozen=True)
class ClassResult:
    """How well one class is recognised. Intervals are Wilson's, 95 %."""

    name: str
    train_count: int  # images
    test_count: int  # images
    correct: int  # test images of the class that were recognised
    predicted: int  # how often the class was predicted, rightly or wrongly
    recall: float | None  # correct / test_count; None if the class has no test image
    precision: float | None  # correct / predicted; None if it was never predicted
    f1: float | None  # their harmonic mean, 0 if never predicted; None if the class has no test image
    recall_interval: Interval | None  # None if there is no recall
    precision_interval: Interval | None  # None if there is no precision; given the images that were measured


@dataclass(frozen=True)
class Summary:
    """What one evaluation found. Accuracies are fractions, 0 to 1; means over classes are over the measured ones."""

    images: int  # test images N
    classes: int  # classes C that can be predicted
    classes_measured: int  # those with at least one test image
    top1: float  # share of images whose highest logit is the true class
    top5: float | None  # share of images whose true class is among the five highest; None if C <= 5
    balanced_accuracy: float  # mean recall
    macro_f1: float  # mean F1
    hmean_recall: float  # harmonic mean of recalls; 0 if one is 0
    gmean_recall: float  # geometric mean of recalls; 0 if one is 0
    many: float | None  # mean recall of the many-shot classes; None if none of them is measured
    medium: float | None  # likewise
    few: float | None  # likewise
    head_tail_gap: float | None  # many - few; None if one of them is
    intervals: dict[
        str, Interval | None
    ]  # 95 % of top1, balanced_accuracy, macro_f1, many, medium, few; see `bootstrap`
    group_classes: dict[str, int]  # classes in many, medium and few, measured or not
    group_measured: dict[str, int]  # the measured ones of them
    group_bounds: dict[str, int]  # the fields of Groups
    worst_class_recall: float
    worst_class: str  # the first one of several
    ece: float  # expected calibration error over 15 bins
    nll: float  # mean negative log-likelihood in nats
    temperature: float | None  # by which logits are to be divided; None if no validation images were held out to fit it
    ece_calibrated: float | None  # with it; None without, or where it was fitted on the images that are measured
    reliability: dict[str, tuple[Bin, ...]]  # 15 bins of all images, and of those of many, medium and few
    per_class: tuple[ClassResult, ...]  # all C classes, in order

    @property
    def groups(self) -> Groups:
        """Bounds between many, medium and few."""
        return Groups(**self.group_bounds)

    def group_of(self, result: ClassResult) -> str:
        """To which group a class belongs: "many", "medium" or "few"."""
        masks = self.groups.masks(np.array([result.train_count]))
        return next(name for name, mask in masks.items() if mask[0])

    def worst(self, k: int = 5) -> tuple[ClassResult, ...]:
        """The measured classes of the lowest recall, the worst first.

        Args:
            k: how many at most. Equal ones stay in order.
        """
        measured = [(result.recall, n) for n, result in enumerate(self.per_class) if result.recall is not None]
        return tuple(self.per_class[n] for _, n in sorted(measured)[:k])

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain dicts, lists, strings and numbers that `json` writes and `from_dict` reads back exactly."""
        return _lists(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """Read what `to_dict` wrote.

        Raises: ValueError if a field is missing or unknown, as in what another version wrote.
        """
        _check_fields(cls, values)
        read = {
            "intervals": {name: _interval(given) for name, given in values["intervals"].items()},
            "reliability": {
                group: tuple(_read(Bin, each) for each in bins) for group, bins in values["reliability"].items()
            },
            "per_class": tuple(_read(ClassResult, each) for each in values["per_class"]),
        }
        return cls(**{**values, **read})


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
        resamples: for intervals of means; see `bootstrap`. With 0, these intervals are `None`.
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

    predicted = logits.argmax(1)
    right = predicted == labels
    confidences, losses = confidences_and_losses(logits, labels)
    # Three vectors hold all that recall, precision and F1 need; the C x C matrix would be larger than most logits.
    true, taken, correct = (np.bincount(those, minlength=classes) for those in (labels, predicted, labels[right]))
    recall, precision, f1 = (
        of_classes.ratios(correct, true),
        of_classes.ratios(correct, taken),
        of_classes.f1s(correct, true, taken),
    )
    known = recall[true > 0]
    masks = groups.masks(train_counts)
    means = {name: _mean(recall[mask & (true > 0)]) for name, mask in masks.items()}
    worst = int(np.nanargmin(recall))
    calibrated = confidences_and_losses(logits, labels, temperature=temperature)[0] if temperature else None
    columns = (train_counts.tolist(), true.tolist(), correct.tolist(), taken.tolist())
    each = (_absent_as_none(recall), _absent_as_none(precision), _absent_as_none(f1))
    wilson = ([intervals.wilson(k, n) for k, n in zip(columns[2], column, strict=True)] for column in columns[1::2])
    return Summary(
        images=len(labels),
        classes=classes,
        classes_measured=len(known),
        top1=float(np.mean(right)),
        top5=float(np.mean(ranks(logits, labels) < 5)) if classes > 5 else None,
        balanced_accuracy=float(known.mean()),
        macro_f1=float(np.nanmean(f1)),
        hmean_recall=of_classes.harmonic_mean(known),
        gmean_recall=of_classes.geometric_mean(known),
        **means,
        head_tail_gap=_difference(means["many"], means["few"]),
        intervals=intervals.bootstrap(labels, predicted, masks, resamples=resamples),
        group_classes={name: int(mask.sum()) for name, mask in masks.items()},
        group_measured={name: int((mask & (true > 0)).sum()) for name, mask in masks.items()},
        group_bounds=asdict(groups),
        worst_class_recall=float(recall[worst]),
        worst_class=class_names[worst],
        ece=calibration.error(confidences, right),
        nll=float(np.mean(losses)),
        temperature=temperature,
        ece_calibrated=None if calibrated is None else calibration.error(calibrated, right),
        reliability={
            "all": calibration.reliability(confidences, right),
            **{
                name: calibration.reliability(confidences[mask[labels]], right[mask[labels]])
                for name, mask in masks.items()
            },
        },
        per_class=tuple(ClassResult(*row) for row in zip(class_names, *columns, *each, *wilson, strict=True)),
    )


def _mean(values: of_classes.PerClass) -> float | None:
    return float(values.mean()) if len(values) else None


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _absent_as_none(values: of_classes.PerClass) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _check_fields(kind: type, values: Mapping[str, Any]) -> None:
    wrong = {field.name for field in fields(kind)} ^ values.keys()
    if wrong:
        raise ValueError(f"{kind.__name__} has missing or unknown fields {sorted(wrong)}; need those of this version")


def _read(kind: type, values: Mapping[str, Any]) -> Any:
    _check_fields(kind, values)
    return kind(**{name: _interval(value) if isinstance(value, list) else value for name, value in values.items()})


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
