"""The pages in a run folder: its model card and its report, written by the command that trained the run."""

from collections.abc import Callable

from longtail.report import model_card
from longtail.report.page import render
from longtail.runs.folder import RunDir


def write_pages(run: RunDir, message: Callable[[str], object]) -> None:
    """Write `MODEL_CARD.md` and `report.html` of a finished run. A page that fails costs a line, not the run.

    Args:
        run: finished.
        message: writes a line to the user.
    """
    with run.optional(run.card, message, command="evaluate"):
        run.write_card(model_card.render(run))
    with run.optional(run.report, message, command="report"):
        run.write_report(render([run.path]))
