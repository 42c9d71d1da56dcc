"""`longtail report`: a page about one run, or about several side by side."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output
from longtail.cli.options import path


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=path, metavar="RUN...", help="Finished runs; the first is what others are compared with."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="<path>",
            help="The page. Default: report.html in the run folder, or in the current folder for several runs.",
        ),
    ] = None,
) -> None:
    """Write a page about one run, or about several side by side, that opens in a browser without a network."""
    from longtail import report as reports
    from longtail.runs.folder import RunDir
    from longtail.runtime.files import write_text

    where = out or (RunDir(runs[0]).report if len(runs) == 1 else Path("report.html"))
    if out and not out.parent.is_dir():
        raise ValueError(f"--out is {out}; there is no folder {out.parent}")
    write_text(where, reports.render(runs))
    output.message(f"the report is in {where}")
