"""The section about mistakes: wrong predictions of the highest confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from longtail.report.difference import Verdicts
from longtail.report.examples import Example, example
from longtail.report.run import Run
from longtail.report.section import Content, Section


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of one run.

    Args:
        name: of the run.
        wrong: how many there are.
        thumbnails: whether the run kept some.
        mistakes: the most confident ones.
    """

    name: str
    wrong: int
    thumbnails: bool
    mistakes: list[Example]


@dataclass(frozen=True)
class View:
    """The mistakes of each run."""

    runs: list[Mistakes]


def _build(runs: Sequence[Run], _: Verdicts) -> Content:
    return Content(
        View(
            [
                Mistakes(run.name, int((~run.outcomes.right).sum()), run.gallery is not None, mistakes(run))
                for run in runs
            ]
        )
    )


SECTION = Section("mistakes", "Mistakes", "Most confident mistakes", "mistakes.html", _build)


def mistakes(run: Run) -> list[Example]:
    """The most confident ones, first the most confident."""
    return [example(run, row) for row in run.examples.mistakes]
