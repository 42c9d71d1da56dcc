"""Reliability: whether the network is right as often as it says."""

from dataclasses import dataclass

from longtail.metrics import Summary, wilson
from longtail.report.svg import SPAN, line
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


def diagrams(summary: Summary, *, key: str) -> list[Diagram]:
    """Of all images, and of those of each group that has some."""
    found = []
    for group, bins in summary.reliability.items():
        total = sum(each.images for each in bins)
        if not total:
            continue
        width, fullest = SPAN / len(bins), max(each.images for each in bins)
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
            said = (
                f"{quantity(each.images, 'image')}",
                f"confidence {percent(each.confidence)}",
                f"right {percent(each.accuracy)} ({percent_interval((low, high))} %)",
            )
            stops.append((round(middle, 1), "\n".join(said)))
        name = "All images" if group == "all" else group.capitalize()
        found.append(
            Diagram(
                key=f"{key}-{group}",
                title=name,
                gap=percent(gap),
                bars="".join(bars),
                whiskers="".join(whiskers),
                marks="".join(marks),
                images="".join(images),
                stops=stops,
            )
        )
    return found


def _bar(left: float, width: float, height: float) -> str:
    return f"M{left + 4:.1f} {SPAN}V{SPAN - height:.1f}h{width - 8:.1f}V{SPAN}Z"
