"""`longtail audit`: what is in images, and what is wrong with them, before a training."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output
from longtail.cli.options import Device, Json, Set, integer, interruptible, path


def audit(
    data: Annotated[
        Path, typer.Argument(parser=path, metavar="DATA", help="A folder, a manifest, or parquet with images in it.")
    ],
    html: Annotated[
        Path | None,
        typer.Option(parser=path, metavar="<path>", help="Write a page too, with the images it speaks of."),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--recipe", help="The recipe to give advice on. Default: what suits the images.")
    ] = None,
    overrides: Set = None,
    workers: Annotated[
        int | None,
        typer.Option(parser=integer, metavar="<int>", help="Processes that decode. Default: one for each core."),
    ] = None,
    device: Device = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is a problem.")] = False,
    as_json: Json = False,
) -> None:
    """Look at all images of your own before training: what is broken, double, under two labels, or too rare."""
    from longtail.data import worker_pool
    from longtail.planning import preflight
    from longtail.recipe import parse_overrides
    from longtail.report import audit as page
    from longtail.runtime.files import write_text
    from longtail.training import progress

    with interruptible(), progress.counting("looking at images") as report:
        found = preflight.check(
            data,
            parse_overrides(overrides or []),
            template=template,
            device=device,
            workers=worker_pool.cores() if workers is None else workers,
            progress=report,
        )
    command = shlex.join(
        ["longtail", "train", str(data), *(part for each in overrides or [] for part in ("--set", each))]
    )
    if html:
        write_text(html, page.render(found, command=command))
        output.message(f"the page is in {html}")
    if as_json:
        output.print_json(found.to_dict())
    else:
        output.print_preflight(found, command)
    if strict and found.audit.problems:
        raise typer.Exit(1)
