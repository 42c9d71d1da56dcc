"""The section about custom data: what was found in it, and which images could not be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from longtail.report.difference import Verdicts
from longtail.report.run import Run
from longtail.report.section import Content, Section

_UNREADABLE = 20  # images that are named


@dataclass(frozen=True)
class CustomData:
    """What was found in custom data, and which images could not be read."""

    notes: list[str]
    unreadable: int
    first: list[tuple[str, str, str]]


@dataclass(frozen=True)
class View:
    """Of each run on custom data, its name and its data."""

    runs: list[tuple[str, CustomData]]


def _build(runs: Sequence[Run], _: Verdicts) -> Content | None:
    found = [(run.name, data) for run in runs if (data := custom_data(run))]
    return Content(View(found)) if found else None


SECTION = Section("data-used", "Data", "Data", "custom_data.html", _build)


def custom_data(run: Run) -> CustomData | None:
    """What a run on custom data recorded of it; `None` for built-in data sets."""
    if run.settings.data.name != "own":
        return None
    unreadable = [*run.quarantine]
    return CustomData([*run.record.notes], len(unreadable), unreadable[:_UNREADABLE])
