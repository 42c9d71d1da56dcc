"""Rendering: the pieces of a report as one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longtail.report import confusions, curves, difference, feature_map, headline, per_class, protocol, reliability
from longtail.report import html as pages
from longtail.report import run as run_reading
from longtail.report.run import GROUPS, Run
from longtail.report.svg import Linear

MOST = 6  # runs side by side, for which there are colours


def page(paths: Sequence[Path]) -> str:
    """A report about finished runs as one HTML file that loads nothing from anywhere.

    Args:
        paths: run folders. Of several, all others are compared with the first.
    Raises: ValueError if there are more than `MOST`, one stands there twice, or `loading.read` would.
    """
    if not 1 <= len(paths) <= MOST:
        raise ValueError(f"{len(paths)} runs were given; allowed: 1 to {MOST} side by side")
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError("a run was given twice; each may stand on the page once")
    runs = run_reading.read(paths)
    chart = per_class.chart(runs)
    panels = curves.panels(runs)
    each = [_of_one(run, number) for number, run in enumerate(runs)]
    data = {
        "groups": GROUPS,
        "runs": [run.name for run in runs],
        "classes": per_class.table(runs),
        "points": {"x": chart.x, "y": chart.y},
        "stops": {
            **{f"curve-{panel.key}": panel.stops for panel in panels},
            **{diagram.key: diagram.stops for one in each for diagram in one["diagrams"]},
        },
        "maps": {map_.key: {"run": n, "x": map_.x, "y": map_.y} for n, one in enumerate(each) for map_ in one["maps"]},
        "images": [feature_map.images(run) if one["maps"] else None for run, one in zip(runs, each, strict=True)],
    }
    return pages.render(
        "report.html",
        style="report.css",
        script="report.js",
        title=_title(runs),
        subtitle=_subtitle(runs),
        runs=runs,
        groups=GROUPS,
        rows=headline.rows(runs),
        notes=_notes(runs),
        paired=[
            difference.paired(runs[0], other) if difference.same_images(runs[0], other) else None for other in runs[1:]
        ],
        chart=chart,
        panels=panels,
        each=each,
        settings=protocol.settings(runs),
        environment=protocol.environment(runs),
        own=[(run.name, found) for run in runs if (found := protocol.own_data(run))],
        tenths=Linear(0.0, 100.0).ticks(4),
        coloured=feature_map.coloured(runs[0]),
        data=data,
    )


def _of_one(run: Run, number: int) -> dict[str, Any]:
    """What is shown of each run by itself."""
    return {
        "name": run.name,
        "tail": run.shown.tail,
        "groups": confusions.groups(run),
        "matrix": confusions.matrix(run),
        "confusions": confusions.confusions(run),
        "mistakes": confusions.mistakes(run),
        "wrong": int((run.labels != run.predicted).sum()),
        "pictures": run.gallery is not None,
        "diagrams": reliability.diagrams(run.summary, key=f"bins{number}"),
        "maps": feature_map.maps(run, key=f"map{number}"),
    }


def _title(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return f"{runs[0].settings.name}, seed {runs[0].settings.seed}"
    folders = {run.settings.name.rpartition("/")[0] for run in runs}
    of = f"{folders.pop()}: " if len(folders) == 1 and any(folders) else ""
    return f"{of}{runs[0].name} and {runs[1].name}" if len(runs) == 2 else f"{of}{len(runs)} runs side by side"


def _subtitle(runs: Sequence[Run]) -> str:
    said = [protocol.protocol(run) for run in runs]
    return (
        said[0]
        if len({*said}) == 1
        else " ".join(f"{run.name}: {words}" for run, words in zip(runs, said, strict=True))
    )


def _notes(runs: Sequence[Run]) -> list[str]:
    """What a reader has to know before comparing."""
    notes = []
    for other in runs[1:]:
        if not difference.same_images(runs[0], other):
            notes.append(
                f"{other.name} was measured on other images than {runs[0].name}: differences have no intervals, and "
                "may come from the images alone."
            )
        if not difference.same_groups(runs[0], other):
            notes.append(
                f"{other.name} was trained on other class counts than {runs[0].name}: many, medium and few are other "
                "classes, so there are no differences for them."
            )
    if any(run.settings.published for run in runs) and any(run.record.split != "test" for run in runs):
        notes.append("Published figures are of test splits; they are left out where another split was measured.")
    return notes
