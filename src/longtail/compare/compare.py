"""Comparing recipes: the same data, seeds and budget for all, trained in turn, with tests of the differences."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from longtail import report
from longtail.compare import results as comparison
from longtail.compare import runner
from longtail.compare.results import Comparison, Results
from longtail.compare.runner import Say, Training
from longtail.metrics import softmax
from longtail.metrics.significance import Outcomes
from longtail.recipe import Recipe, build
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.runtime.files import write_text
from longtail.text import yaml_value

# How images are shown to a network may differ from recipe to recipe; which images there are may not.
_MAY_DIFFER = {"image_size", "in_memory", "workers", "packed"}


def compare(
    recipes: Sequence[str],
    out: Path,
    *,
    seeds: int = 3,
    budget: str | None = None,
    overrides: Sequence[str] = (),
    data_root: Path | None = None,
    device: str = "auto",
    say: Say = lambda _: None,
    show: Say = lambda _: None,
) -> Comparison:
    """Train recipes with several seeds each, in turn, and compare what comes out.

    Whatever has been trained into the folder is taken as it is, and what was interrupted goes on: the same call
    continues a comparison, and one with more seeds or recipes extends it. Writes `compare.md`, `compare.csv` and
    `compare.json`, and the first seed of each recipe side by side as `report.html`.

    Args:
        recipes: shipped names or files, all about the same images.
        out: the folder; a run is in its folder `RECIPE/seed-N`.
        seeds: of each recipe, at least 1: 0, 1 and so on.
        budget: time for each training, as text; `None`: as the recipes say.
        overrides: changes of settings for all recipes.
        data_root: see `sources.load`.
        device: see `hardware.runtime`.
        say: see `runner.run_all`.
        show: see `runner.run_all`.
    Raises: ValueError if recipes are about different data, if the folder holds runs with other settings, or if a
        training fails; KeyboardInterrupt when the training at hand has saved its state.
    """
    planned = runner.plan(recipes, range(seeds), out, overrides=overrides, budget=budget)
    _check_comparable(planned)
    runner.run_all(planned, data_root=data_root, device=device, say=say, show=show)
    found = read(planned)
    runs = [RunDir(training.out) for training in planned]
    _write(out, found, _protocol(planned, runs, overrides=overrides, budget=budget))
    first = [training.out for training in planned if training.settings.seed == planned[0].settings.seed]
    write_text(out / "report.html", report.page(first))
    return found


def _check_comparable(planned: Sequence[Training]) -> None:
    first, *others = ((training.settings, _data(training.settings)) for training in planned)
    for settings, data in others:
        for name, value in data.items():
            if value != first[1][name]:
                raise ValueError(
                    f"{first[0].name} and {settings.name} cannot be compared: {name} is "
                    f"{yaml_value(first[1][name])} and {yaml_value(value)}; all recipes must have the same data"
                )


def _data(settings: Recipe) -> dict[str, Any]:
    """All settings that decide which images there are, and how results are told."""
    data = {**settings.data.model_dump(mode="json", exclude=_MAY_DIFFER), "profile": settings.data.profile_used}
    groups = settings.groups.model_dump()
    return {
        **{f"data.{name}": value for name, value in data.items()},
        "split": settings.split,
        **{f"groups.{name}": value for name, value in groups.items()},
    }


def read(planned: Sequence[Training]) -> Comparison:
    """Compare trainings that have finished.

    Args:
        planned: all of them, with the same seeds for each recipe.
    Raises: ValueError if a file of a run is missing or damaged, or the runs were about different images.
    """
    by_name = dict[str, list[Training]]()
    for training in planned:
        by_name.setdefault(training.settings.name, []).append(training)
    runner.check_data([RunDir(training.out) for training in planned])
    short, results = _short([*by_name]), list[Results]()
    for name, several in by_name.items():
        runs = [RunDir(training.out) for training in several]
        spent = [seconds for run in runs if (seconds := runner.seconds(run)) is not None]
        mean = sum(spent) / len(spent) if spent else None
        results.append(Results(short[name], [run.read_summary() for run in runs], _outcomes(runs), mean))
    first = results[0].summaries[0]
    counts = np.array([each.train_count for each in first.per_class])
    return comparison.compare(
        results,
        seeds=[training.settings.seed for training in next(iter(by_name.values()))],
        split=RunDir(planned[0].out).measured(),
        groups=build.groups(planned[0].settings).masks(counts),
    )


def _outcomes(runs: Sequence[RunDir]) -> Outcomes:
    several = [run.read_predictions() for run in runs]
    return Outcomes(
        several[0].labels,
        np.stack([each.predicted for each in several]),
        np.stack([softmax(each.logits).max(1) for each in several]),
    )


def _short(names: Sequence[str]) -> dict[str, str]:
    """Names without the folder that all of them share.

    >>> _short(["digits-lt/ce", "digits-lt/hybrid-sc"])
    {'digits-lt/ce': 'ce', 'digits-lt/hybrid-sc': 'hybrid-sc'}
    """
    folders = {name.rpartition("/")[0] for name in names}
    return {name: name.rpartition("/")[2] if len(folders) == 1 else name for name in names}


def _protocol(
    planned: Sequence[Training], runs: Sequence[RunDir], *, overrides: Sequence[str], budget: str | None
) -> list[str]:
    """How the trainings were done, in sentences."""
    names = list(dict.fromkeys(training.settings.name for training in planned))
    seeds = list(dict.fromkeys(training.settings.seed for training in planned))
    summary, environments = runs[0].read_summary(), [Environment.read(run.environment) for run in runs]
    measured = f"{summary.images:,} {runs[0].measured()} images of {summary.classes:,} classes"
    lines = [
        f"Recipes: {', '.join(names)}.",
        f"Seeds: {', '.join(map(str, seeds))}; trained in turn; measured after the last epoch, on {measured}.",
    ]
    lines += [f"Time for each training: {budget}."] * (budget is not None)
    lines += [f"Changed settings, for all: {', '.join(overrides)}."] * bool(overrides)
    versions = dict.fromkeys(runner.version(each) for each in environments)
    machines = dict.fromkeys(runner.hardware(each) for each in environments)
    lines.append(f"longtail {' and '.join(versions)}; {' and '.join(machines)}.")
    if len(versions) > 1 or len(machines) > 1:
        lines.append("Not all runs are of one version and one machine, so times may not be comparable.")
    return lines


def _write(out: Path, found: Comparison, protocol: Sequence[str]) -> None:
    content = {"protocol": list(protocol), **found.to_dict()}
    write_text(out / "compare.json", json.dumps(content, indent=1) + "\n")
    write_text(out / "compare.csv", found.to_csv())
    write_text(out / "compare.md", found.to_markdown(protocol))
