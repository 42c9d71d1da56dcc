"""Compare recipes: the same data, seeds and budget for all, trained in turn, with tests of the differences."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from longtail.compare import results as comparison
from longtail.compare import runner, tables
from longtail.compare.results import Comparison, Results
from longtail.compare.runner import Execution, Training
from longtail.metrics import Outcomes
from longtail.recipe import Recipe, build
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.runtime.files import write_text
from longtail.text import quantity, yaml_value

# How images are prepared for a network may differ from recipe to recipe; which images there are may not.
_MAY_DIFFER = {"image_size", "in_memory", "workers", "packed"}


def compare(
    recipes: Sequence[str],
    out: Path,
    *,
    seeds: int = 3,
    budget: str | None = None,
    overrides: Sequence[str] = (),
    execution: Execution = runner.DEFAULT,
) -> Comparison:
    """Train recipes with several seeds each, in turn, and compare what comes out.

    Whatever has been trained into the folder is taken as it is, and what was interrupted goes on: the same call
    continues a comparison, and one with more seeds or recipes extends it. Writes `compare.md`, `compare.csv` and
    `compare.json`.

    Args:
        recipes: shipped names or files, all about the same images.
        out: the folder; a run is in its folder `RECIPE/seed-N`.
        seeds: of each recipe, at least 1: 0, 1 and so on.
        budget: time for each training, as text; `None`: as the recipes say.
        overrides: changes of settings for all recipes.
        execution: how trainings are run.
    Raises: ValueError if recipes are about different data, if the folder holds runs with other settings, or if a
        training fails; KeyboardInterrupt when the training at hand has saved its state.
    """
    planned = runner.plan(recipes, range(seeds), out, overrides=overrides, budget=budget)
    _check_comparable(planned)
    runner.run_all(planned, execution)
    found = read(planned)
    _write(out, found, _protocol(planned, overrides=overrides, budget=budget))
    return found


def first_runs(recipes: Sequence[str], out: Path) -> list[Path]:
    """The folders of the first seed of each recipe."""
    return [training.out for training in runner.plan(recipes, [0], out)]


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
    """All settings that decide which images there are, and how results are reported."""
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
        results.append(Results(short[name], [run.read_summary() for run in runs], [*map(_outcomes, runs)], mean))
    first = results[0].summaries[0]
    counts = np.array([each.train_count for each in first.per_class])
    return comparison.compare(
        results,
        seeds=[training.settings.seed for training in next(iter(by_name.values()))],
        split=RunDir(planned[0].out).measured(),
        groups=build.groups(planned[0].settings).masks(counts),
    )


def _outcomes(run: RunDir) -> Outcomes:
    predictions = run.read_predictions()
    return Outcomes.of(predictions.logits, predictions.labels)


def _short(names: Sequence[str]) -> dict[str, str]:
    """Names without the folder that all of them share.

    >>> _short(["digits-lt/ce", "digits-lt/hybrid-sc"])
    {'digits-lt/ce': 'ce', 'digits-lt/hybrid-sc': 'hybrid-sc'}
    """
    folders = {name.rpartition("/")[0] for name in names}
    return {name: name.rpartition("/")[2] if len(folders) == 1 else name for name in names}


def _protocol(planned: Sequence[Training], *, overrides: Sequence[str], budget: str | None) -> list[str]:
    """How the trainings were done, in sentences."""
    runs = [RunDir(training.out) for training in planned]
    names = list(dict.fromkeys(training.settings.name for training in planned))
    seeds = list(dict.fromkeys(training.settings.seed for training in planned))
    summary, environments = runs[0].read_summary(), [Environment.read(run.environment) for run in runs]
    images = f"{quantity(summary.images, f'{runs[0].measured()} image')} of {quantity(summary.classes, 'class')}"
    lines = [
        f"Recipes: {', '.join(names)}.",
        f"Seeds: {', '.join(map(str, seeds))}; trained in turn; evaluated after the last epoch, on {images}.",
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
    content = {"protocol": list(protocol), **tables.to_dict(found)}
    write_text(out / "compare.json", json.dumps(content, indent=1) + "\n")
    write_text(out / "compare.csv", tables.to_csv(found))
    write_text(out / "compare.md", tables.to_markdown(found, protocol))
