"""The section about training: losses, rates and recall over the epochs, from the log."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from longtail.report.difference import Verdicts
from longtail.report.run import GROUPS, Run
from longtail.report.section import Content, Section
from longtail.report.svg import SPAN, Linear, Tick, line
from longtail.text import MINUS

_POINTS = 300  # of a line; more than a screen resolves
_NOT_TERMS = ("step", "epoch", "seconds", "lr", "alpha", "anchors_without_positive")
_NAMES = {"loss": "loss, what is minimised", "cross_entropy": "cross-entropy", "contrast": "contrast"}


@dataclass(frozen=True)
class Series:
    """One line: its name, its colour, its path and its last value in words."""

    name: str
    kind: str
    path: str
    last: str


@dataclass(frozen=True)
class Panel:
    """Some lines over the same epochs and on the same scale.

    Args:
        key: names the panel for the script.
        title: what is drawn.
        note: what else there is to say.
        across, up: what is written beside the axes.
        series: lines.
        zero: height of 0 in % if the scale goes below it; else `None`.
        stops: places and words for whoever looks at a single epoch: x, and a line of words for each series.
    """

    key: str
    title: str
    note: str
    across: list[Tick]
    up: list[Tick]
    series: list[Series]
    zero: float | None
    stops: list[tuple[float, str]]


@dataclass(frozen=True)
class Curves:
    """All panels."""

    panels: list[Panel]


def _build(runs: Sequence[Run], _: Verdicts) -> Content | None:
    drawn = panels(runs)
    return Content(Curves(drawn), {"stops": {f"curve-{panel.key}": panel.stops for panel in drawn}}) if drawn else None


SECTION = Section("training", "Training", "Training", "curves.html", _build)

Line = tuple[str, str, list[float], list[float]]  # name, kind, epochs, values


def panels(runs: Sequence[Run]) -> list[Panel]:
    """Losses, weight of the contrastive loss, learning rate, and recall of the groups."""
    several = len(runs) > 1
    drawn = []
    for key, title in (("top1", "Top-1"), *((group, f"Recall, {group}") for group in GROUPS)) if several else ():
        drawn.append(
            _panel(key, title, [_evaluated(run, key, run.name, f"run{i}") for i, run in enumerate(runs)], share=True)
        )
    if not several:
        run = runs[0]
        lines = [_evaluated(run, "top1", "top-1", "all"), *(_evaluated(run, group, group, group) for group in GROUPS)]
        drawn.append(_panel("groups", "Recall on the evaluated images", lines, share=True))
        terms = dict.fromkeys(name for record in run.steps for name in record if name not in _NOT_TERMS)
        lines = [
            _stepped(run, name, _NAMES.get(name, name.replace("_", " ")), f"term{i}") for i, name in enumerate(terms)
        ]
        drawn.append(_panel("losses", "Losses", lines))
    else:
        drawn.append(
            _panel(
                "losses",
                "Loss",
                [_stepped(run, "loss", run.name, f"run{i}") for i, run in enumerate(runs)],
                note="Losses of different methods are on different scales.",
            )
        )
    for key, title, share in (
        ("alpha", "Alpha, the weight of the contrastive loss", False),
        ("lr", "Learning rate", False),
        ("anchors_without_positive", "Anchors without a positive", False),
    ):
        lines = [
            _stepped(run, key, run.name if several else title.split(",")[0], f"run{i}" if several else "all")
            for i, run in enumerate(runs)
        ]
        if key != "anchors_without_positive" or any(max(values, default=0) > 0 for *_, values in lines):
            drawn.append(_panel(key, title, lines, share=share, from_zero=True))
    return [panel for panel in drawn if panel is not None]


def _evaluated(run: Run, key: str, name: str, kind: str) -> Line:
    records = [(record["step"], record[key]) for record in run.evaluations if record.get(key) is not None]
    return _line(run, name, kind, records)


def _stepped(run: Run, key: str, name: str, kind: str) -> Line:
    return _line(run, name, kind, [(record["step"], record[key]) for record in run.steps if key in record])


def _line(run: Run, name: str, kind: str, records: Sequence[tuple[int, float]]) -> Line:
    last = max((record["step"] for record in (*run.steps, *run.evaluations)), default=1)
    records = [(step, value) for step, value in records if math.isfinite(value)]
    epochs, values = np.array([(step / last * run.settings.epochs, value) for step, value in records]).reshape(-1, 2).T
    parts = min(_POINTS, len(epochs))
    edges = [len(epochs) * i // max(parts, 1) for i in range(parts + 1)]
    # Of a long log each point is the mean of a stretch, placed at its end: the last is where the training ended.
    return (
        name,
        kind,
        [float(epochs[stop - 1]) for stop in edges[1:]],
        [float(values[start:stop].mean()) for start, stop in pairwise(edges)],
    )


def _panel(
    key: str, title: str, lines: Sequence[Line], *, share: bool = False, from_zero: bool = False, note: str = ""
) -> Panel | None:
    lines = [each for each in lines if each[2]]
    if not lines:
        return None
    across = Linear(0.0, max(1e-9, max(epochs[-1] for _, _, epochs, _ in lines)))
    low = min(min(values) for *_, values in lines)
    high = max(max(values) for *_, values in lines)
    if share:
        up, ticks = Linear(0.0, 1.0), [Tick(f"{percent} %", percent) for percent in (0, 25, 50, 75, 100)]
    else:
        low = 0.0 if from_zero else low
        room = (high - low or abs(high) or 1.0) * 0.06
        up = Linear(low if from_zero else low - room, high + room)
        ticks = up.ticks()
    words = (lambda value: f"{100 * value:.1f} %") if share else _figure
    series = [
        Series(
            name,
            kind,
            line((across.place(x), up.place(v)) for x, v in zip(epochs, values, strict=True)),
            words(values[-1]),
        )
        for name, kind, epochs, values in lines
    ]
    zero = up.place(0.0) / SPAN * 100 if up.low < 0 < up.high else None
    return Panel(key, title, note, across.ticks(), ticks, series, zero, _stops(lines, across, words))


def _stops(lines: Sequence[Line], across: Linear, words: Callable[[float], str]) -> list[tuple[float, str]]:
    """At each epoch of the densest line, the value there of all lines."""
    densest = max((epochs for _, _, epochs, _ in lines), key=len)
    stops = []
    for epoch in densest:
        parts = [f"epoch {epoch:.4g}"]
        for name, _, epochs, values in lines:
            nearest = int(np.argmin(np.abs(np.array(epochs) - epoch)))
            parts.append(f"{name}: {words(values[nearest])}")
        stops.append((round(across.place(epoch), 1), "\n".join(parts)))
    return stops


def _figure(value: float) -> str:
    if value and abs(value) < 1e-3:
        return f"{value:.1e}".replace("e-0", "e-").replace("-", MINUS)
    return f"{value:,.3g}".replace("-", MINUS)
