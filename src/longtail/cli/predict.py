"""`longtail predict`: the classes of images, a row for each."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output
from longtail.cli.options import Device, ListRoot, Prior, Run, Workers, at_least, interruptible, path
from longtail.text import quantity


def predict(
    run: Run,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATHS",
            help="Images, folders, or files that list images. Nothing, or -: names of images on standard input.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path, metavar="<path>", help="A .csv, .jsonl or .parquet file. Default: CSV on standard output."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, not CSV, on standard output.")] = False,
    top: Annotated[int, typer.Option(parser=at_least(1), metavar="<int>", help="Classes to name.")] = 5,
    prior: Prior = None,
    root: ListRoot = None,
    batch: Annotated[int, typer.Option(parser=at_least(1), metavar="<int>", help="Images at a time.")] = 64,
    workers: Workers = None,
    device: Device = "auto",
) -> None:
    """Predict the classes of images: a row for each, in order, also for one that is broken."""
    from longtail.inference import inputs, predict_files, target_prior
    from longtail.inference import model as models
    from longtail.inference.output import Output
    from longtail.runtime import hardware
    from longtail.training import progress

    if not paths and sys.stdin.isatty():
        raise ValueError("no image is named; name files or folders, or pipe names of images into this command")
    to, on_screen = Output(out, as_json=as_json, top=top), out is None and sys.stdout.isatty()
    with interruptible():
        model = models.load(run, device=hardware.runtime(device=device).device)
        images = inputs.read(paths or [inputs.STANDARD_INPUT], lines=sys.stdin.buffer, root=root)
        with progress.counting("predicting", bar=not on_screen) as report:
            tally = predict_files.predict_files(
                model, images, to, prior=prior, batch=batch, workers=workers, progress=report
            )
    if tally.estimate:
        for line in target_prior.describe(model, tally.estimate, images=tally.predicted):
            output.message(line)
        if out:
            target_prior.write(out.with_suffix(".prior.json"), model.class_names, tally.estimate.prior)
            output.message(f"the whole distribution is in {out.with_suffix('.prior.json')}")
    where = f"; rows are in {out}" if out else ""
    if not tally.predicted:
        raise ValueError(f"none of {quantity(tally.failed, 'image')} can be predicted: {tally.first}{where}")
    failed = f"; {tally.failed:,} cannot be predicted, the first: {tally.first}" if tally.failed else ""
    output.message(f"{quantity(tally.predicted, 'image')} predicted{failed}{where}")
