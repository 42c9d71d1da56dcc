"""The section about classes: recall over training images, and a table of all classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longtail.report.difference import Verdicts
from longtail.report.run import GROUPS, Run
from longtail.report.section import Content, Section
from longtail.report.svg import SPAN, Linear, Log, Tick, dots, line

_WHISKERS = 60  # classes, up to which every interval is drawn
_HEIGHTS = Linear(-0.04, 1.04)  # a little room, so that no point lies on the edge


@dataclass(frozen=True)
class Marks:
    """Points of one kind and size in one path.

    Args:
        kind: "many", "medium" or "few", or "run0", "run1", ... on a page of several runs.
        size: of the points, in pixels.
        path: their places.
    """

    kind: str
    size: float
    path: str


@dataclass(frozen=True)
class Chart:
    """Training images against recall.

    Args:
        across, up: what is written beside the axes.
        bounds: words and places, a share of the width in %, of the bounds between groups.
        whiskers: by kind, the path of all intervals, where there are not too many.
        marks: classes; those of one place are one larger point.
        trends: by kind, the path of the mean recall of classes of about equally many training images.
        x, y: places of all classes, by run: units from the left and from the bottom; `None` without a recall.
    """

    across: list[Tick]
    up: list[Tick]
    bounds: list[tuple[str, float]]
    whiskers: list[tuple[str, str]]
    marks: list[Marks]
    trends: list[tuple[str, str]]
    x: list[list[int]]
    y: list[list[int | None]]


def _build(runs: Sequence[Run], _: Verdicts) -> Content:
    drawn = chart(runs)
    return Content(drawn, {"classes": table(runs), "points": {"x": drawn.x, "y": drawn.y}})


SECTION = Section("classes", "Classes", "Class size and recall", "per_class.html", _build)


def chart(runs: Sequence[Run]) -> Chart:
    """Draw the classes of runs that know the same classes."""
    everything = [result for run in runs for result in run.summary.per_class]
    across = Log.around(result.train_count for result in everything)
    x = [[round(across.place(each.train_count)) for each in run.summary.per_class] for run in runs]
    y = [
        [None if each.recall is None else round(_HEIGHTS.place(each.recall)) for each in run.summary.per_class]
        for run in runs
    ]
    one = len(runs) == 1
    kinds = [_groups(run) if one else [f"run{number}"] * len(run.class_names) for number, run in enumerate(runs)]
    bounds = runs[0].summary.group_bounds
    between = (
        []
        if len({tuple(run.summary.group_bounds.values()) for run in runs}) > 1
        else [
            (f"few < {bounds['few']:,}", bounds["few"] - 0.5),
            (f"many > {bounds['many']:,}", bounds["many"] + 0.5),
        ]
    )
    return Chart(
        across.ticks(),
        [Tick(f"{percent} %", _HEIGHTS.place(percent / 100) / SPAN * 100) for percent in (0, 25, 50, 75, 100)],
        [(words, across.place(at) / SPAN * 100) for words, at in between if across.low < at < across.high],
        _whiskers(runs[0], x[0], kinds[0]) if one else [],
        [marks for number in range(len(runs)) for marks in _marks(x[number], y[number], kinds[number])],
        [trend for number, run in enumerate(runs) for trend in _trend(run, across, "all" if one else f"run{number}")],
        x,
        y,
    )


def _groups(run: Run) -> list[str]:
    names = np.empty(len(run.class_names), dtype=object)
    for group in GROUPS:
        names[run.masks[group]] = group
    return names.tolist()


def _marks(x: Sequence[int], y: Sequence[int | None], kinds: Sequence[str]) -> list[Marks]:
    """Points that would hide each other become one, whose area grows with their number."""
    places = Counter(
        (kind, round(a / 3) * 3, round(b / 6) * 6) for kind, a, b in zip(kinds, x, y, strict=True) if b is not None
    )
    sizes: dict[tuple[str, float], list[tuple[float, float]]] = {}
    basis = 8.0 if len(x) <= 40 else 6.5 if len(x) <= 400 else 4.0
    for (kind, a, b), classes in places.items():
        sizes.setdefault((kind, round(basis * min(classes, 40) ** 0.5 * 2) / 2), []).append((a, b))
    # Large ones first, so that small ones are not hidden.
    return [
        Marks(kind, size, dots(sorted(points)))
        for (kind, size), points in sorted(sizes.items(), key=lambda item: -item[0][1])
    ]


def _whiskers(run: Run, x: Sequence[int], kinds: Sequence[str]) -> list[tuple[str, str]]:
    if len(x) > _WHISKERS:
        return []
    paths: dict[str, list[str]] = {}
    for kind, a, each in zip(kinds, x, run.summary.per_class, strict=True):
        if each.recall_interval:
            low, high = (_HEIGHTS.place(bound) for bound in each.recall_interval)
            paths.setdefault(kind, []).append(line([(a, low), (a, high)]))
    return [(kind, "".join(lines)) for kind, lines in paths.items()]


def _trend(run: Run, across: Log, kind: str) -> list[tuple[str, str]]:
    """Through the mean recall of equally many classes each, at the mean of their places."""
    known = sorted((each.train_count, each.recall) for each in run.summary.per_class if each.recall is not None)
    parts = min(12, len(known) // 8)
    if parts < 3:
        return []
    means = [
        (
            float(np.mean([across.place(count) for count, _ in part])),
            _HEIGHTS.place(float(np.mean([recall for _, recall in part]))),
        )
        for part in (known[len(known) * i // parts : len(known) * (i + 1) // parts] for i in range(parts))
    ]
    return [(kind, line(means))]


def table(runs: Sequence[Run]) -> dict[str, Any]:
    """The columns of a table of all classes, as plain data for the script of the page."""
    first = runs[0].summary.per_class
    return {
        "name": [each.name for each in first],
        "runs": [
            {
                "train": [each.train_count for each in run.summary.per_class],
                "group": [GROUPS.index(group) for group in _groups(run)],
                "test": [each.test_count for each in run.summary.per_class],
                "correct": [each.correct for each in run.summary.per_class],
                "predicted": [each.predicted for each in run.summary.per_class],
                "low": [each.recall_interval and round(each.recall_interval[0], 3) for each in run.summary.per_class],
                "high": [each.recall_interval and round(each.recall_interval[1], 3) for each in run.summary.per_class],
                **_predicted_instead(run),
            }
            for run in runs
        ],
    }


def _predicted_instead(run: Run) -> dict[str, list[int | None]]:
    """Which wrong class is predicted most often for each class, and how often; `None` if never."""
    wrong = run.labels != run.predicted
    taken: list[int | None] = [None] * len(run.class_names)
    times: list[int | None] = [None] * len(run.class_names)
    pairs = np.stack([run.labels[wrong], run.predicted[wrong]])
    cells, images = np.unique(pairs, axis=1, return_counts=True) if pairs.size else (pairs, np.empty(0, np.int64))
    for place in np.argsort(images, kind="stable").tolist():
        true, other = cells[:, place].tolist()
        taken[true], times[true] = other, int(images[place])
    return {"taken": taken, "times": times}
