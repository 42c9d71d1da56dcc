"""The section about reliability: accuracy over confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from longtail.metrics import Bin, Summary, wilson
from longtail.report.difference import Verdicts
from longtail.report.run import Run
from longtail.report.section import Content, Section
from longtail.report.svg import SPAN, Linear, Tick, line
from longtail.text import percent, percent_interval, quantity


@dataclass(frozen=True)
class Diagram:
    """Accuracy over confidence.

    Args:
        key: names the diagram for the script.
        title: of which images.
        gap: mean gap between confidence and accuracy over the bins, in words.
        bars: path of the accuracies.
        whiskers: path of their intervals.
        marks: path of dots at mean confidence and accuracy.
        images: path of bars of the share of images in each bin, the fullest at full height.
        stops: places and words, one for each bin that holds images.
    """

    key: str
    title: str
    gap: str
    bars: str
    whiskers: str
    marks: str
    images: str
    stops: list[tuple[float, str]]


@dataclass(frozen=True)
class Reliability:
    """The diagrams of one run."""

    name: str
    diagrams: list[Diagram]


@dataclass(frozen=True)
class View:
    """The diagrams of each run, and what stands beside their axes."""

    runs: list[Reliability]
    tenths: list[Tick]


def _build(runs: Sequence[Run], _: Verdicts) -> Content:
    drawn = [Reliability(run.name, diagrams(run.summary, key=f"bins{number}")) for number, run in enumerate(runs)]
    stops = {diagram.key: diagram.stops for each in drawn for diagram in each.diagrams}
    return Content(View(drawn, Linear(0.0, 100.0).ticks(4)), {"stops": stops})


SECTION = Section("reliability", "Reliability", "Reliability", "reliability.html", _build)


def diagrams(summary: Summary, *, key: str) -> list[Diagram]:
    """Of all images, and of those of each group that has some."""
    return [
        _diagram(group, bins, key=f"{key}-{group}")
        for group, bins in summary.reliability.items()
        if any(each.images for each in bins)
    ]


def _diagram(group: str, bins: Sequence[Bin], *, key: str) -> Diagram:
    width, total, fullest = SPAN / len(bins), sum(each.images for each in bins), max(each.images for each in bins)
    bars, whiskers, marks, images, stops = [], [], [], [], []
    gap = 0.0
    for number, each in enumerate(bins):
        if each.confidence is None or each.accuracy is None:
            continue
        left, middle, x = number * width, (number + 0.5) * width, each.confidence * SPAN
        gap += abs(each.confidence - each.accuracy) * each.images / total
        bars.append(_bar(left, width, each.accuracy * SPAN))
        low, high = wilson(each.accuracy * each.images, each.images) or (0.0, 1.0)
        whiskers.append(line([(x, low * SPAN), (x, high * SPAN)]))
        marks.append(f"M{x:.1f} {SPAN - each.accuracy * SPAN:.1f}h0")
        images.append(_bar(left, width, max(each.images / fullest * SPAN, 15)))
        words = (
            f"{quantity(each.images, 'image')}",
            f"confidence {percent(each.confidence)}",
            f"right {percent(each.accuracy)} ({percent_interval((low, high))} %)",
        )
        stops.append((round(middle, 1), "\n".join(words)))
    return Diagram(
        key=key,
        title="All images" if group == "all" else group.capitalize(),
        gap=percent(gap),
        bars="".join(bars),
        whiskers="".join(whiskers),
        marks="".join(marks),
        images="".join(images),
        stops=stops,
    )


def _bar(left: float, width: float, height: float) -> str:
    return f"M{left + 4:.1f} {SPAN}V{SPAN - height:.1f}h{width - 8:.1f}V{SPAN}Z"
