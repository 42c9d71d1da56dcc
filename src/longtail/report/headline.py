"""Headline: what runs are worth, in a few figures with their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from longtail.metrics import Interval, Summary, wilson
from longtail.report import difference
from longtail.report.difference import Difference
from longtail.report.run import GROUPS, Run
from longtail.text import DASH, percent, percent_interval, percentage_points, quantity


@dataclass(frozen=True)
class Cell:
    """A figure of one run; shares in words and as they are drawn.

    Args:
        value: the figure.
        between: its interval, in words.
        note: what else is to be said in a word or two.
        at: the figure as a fraction.
        interval: of that.
        source: where the note is from.
    """

    value: str
    between: str
    note: str
    at: float | None
    interval: Interval | None
    source: str = ""


@dataclass(frozen=True)
class Row:
    """A figure of all runs.

    Args:
        name: of the figure.
        words: what it is.
        cells: one for each run.
        differences: of each other run to the first.
        best: positions of the runs in which it is best; none if there is one run or all are equal.
    """

    name: str
    words: str
    cells: tuple[Cell, ...]
    differences: tuple[Difference | None, ...]
    best: tuple[int, ...]


def rows(runs: Sequence[Run]) -> list[Row]:
    """The table."""
    first = runs[0].summary
    found = [difference.differences(runs[0], other) for other in runs[1:]]
    table = []
    for name, field, explained, cell in _figures(first):
        cells = tuple(cell(run) for run in runs)
        values = [None if each.at is None else each.at for each in cells]
        if all(value is None for value in values):
            continue
        table.append(Row(name, explained, cells, tuple(each.get(field) for each in found), _best(field, values)))
    return table


def _figures(first: Summary) -> list[tuple[str, str, str, Callable[[Run], Cell]]]:
    bounds = first.group_bounds
    meaning = {
        "many": f"more than {quantity(bounds['many'], 'training image')}",
        "medium": f"{bounds['few']:,} to {bounds['many']:,} training images",
        "few": f"fewer than {quantity(bounds['few'], 'training image')}",
    }
    return [
        ("Top-1", "top1", "share of all images that are recognised", _top1),
        ("Top-5", "top5", "the true class is among the five most probable", _top5),
        ("Balanced", "balanced_accuracy", _of_classes(first), _mean("balanced_accuracy")),
        *(
            (group.capitalize(), group, f"mean recall of classes with {meaning[group]}", _group(group))
            for group in GROUPS
        ),
        ("Head minus tail", "head_tail_gap", "many minus few, in percentage points", _gap),
        ("Macro F1", "macro_f1", "mean over classes of F1, which counts false alarms too", _mean("macro_f1")),
        ("Worst class", "worst_class_recall", "the lowest recall of a class", _worst),
        ("ECE", "ece", "mean gap between confidence and accuracy; lower is better", _ece),
    ]


def _of_classes(summary: Summary) -> str:
    if summary.classes_measured == summary.classes:
        return "mean recall of the classes, each counts alike"
    return f"mean recall of the {summary.classes_measured:,} of {summary.classes:,} classes that have images"


def _cell(value: float | None, interval: Interval | None = None, note: str = "") -> Cell:
    return Cell(percent(value), percent_interval(interval), note, value, interval)


def _top1(run: Run) -> Cell:
    published = run.settings.published if run.record.split == "test" else None
    cell = _cell(run.summary.top1, run.summary.intervals["top1"])
    if published is None:
        return cell
    return replace(cell, note=f"published: {percent(published.top1)}", source=published.source)


def _top5(run: Run) -> Cell:
    s = run.summary
    return _cell(s.top5, None if s.top5 is None else wilson(s.top5 * s.images, s.images))


def _mean(field: str) -> Callable[[Run], Cell]:
    return lambda run: _cell(getattr(run.summary, field), run.summary.intervals[field])


def _group(group: str) -> Callable[[Run], Cell]:
    def cell(run: Run) -> Cell:
        s = run.summary
        classes, measured = s.group_classes[group], s.group_measured[group]
        note = quantity(classes, "class", "classes") if classes == measured else f"{measured:,} of {classes:,} classes"
        return _cell(getattr(s, group), s.intervals[group], note)

    return cell


def _gap(run: Run) -> Cell:
    gap = run.summary.head_tail_gap
    return Cell(DASH if gap is None else percentage_points(gap), "", "", gap, None)


def _worst(run: Run) -> Cell:
    s = run.summary
    result = s.worst(1)[0]
    same = sum(each.recall == s.worst_class_recall for each in s.per_class)
    more = f", and {quantity(same - 1, 'other')}" if same > 1 else ""
    note = f"{result.name}: {result.correct:,} of {result.test_count:,}{more}"
    return _cell(s.worst_class_recall, result.recall_interval, note)


def _ece(run: Run) -> Cell:
    s = run.summary
    note = "" if s.ece_calibrated is None else f"{percent(s.ece_calibrated)} after temperature scaling"
    return _cell(s.ece, None, note)


def _best(field: str, values: Sequence[float | None]) -> tuple[int, ...]:
    known = [value for value in values if value is not None]
    if len(values) < 2 or min(known) == max(known) or field == "head_tail_gap":
        return ()
    best = min(known) if field == "ece" else max(known)
    return tuple(i for i, value in enumerate(values) if value == best)
