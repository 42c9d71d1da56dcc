"""`longtail train`, `resume` and `demo`: the commands that train."""

import time
from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output
from longtail.cli.options import Budget, DataRoot, Device, Devices, Json, Run, Set, integer, interruptible, path


def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|DATA",
            help="A shipped recipe (see longtail recipes) or a YAML file; or your own images: a folder, a manifest, "
            "or parquet with images in it.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=path, metavar="<path>", help="The run folder. Default: runs/NAME/seed-N."),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--recipe", help="For DATA, the recipe to start from. Default: what suits the images.")
    ] = None,
    overrides: Set = None,
    seed: Annotated[int | None, typer.Option(parser=integer, metavar="<int>", help="The same as --set seed=N.")] = None,
    budget: Budget = None,
    data_root: DataRoot = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch CIFAR's archive if it is not found.")] = False,
    device: Device = "auto",
    devices: Devices = 1,
    as_json: Json = False,
) -> None:
    """Train from a recipe, or on images of your own, into a new run folder."""
    since = time.monotonic()
    from longtail import report
    from longtail.data import sources
    from longtail.planning import preflight
    from longtail.recipe import parse_overrides
    from longtail.runs.folder import RunDir
    from longtail.training import train

    changes = parse_overrides(overrides or [])
    changes |= {"seed": seed} if seed is not None else {}
    changes |= {"budget": budget} if budget is not None else {}
    chosen = preflight.choose(name, changes, template=template)
    settings = chosen.settings
    if chosen.listed and (data_root is not None or download):
        raise ValueError(f"--data-root and --download are for recipes; {name} says where the images are")
    folder = out or Path("runs") / settings.name / f"seed-{settings.seed}"
    with interruptible(folder):
        if download and settings.data.name != "own":
            sources.load(settings.data.name, "train", data_root=data_root, download=True)
        summary = train.train(
            settings,
            folder,
            advice=chosen.reasons,
            data=chosen.listed or data_root,
            device=device,
            devices=devices,
            since=since,
        )
        report.write_pages(RunDir(folder), output.message)
    output.print_summary(summary, settings, folder, as_json, split=RunDir(folder).measured())


def resume(
    run: Run,
    data_root: DataRoot = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps. Default: as before.")] = None,
    devices: Annotated[
        int | None,
        typer.Option(parser=integer, metavar="<int>", help="Processes, one device each. Default: as before."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Continue an interrupted run, exactly where it stopped."""
    since = time.monotonic()
    from longtail import recipe, report
    from longtail.runs.folder import RunDir
    from longtail.training import train

    settings = recipe.load(str(RunDir.open(run).recipe))
    with interruptible(run):
        summary = train.resume(run, data_root=data_root, device=device, devices=devices, since=since)
        report.write_pages(RunDir(run), output.message)
    output.print_summary(summary, settings, run, as_json, split=RunDir(run).measured())


def demo(
    out: Annotated[
        Path,
        typer.Option(parser=path, metavar="<path>", help="Where the run folders go; a number is added if it exists."),
    ] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(parser=integer, metavar="<int>", help="Seed of both trainings.")] = 0,
    as_json: Json = False,
) -> None:
    """Train Hybrid-PSC and plain cross-entropy on a small bundled long tail, and compare them, also as a page."""
    import torch

    from longtail import recipe, report
    from longtail.runs import folder as run_folder
    from longtail.runs.folder import RunDir
    from longtail.runtime.files import write_text
    from longtail.training import train

    folder = run_folder.unused(out)
    # Networks as small as these gain nothing from threads, and lose much if the machine is busy.
    torch.set_num_threads(1)
    summaries = {}
    for name in ("ce", "hybrid-psc"):
        settings = recipe.load(f"digits-lt/{name}", {"seed": seed})
        with interruptible():
            summaries[name] = train.train(settings, folder / name)
            report.write_pages(RunDir(folder / name), output.message)
    if as_json:
        output.print_json({name: summary.to_dict() for name, summary in summaries.items()})
    else:
        output.print_comparison(summaries)
    page = folder / "report.html"
    write_text(page, report.render([folder / name for name in summaries]))
    output.message(f"runs are in {folder}; side by side: open {page}; next: longtail recipes")
