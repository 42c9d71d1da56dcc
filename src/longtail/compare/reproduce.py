"""Reproduce papers: the shipped rows with a published figure, ours beside it, and which have not been run."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from longtail import recipe
from longtail.compare import runner
from longtail.compare.runner import Execution
from longtail.recipe import Published, Recipe
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.text import one_line, yaml_value

Verdict = Literal["reproduced", "above", "below", "not run"]


@dataclass(frozen=True)
class Row:
    """One row of a paper, and what became of it here.

    Args:
        recipe: its shipped name.
        published: top-1 in the paper, as a fraction.
        source: the paper.
        seeds: of the runs that count: those that have finished, with the shipped settings.
        values: top-1 of each after the last epoch.
        ours: their mean; `None` if there are none.
        tolerance: by how much ours may differ; see `tolerance`.
        images: of the test split at hand.
        seconds: that a run took, on average.
        hardware: on which they ran.
        versions: with which.
        remarks: runs that are there and do not count, and why.
    """

    recipe: str
    published: float
    source: str
    seeds: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    ours: float | None = None
    tolerance: float | None = None
    images: int | None = None
    seconds: float | None = None
    hardware: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None else self.ours - self.published

    @property
    def verdict(self) -> Verdict:
        if self.difference is None or self.tolerance is None:
            return "not run"
        if abs(self.difference) <= self.tolerance:
            return "reproduced"
        return "above" if self.difference > 0 else "below"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON has it. Accuracies are fractions."""
        return {**asdict(self), "difference": self.difference, "verdict": self.verdict}


def tolerance(published: float, images: int) -> float:
    """By how much a figure may differ from the published one and still count as reproduced.

    One point, for other seeds, libraries and hardware: what papers report of their own spread is of that size. And the
    standard error of an accuracy on so many images.

    Args:
        published: the figure, as a fraction.
        images: of the test split.

    >>> round(tolerance(0.4497, 10_000), 4), round(tolerance(0.5, 100), 2)
    (0.015, 0.06)
    """
    return 0.01 + math.sqrt(published * (1 - published) / images)


def published() -> dict[str, Published]:
    """The rows there are: shipped recipes with a published figure.

    >>> published()["cifar100-lt-100/hybrid-psc"].top1
    0.4497
    """
    found = {name: recipe.load(name).published for name in recipe.shipped()}
    return {name: figure for name, figure in found.items() if figure is not None}


def chosen(wanted: Sequence[str]) -> list[str]:
    """The rows that are meant.

    Args:
        wanted: names of rows, or of data sets, all of whose rows are meant; nothing is all rows.
    Raises: ValueError if there is no such row.

    >>> chosen(["cifar100-lt-10"])
    ['cifar100-lt-10/ce', ...'cifar100-lt-10/hybrid-psc', 'cifar100-lt-10/hybrid-sc', ...]
    """
    rows = published()
    if not wanted:
        return [*rows]
    found = dict[str, None]()
    for name in wanted:
        these = [name] if name in rows else [row for row in rows if row.startswith(f"{name.rstrip('/')}/")]
        if not these:
            recipe.text_of(name)  # says what is near, if there is no such recipe
            raise ValueError(
                f"{name} has no published figure (longtail reproduce lists all rows that have); use longtail train"
            )
        found |= dict.fromkeys(these)
    return [*found]


def reproduce(
    wanted: Sequence[str],
    out: Path,
    *,
    seeds: int = 1,
    execution: Execution = runner.DEFAULT,
) -> list[Row]:
    """Train rows as they are shipped, and put our figures beside the published ones.

    Nothing can be changed but the seed: another schedule, batch or split would be another row. Only the last epoch
    counts. The same call goes on after an interruption.

    Args:
        wanted: rows, see `chosen`; nothing is trained if there are none, and all rows are returned.
        out: the folder; a run is in its folder `RECIPE/seed-N`.
        seeds: of each row, at least 1: 0, 1 and so on.
        execution: how trainings are run.
    Returns: the rows that are wanted, or all.
    Raises: as `runner.run_all`, but rows may have different data.
    """
    names = chosen(wanted)
    if wanted:
        # Row by row: whoever stops early has some rows whole.
        for name in names:
            planned = runner.plan([name], range(seeds), out)
            runner.check(planned)
        for name in names:
            planned = runner.plan([name], range(seeds), out)
            runner.run_all(planned, execution)
    figures = published()
    return [read(name, figures[name], out) for name in names]


def read(name: str, figure: Published, out: Path) -> Row:
    """Look up what has been run of a row.

    Args:
        name: the shipped recipe.
        figure: of the paper.
        out: the folder in which `reproduce` trains.
    Raises: ValueError if a file of a finished run is damaged.
    """
    shipped = recipe.load(name)
    folders = sorted(path for path in (out / name).glob("*") if RunDir(path).recipe.is_file())
    reasons = {path: _why_not(RunDir(path), shipped) for path in folders}
    remarks = tuple(f"{path.name} does not count: {why}" for path, why in reasons.items() if why)
    runs = [RunDir(path) for path, why in reasons.items() if not why]
    if not runs:
        return Row(name, figure.top1, figure.source, remarks=remarks)
    runner.check_data(runs)
    summaries, environments = [run.read_summary() for run in runs], [Environment.read(run.environment) for run in runs]
    values, images = [summary.top1 for summary in summaries], summaries[0].images
    spent = [seconds for run in runs if (seconds := runner.seconds(run)) is not None]
    return Row(
        name,
        figure.top1,
        figure.source,
        seeds=tuple(recipe.load(str(run.recipe)).seed for run in runs),
        values=tuple(values),
        ours=sum(values) / len(values),
        tolerance=tolerance(figure.top1, images),
        images=images,
        seconds=sum(spent) / len(spent) if spent else None,
        hardware=tuple(dict.fromkeys(map(runner.hardware, environments))),
        versions=tuple(dict.fromkeys(map(runner.version, environments))),
        remarks=remarks,
    )


def _why_not(run: RunDir, shipped: Recipe) -> str | None:
    """Why a run does not count; `None` if it does."""
    try:
        settings = recipe.load(str(run.recipe))
    except ValueError as error:
        return one_line(error)
    found = runner.difference(settings, shipped, but=["seed"])
    if found:
        name, was, wanted = found
        return f"{name} is {yaml_value(was)}, not {yaml_value(wanted)} as in the row"
    if not runner.is_finished(run):
        return "it has not finished"
    return None
