"""`longtail evaluate`: results of a finished run, on its own images or on others."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output
from longtail.cli.options import DataRoot, Device, Json, Run, interruptible, path


def evaluate(
    run: Run,
    data: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="<path>",
            help="Other images with the run's classes: a folder, a manifest, or parquet. Default: the run's own.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="test, validation or train. Default: the run's own; of other data test, if it has one."),
    ] = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Evaluate a finished run again, on another split, or on other images."""
    from longtail import recipe
    from longtail.inference import evaluate, external
    from longtail.report import model_card
    from longtail.runs.folder import RunDir
    from longtail.runtime import hardware
    from longtail.training import progress

    if split not in (None, "test", "validation", "train"):
        raise ValueError(f"split is {split!r}; allowed: test, validation or train")
    opened = RunDir.open(run)
    settings = recipe.load(str(opened.recipe))
    where = hardware.runtime(device=device).device
    if data is None:
        with interruptible():
            summary = evaluate.evaluate(opened, split=split, data_root=data_root, device=where)
            opened.write_card(model_card.render(opened))
        output.print_summary(summary, settings, run, as_json, split=split or opened.measured())
        return
    if data_root is not None:
        raise ValueError(f"data_root is {data_root}, but --data says where the images are; give one of them")
    with interruptible(), progress.counting("evaluating") as report:
        found = external.evaluate(opened, data, part=split, device=where, progress=report)
    opened.write_card(model_card.render(opened))
    for line in found.notes:
        output.message(line)
    unpublished = settings.model_copy(update={"published": None})
    output.print_summary(found.summary, unpublished, opened.summary(found.name), as_json, split=found.title)
