"""Background: on what, with what and how runs were trained, in words and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.report.run import Run
from longtail.text import DASH, duration, quantity, split_title, yaml_value

_UNREADABLE = 20  # images that are named


@dataclass(frozen=True)
class Listing:
    """A table of names and values, one value for each run; of several runs those that differ stand first."""

    different: list[tuple[str, tuple[str, ...]]]
    same: list[tuple[str, str]]


@dataclass(frozen=True)
class OwnData:
    """What was understood of somebody's own data, and which images could not be read."""

    notes: list[str]
    unreadable: int
    first: list[tuple[str, str, str]]


def protocol(run: Run) -> str:
    """How the figures came about, in a sentence.

    Comparisons are worth nothing if one run took its best epoch and the other its last.
    """
    s, counts = run.summary, [each.train_count for each in run.summary.per_class]
    epochs = run.settings.epochs
    last = f"last epoch of {epochs:,}" if epochs > 1 else "one epoch"
    if run.settings.budget is not None:
        last = f"end of a schedule of {quantity(epochs, 'epoch')}, cut to {duration(run.settings.budget)}"
    if run.settings.ema is not None:
        last += f", weights averaged over time ({run.settings.ema:g})"
    measured = f"{split_title(run.record.split)} split of {quantity(s.images, 'image')}"
    absent = s.classes - s.classes_measured
    unmeasured = f", {absent:,} of them without an image there" if absent else ""
    return (
        f"{last[0].upper()}{last[1:]}, one seed ({run.settings.seed}), {measured}. "
        f"Trained on {quantity(sum(counts), 'image')} of {quantity(s.classes, 'class', 'classes')}{unmeasured}, "
        f"{max(counts):,} to {min(counts):,} a class."
    )


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


def own_data(run: Run) -> OwnData | None:
    """What a run on somebody's own data says of it; `None` for named data sets."""
    if run.settings.data.name != "own":
        return None
    unreadable = [*run.quarantine]
    return OwnData([*run.record.notes], len(unreadable), unreadable[:_UNREADABLE])


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
                found[prefix + name] = ", ".join(map(_shown, value))
            case _:
                found[prefix + name] = _shown(value)
    return found


def _shown(value: Any) -> str:
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
