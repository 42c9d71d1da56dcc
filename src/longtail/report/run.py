"""Reading: all that a report needs of a finished run, as plain data that does not change."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from longtail import recipe
from longtail.metrics import Summary, scores
from longtail.recipe import Recipe
from longtail.runs import examples
from longtail.runs.examples import Exhibits, Gallery
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment, SplitFile

GROUPS = ("many", "medium", "few")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        name: by which it is told from others on the page.
        path: its folder.
        settings: its recipe.
        summary: what it is worth.
        record: what `split.json` says of its images.
        environment: with what it was trained.
        steps: lines of the log about single steps.
        measured: lines of the log about evaluations.
        ids: names of the N images it was measured on.
        labels: `(N,)` their classes.
        predicted: `(N,)` what they were taken for.
        confidences: `(N,)` probabilities of that.
        masks: which classes are many, medium and few.
        shown: which of the images are worth looking at.
        gallery: pictures and features of these; `None` if the run kept none.
        quarantine: name, class and reason of images that could not be read.
    """

    name: str
    path: Path
    settings: Recipe
    summary: Summary
    record: SplitFile
    environment: Environment
    steps: Sequence[Mapping[str, Any]]
    measured: Sequence[Mapping[str, Any]]
    ids: Sequence[str]
    labels: Int[np.ndarray, " images"]
    predicted: Int[np.ndarray, " images"]
    confidences: Float[np.ndarray, " images"]
    masks: Mapping[str, Bool[np.ndarray, " classes"]]
    shown: Exhibits
    gallery: Gallery | None
    quarantine: Sequence[tuple[str, str, str]]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return tuple(result.name for result in self.summary.per_class)

    @cached_property
    def pictures(self) -> Mapping[int, bytes]:
        """Pictures by row of the predictions."""
        return dict(zip(self.gallery.rows, self.gallery.pictures, strict=True)) if self.gallery else {}

    def group(self, number: int) -> str:
        """The group of a class."""
        return next(group for group in GROUPS if self.masks[group][number])


def read(paths: Sequence[Path]) -> tuple[Run, ...]:
    """Read finished runs that can stand side by side.

    Args:
        paths: their folders, at least one.
    Raises: ValueError if a folder holds no run, or one that has not finished or is damaged, or if runs know other
        classes than the first.
    """
    folders = [RunDir.open(path) for path in paths]
    for run in folders:
        if not run.summary().exists():
            raise ValueError(
                f"{run.path} has not finished: {run.summary().name} is not there; longtail resume {run.path}"
            )
    settings = [recipe.load(str(run.recipe)) for run in folders]
    runs = tuple(
        _read(run, each, name) for run, each, name in zip(folders, settings, _names(folders, settings), strict=True)
    )
    for other in runs[1:]:
        _check_classes(runs[0], other)
    return runs


def _read(run: RunDir, settings: Recipe, name: str) -> Run:
    summary, predictions, log = run.read_summary(), run.read_predictions(), [*run.read_log()]
    confidences, _ = scores.confidences_and_losses(predictions.logits, predictions.predicted)
    masks = summary.groups.masks(np.array([result.train_count for result in summary.per_class]))
    return Run(
        name=name,
        path=run.path,
        settings=settings,
        summary=summary,
        record=SplitFile.read(run.split),
        environment=Environment.read(run.environment),
        steps=[record for record in log if "loss" in record],
        measured=[record for record in log if "split" in record],
        ids=predictions.ids,
        labels=predictions.labels,
        predicted=predictions.predicted,
        confidences=confidences,
        masks=masks,
        shown=examples.choose(predictions.labels, predictions.predicted, confidences, masks),
        gallery=run.read_gallery(),
        quarantine=run.read_quarantine(),
    )


def _names(folders: Sequence[RunDir], settings: Sequence[Recipe]) -> list[str]:
    """The shortest that tells runs apart: end of the recipe's name, whole name, name and seed, folder."""
    ends = [each.name.rpartition("/") for each in settings]
    choices = (
        [end if len({start for start, _, _ in ends}) == 1 else "" for _, _, end in ends],
        [each.name for each in settings],
        [f"{each.name}, seed {each.seed}" for each in settings],
        [str(run.path) for run in folders],
    )
    return next((names for names in choices if max(Counter(names).values()) == 1 and all(names)), choices[-1])


def _check_classes(one: Run, other: Run) -> None:
    ours, theirs = one.class_names, other.class_names
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        what = f"{len(ours):,} and {len(theirs):,} classes"
    else:
        first = next(c for c, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        what = f"other classes ({ours[first]!r} and {theirs[first]!r} for class {first})"
    raise ValueError(f"{one.path} and {other.path} know {what}; runs side by side must know the same")
