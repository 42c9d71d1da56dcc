"""`longtail compare` and `reproduce`: the commands that start several trainings."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output
from longtail.cli.options import DataRoot, Device, Json, Set, at_least, interruptible, path


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RECIPE", help="Shipped recipes or YAML files, about the same images.")
    ],
    seeds: Annotated[int, typer.Option(parser=at_least(1), metavar="<int>", help="Trainings of each recipe.")] = 3,
    budget: Annotated[
        str | None, typer.Option(metavar="<time>", help="Time for each training, such as 90s, 20m or 1h30m.")
    ] = None,
    overrides: Set = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path, typer.Option(parser=path, metavar="<path>", help="Where runs and results go; what is there is used.")
    ] = Path("runs/compare"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train recipes with several seeds each, in turn, and tell which differences are more than chance."""
    from longtail import report as reports
    from longtail.compare import compare, tables
    from longtail.compare.runner import Execution
    from longtail.runtime.files import write_text
    from longtail.training import progress

    with interruptible(again=True), progress.status() as show:
        found = compare.compare(
            names,
            out,
            seeds=seeds,
            budget=budget,
            overrides=overrides or [],
            execution=Execution(data_root, device, message=output.message, progress=show),
        )
    first, verdicts = compare.first_runs(names, out)[: reports.MOST], reports.Verdicts(found.pairs, len(found.seeds))
    page = reports.render(first, verdicts, names=[*found.spreads][: reports.MOST])
    write_text(out / "report.html", page)
    if as_json:
        output.print_json(tables.to_dict(found))
    else:
        output.print_findings(found)
    output.message(f"tables are in {out}: compare.md, compare.csv and compare.json; report.html shows the first seed")


def reproduce(
    rows: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ROW", help="Shipped recipes with a published figure, or data sets. Nothing: list all rows."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(parser=at_least(1), metavar="<int>", help="Trainings of each row.")] = 1,
    data_root: DataRoot = None,
    out: Annotated[
        Path, typer.Option(parser=path, metavar="<path>", help="Where the runs go; what is there is used.")
    ] = Path("runs/reproduce"),
    device: Device = "auto",
    overrides: Annotated[list[str] | None, typer.Option("--set", hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Train rows of papers exactly as published, and tell how far ours are from their figures."""
    from longtail.compare import reproduce
    from longtail.compare.runner import Execution
    from longtail.training import progress

    if overrides:
        raise ValueError(f"--set {overrides[0]!r} would make another row of it; allowed with reproduce: none")
    with interruptible(again=True), progress.status() as show:
        execution = Execution(data_root, device, message=output.message, progress=show)
        found = reproduce.reproduce(rows or [], out, seeds=seeds, execution=execution)
    if as_json:
        output.print_json([row.to_dict() for row in found])
    else:
        output.print_rows(found)
