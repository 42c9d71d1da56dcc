"""The headline: all metrics of the runs with their intervals, and the differences between runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from longtail.metrics import Interval, Metric, table
from longtail.report import difference
from longtail.report.difference import Difference, Paired, Verdicts
from longtail.report.run import Run
from longtail.report.section import Content, Section
from longtail.text import percent, quantity


@dataclass(frozen=True)
class Cell:
    """A metric of one run; in words and as it is drawn.

    Args:
        value: the value.
        between: its interval, in words.
        note: what else there is to know in a word or two.
        at: the value as a fraction; `None` if it is not measured, or no share.
        interval: of that.
        source: where the note is from.
    """

    value: str
    between: str
    note: str = ""
    at: float | None = None
    interval: Interval | None = None
    source: str = ""


@dataclass(frozen=True)
class Change:
    """A difference to the first run, in words, and whether it is more than chance."""

    value: str
    between: str
    significant: bool


@dataclass(frozen=True)
class Row:
    """A metric of all runs.

    Args:
        name: of the metric.
        words: what it is.
        cells: one for each run.
        changes: of each other run against the first.
        best: positions of the runs in which it is best; none if there is one run or all are equal.
    """

    name: str
    words: str
    cells: tuple[Cell, ...]
    changes: tuple[Change | None, ...]
    best: tuple[int, ...]


@dataclass(frozen=True)
class Headline:
    """The table, what a reader has to know before comparing, and whose answers agree.

    Args:
        rows: of the table.
        notes: warnings.
        paired: of each other run against the first, if both were evaluated on the same images.
        seeds: that differences are of.
    """

    rows: list[Row]
    notes: list[str]
    paired: list[Paired]
    seeds: int


def _build(runs: Sequence[Run], verdicts: Verdicts) -> Content:
    paired = [difference.paired(runs[0], other) for other in runs[1:] if difference.same_images(runs[0], other)]
    return Content(Headline(rows(runs, verdicts), notes(runs), paired, verdicts.seeds))


SECTION = Section("headline", "Headline", "Headline", "headline.html", _build)


def rows(runs: Sequence[Run], verdicts: Verdicts) -> list[Row]:
    """The table; a metric that no run has is left out."""
    found = [difference.differences(runs[0], other, verdicts) for other in runs[1:]]
    rows = []
    for metric in table.METRICS:
        values = [run.summary.figures[metric.key] for run in runs]
        if all(value is None for value in values):
            continue
        rows.append(
            Row(
                metric.heading,
                runs[0].summary.meaning(metric),
                tuple(_cell(metric, run) for run in runs),
                tuple(_change(metric, each.get(metric.key)) for each in found),
                metric.best(values),
            )
        )
    return rows


def _cell(metric: Metric, run: Run) -> Cell:
    value, interval = run.summary.figures[metric.key], run.summary.intervals[metric.key]
    note, source = _note(metric, run)
    words = metric.value_in_words(value), metric.interval_in_words(interval)
    if metric.unit == "percent":
        return Cell(*words, note, value, interval, source)
    return Cell(*words, note, source=source)


def _note(metric: Metric, run: Run) -> tuple[str, str]:
    """What else there is to know of some metrics, and where that is from."""
    summary = run.summary
    match metric.key:
        case "top1" if run.settings.published is not None and run.record.split == "test":
            return f"published: {percent(run.settings.published.top1)}", run.settings.published.source
        case "worst_class_recall":
            worst = summary.worst(1)[0]
            same = sum(each.recall == worst.recall for each in summary.per_class)
            more = f", and {quantity(same - 1, 'other')}" if same > 1 else ""
            return f"{worst.name}: {worst.correct:,} of {worst.test_count:,}{more}", ""
    if len(metric.groups) == 1:
        classes, measured = (of[metric.groups[0]] for of in (summary.group_classes, summary.group_measured))
        return quantity(classes, "class") if classes == measured else f"{measured:,} of {classes:,} classes", ""
    return "", ""


def _change(metric: Metric, found: Difference | None) -> Change | None:
    if found is None:
        return None
    between = metric.differences_in_words(found.interval) if found.interval else ""
    return Change(metric.difference_in_words(found.value), between, found.significant)


def notes(runs: Sequence[Run]) -> list[str]:
    """What a reader has to know before comparing."""
    found = list[str]()
    for other in runs[1:]:
        if not difference.same_images(runs[0], other):
            found.append(
                f"{other.name} was evaluated on other images than {runs[0].name}: differences have no intervals, and "
                "may come from the images alone."
            )
        if not difference.same_groups(runs[0], other):
            found.append(
                f"{other.name} was trained on other class counts than {runs[0].name}: many, medium and few are other "
                "classes, so there are no differences for them."
            )
    if any(run.settings.published for run in runs) and any(run.record.split != "test" for run in runs):
        found.append("Published figures are of test splits; they are left out where another split was evaluated.")
    return found
