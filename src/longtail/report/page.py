"""The page of a report: its sections in their order, in one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.report import (
    confusions,
    curves,
    custom_data,
    difference,
    feature_map,
    headline,
    html,
    mistakes,
    per_class,
    protocol,
    reliability,
    run,
    settings,
)
from longtail.report.difference import Verdicts
from longtail.report.run import GROUPS, Run
from longtail.report.section import Section

MOST = 6  # runs side by side, for which there are colours
SECTIONS: tuple[Section, ...] = (
    headline.SECTION,
    per_class.SECTION,
    curves.SECTION,
    confusions.SECTION,
    mistakes.SECTION,
    reliability.SECTION,
    feature_map.SECTION,
    custom_data.SECTION,
    settings.SECTION,
)


@dataclass(frozen=True)
class Written:
    """A section with its content, as the template has it."""

    key: str
    title: str
    heading: str
    template: str
    view: Any


@dataclass(frozen=True)
class Page:
    """All that the templates are given.

    Args:
        runs: the runs.
        groups: names of the groups of classes.
        sections: those that have content, in order.
    """

    runs: Sequence[Run]
    groups: tuple[str, ...]
    sections: tuple[Written, ...]


def render(paths: Sequence[Path], verdicts: Verdicts | None = None, *, names: Sequence[str] | None = None) -> str:
    """Write a report about finished runs as one HTML file that loads nothing from anywhere.

    Args:
        paths: run folders. Of several, all others are compared with the first.
        verdicts: tests of their differences; `None` makes them of these runs.
        names: of the runs on the page, as the tests have them; `None`: the shortest that distinguish them.
    Raises: ValueError if there are more than `MOST`, one stands there twice, or `run.read` would.
    """
    if not 1 <= len(paths) <= MOST:
        raise ValueError(f"{len(paths)} runs were given; allowed: 1 to {MOST} side by side")
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError("a run was given twice; each may stand on the page once")
    runs = run.read(paths, names=names)
    written, data = _sections(runs, difference.verdicts(runs) if verdicts is None else verdicts)
    return html.render(
        "report.html",
        style="report.css",
        script="report.js",
        title=_title(runs),
        subtitle=_subtitle(runs),
        page=Page(runs, GROUPS, written),
        data=data,
    )


def _sections(runs: Sequence[Run], verdicts: Verdicts) -> tuple[tuple[Written, ...], dict[str, Any]]:
    """The sections that have content, and the data of all of them for the script."""
    written = list[Written]()
    data: dict[str, Any] = {"groups": GROUPS, "runs": [each.name for each in runs]}
    for section in SECTIONS:
        content = section.build(runs, verdicts)
        if content is None:
            continue
        written.append(Written(section.key, section.title, section.heading, section.template, content.view))
        for name, value in content.data.items():
            data[name] = {**data.get(name, {}), **value} if isinstance(value, Mapping) else value
    return tuple(written), data


def _title(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return f"{runs[0].settings.name}, seed {runs[0].settings.seed}"
    folders = {each.settings.name.rpartition("/")[0] for each in runs}
    of = f"{folders.pop()}: " if len(folders) == 1 and any(folders) else ""
    return f"{of}{runs[0].name} and {runs[1].name}" if len(runs) == 2 else f"{of}{len(runs)} runs side by side"


def _subtitle(runs: Sequence[Run]) -> str:
    sentences = [protocol.protocol(each) for each in runs]
    if len({*sentences}) == 1:
        return sentences[0]
    return " ".join(f"{each.name}: {words}" for each, words in zip(runs, sentences, strict=True))
