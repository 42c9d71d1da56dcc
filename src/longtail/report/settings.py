"""The section about settings and environment: all of them, first those in which runs differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.report.difference import Verdicts
from longtail.report.run import Run
from longtail.report.section import Content, Section
from longtail.text import DASH, duration, yaml_value


@dataclass(frozen=True)
class Listing:
    """A table of names and values, one value for each run; of several runs those that differ stand first."""

    different: list[tuple[str, tuple[str, ...]]]
    same: list[tuple[str, str]]


@dataclass(frozen=True)
class View:
    """Both tables."""

    settings: Listing
    environment: Listing


def _build(runs: Sequence[Run], _: Verdicts) -> Content:
    return Content(View(settings(runs), environment(runs)))


SECTION = Section("settings", "Settings", "Settings and environment", "settings.html", _build)


def settings(runs: Sequence[Run]) -> Listing:
    """All settings, dotted."""
    return _listing([flat(run.settings.model_dump(mode="json")) for run in runs])


def environment(runs: Sequence[Run]) -> Listing:
    """Machine, libraries, command, and how long it took."""
    found = []
    for run in runs:
        there = run.environment.to_dict()
        libraries = there.pop("libraries", {})
        command = there.pop("command", None)
        seconds = run.steps[-1].get("seconds") if run.steps else None
        found.append(
            {
                "run folder": str(run.path),
                **({"command": " ".join(command)} if command else {}),
                **({"training took": duration(seconds)} if seconds is not None else {}),
                **flat(there),
                **flat(libraries),
            }
        )
    return _listing(found)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and values in words.

    >>> flat({"a": {"b": 1, "c": None}, "d": [0.5, 1.0], "e": {}})
    {'a.b': '1', 'a.c': 'null', 'd': '0.5, 1', 'e': 'none'}
    """
    found = {}
    for name, value in settings.items():
        match value:
            case dict() if value:
                found.update(flat(value, f"{prefix}{name}."))
            case list() | tuple() | dict() if not value:
                found[prefix + name] = "none"
            case list() | tuple():
                found[prefix + name] = ", ".join(map(_in_words, value))
            case _:
                found[prefix + name] = _in_words(value)
    return found


def _in_words(value: Any) -> str:
    match value:
        case str():
            return value
        case float():
            return f"{value:g}"
    return yaml_value(value)


def _listing(each: Sequence[Mapping[str, str]]) -> Listing:
    names = [*dict.fromkeys(name for one in each for name in one)]
    rows = [(name, tuple(one.get(name, DASH) for one in each)) for name in names]
    return Listing(
        [(name, values) for name, values in rows if len({*values}) > 1],
        [(name, values[0]) for name, values in rows if len({*values}) == 1],
    )
