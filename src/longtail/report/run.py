"""All that a report needs of a finished run, read from its folder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from longtail import recipe
from longtail.metrics import Outcomes, Summary
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
        name: by which it is distinguished from others on the page.
        path: its folder.
        settings: its recipe.
        summary: its results.
        record: what `split.json` says of its images.
        environment: with what it was trained.
        steps: lines of the log about single steps.
        evaluations: lines of the log about evaluations.
        ids: names of the N images it was evaluated on.
        outcomes: what it predicted for these.
        masks: which classes are many, medium and few.
        examples: which of the images are worth looking at.
        gallery: thumbnails and features of these; `None` if the run kept none.
        quarantine: name, class and reason of images that could not be read.
    """

    name: str
    path: Path
    settings: Recipe
    summary: Summary
    record: SplitFile
    environment: Environment
    steps: Sequence[Mapping[str, Any]]
    evaluations: Sequence[Mapping[str, Any]]
    ids: Sequence[str]
    outcomes: Outcomes
    masks: Mapping[str, Bool[np.ndarray, " classes"]]
    examples: Exhibits
    gallery: Gallery | None
    quarantine: Sequence[tuple[str, str, str]]

    @property
    def labels(self) -> Int[np.ndarray, " images"]:
        """`(N,)` true classes."""
        return self.outcomes.labels

    @property
    def predicted(self) -> Int[np.ndarray, " images"]:
        """`(N,)` predicted classes."""
        return self.outcomes.predicted

    @property
    def confidences(self) -> Float[np.ndarray, " images"]:
        """`(N,)` probabilities of the predicted classes."""
        return self.outcomes.confidences

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return tuple(result.name for result in self.summary.per_class)

    @cached_property
    def thumbnails(self) -> Mapping[int, bytes]:
        """Thumbnails by row of the predictions."""
        return dict(zip(self.gallery.rows, self.gallery.pictures, strict=True)) if self.gallery else {}

    def group(self, number: int) -> str:
        """The group of a class."""
        return next(group for group in GROUPS if self.masks[group][number])


def read(paths: Sequence[Path], *, names: Sequence[str] | None = None) -> tuple[Run, ...]:
    """Read finished runs that can stand side by side.

    Args:
        paths: their folders, at least one.
        names: of the runs on the page, all different; `None`: the shortest that distinguish them.
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
        _read(run, each, name)
        for run, each, name in zip(folders, settings, names or _names(folders, settings), strict=True)
    )
    for other in runs[1:]:
        _check_classes(runs[0], other)
    return runs


def _read(run: RunDir, settings: Recipe, name: str) -> Run:
    summary, predictions, log = run.read_summary(), run.read_predictions(), [*run.read_log()]
    outcomes = Outcomes.of(predictions.logits, predictions.labels)
    masks = summary.groups.masks(np.array([result.train_count for result in summary.per_class]))
    return Run(
        name=name,
        path=run.path,
        settings=settings,
        summary=summary,
        record=SplitFile.read(run.split),
        environment=Environment.read(run.environment),
        steps=[record for record in log if "loss" in record],
        evaluations=[record for record in log if "split" in record],
        ids=predictions.ids,
        outcomes=outcomes,
        masks=masks,
        examples=examples.choose(outcomes.labels, outcomes.predicted, outcomes.confidences, masks),
        gallery=run.read_gallery(),
        quarantine=run.read_quarantine(),
    )


def _names(folders: Sequence[RunDir], settings: Sequence[Recipe]) -> list[str]:
    """The shortest that distinguish runs: end of the recipe's name, whole name, name and seed, folder."""
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
