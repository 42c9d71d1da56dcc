"""The command line: a few lines a command; everything heavy is imported inside."""

import atexit
import gc
import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import longtail
from longtail.cli import output as console

app = typer.Typer(
    help="Train image classifiers that also get the rare classes right.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _integer(given: str | int) -> int:
    """Typer's own message would not say what was given. Defaults pass through here too."""
    try:
        return int(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is not an integer") from None


def _at_least(least: int) -> Callable[[str | int], int]:
    def read(given: str | int) -> int:
        number = _integer(given)
        if number < least:
            raise typer.BadParameter(f"it is {number}; allowed: at least {least}")
        return number

    return read


def _path(given: str | Path) -> Path:
    """Shells leave `--out=~/runs` as it is, and an unset variable is empty."""
    if not str(given):
        raise typer.BadParameter("it is empty")
    return Path(given).expanduser()


Run = Annotated[Path, typer.Argument(parser=_path, metavar="RUN", help="A run folder, as training makes it.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        parser=_path,
        metavar="<path>",
        help="Folder with the data. Default: the run's own, else LONGTAIL_DATA, else ~/.cache/longtail.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set method.temperature=0.07. May be repeated.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Devices = Annotated[int, typer.Option(parser=_integer, metavar="<int>", help="Processes, one device each.")]


@app.command()
def demo(
    out: Annotated[
        Path,
        typer.Option(parser=_path, metavar="<path>", help="Where the run folders go; a number is added if it exists."),
    ] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(parser=_integer, metavar="<int>", help="Seed of both trainings.")] = 0,
    as_json: Json = False,
) -> None:
    """Train Hybrid-PSC and plain cross-entropy on a small bundled long tail, and compare them, also as a page."""
    import torch

    from longtail import recipe
    from longtail import report as reports
    from longtail.runs import folder as run_folder
    from longtail.training import train

    folder = run_folder.unused(out)
    # Networks as small as these gain nothing from threads, and lose much if the machine is busy.
    torch.set_num_threads(1)
    summaries = {}
    for name in ("ce", "hybrid-psc"):
        settings = recipe.load(f"digits-lt/{name}", {"seed": seed})
        with _interruptible():
            summaries[name] = train.train(settings, folder / name)
    if as_json:
        console.print_json({name: summary.to_dict() for name, summary in summaries.items()})
    else:
        console.print_comparison(summaries)
    page = folder / "report.html"
    page.write_text(reports.page([folder / name for name in summaries]), encoding="utf-8")
    console.say(f"runs are in {folder}; side by side: open {page}; next: longtail recipes")


@app.command()
def audit(
    data: Annotated[
        Path, typer.Argument(parser=_path, metavar="DATA", help="A folder, a manifest, or parquet with images in it.")
    ],
    html: Annotated[
        Path | None,
        typer.Option(parser=_path, metavar="<path>", help="Write a page too, with the images it speaks of."),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--recipe", help="The recipe to give advice on. Default: what suits the images.")
    ] = None,
    overrides: Set = None,
    workers: Annotated[
        int | None,
        typer.Option(parser=_integer, metavar="<int>", help="Processes that decode. Default: one for each core."),
    ] = None,
    device: Device = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is a problem.")] = False,
    as_json: Json = False,
) -> None:
    """Look at all images of your own before training: what is broken, double, under two labels, or too rare."""
    from longtail.data import worker_pool
    from longtail.planning import page as audit_page
    from longtail.planning import preflight
    from longtail.training import progress

    with _interruptible(), progress.counting("looking at images") as tell:
        found = preflight.look(
            data,
            overrides or [],
            template=template,
            device=device,
            workers=worker_pool.cores() if workers is None else workers,
            progress=tell,
        )
    command = shlex.join(
        ["longtail", "train", str(data), *(part for each in overrides or [] for part in ("--set", each))]
    )
    if html:
        html.write_text(audit_page.render(found, command=command), encoding="utf-8")
        console.say(f"the page is in {html}")
    if as_json:
        console.print_json(found.to_dict())
    else:
        console.print_preview(found, command)
    if strict and found.audit.problems:
        raise typer.Exit(1)


@app.command()
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
        typer.Option(parser=_path, metavar="<path>", help="The run folder. Default: runs/NAME/seed-N."),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--recipe", help="For DATA, the recipe to start from. Default: what suits the images.")
    ] = None,
    overrides: Set = None,
    seed: Annotated[
        int | None, typer.Option(parser=_integer, metavar="<int>", help="The same as --set seed=N.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="<time>",
            help="End after this time, such as 90s, 15m or 1h30m, fully annealed: as many steps as there is time for, "
            "spread over the whole schedule. Epochs then give only its proportions.",
        ),
    ] = None,
    data_root: DataRoot = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch CIFAR's archive if it is not found.")] = False,
    device: Device = "auto",
    devices: Devices = 1,
    as_json: Json = False,
) -> None:
    """Train from a recipe, or on images of your own, into a new run folder."""
    since = time.monotonic()
    from longtail.planning import recommend
    from longtail.runs.folder import RunDir
    from longtail.training import train

    changes = [*(overrides or []), *([f"seed={seed}"] if seed is not None else [])]
    changes += [f"budget={json.dumps(budget)}"] if budget is not None else []  # quoted: a number needs its unit
    chosen = recommend.choose(name, changes, template=template)
    settings = chosen.settings
    if chosen.reasons and (data_root is not None or download):
        raise ValueError(f"--data-root and --download are for recipes; {name} says where the images are")
    folder = out or Path("runs") / settings.name / f"seed-{settings.seed}"
    with _interruptible(folder):
        summary = train.train(
            settings,
            folder,
            advice=chosen.reasons,
            data_root=data_root,
            download=download,
            device=device,
            devices=devices,
            since=since,
        )
    console.print_summary(summary, settings, folder, as_json, split=RunDir(folder).measured())


@app.command()
def resume(
    run: Run,
    data_root: DataRoot = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps. Default: as before.")] = None,
    devices: Annotated[
        int | None,
        typer.Option(parser=_integer, metavar="<int>", help="Processes, one device each. Default: as before."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Continue an interrupted run, exactly where it stopped."""
    since = time.monotonic()
    from longtail import recipe
    from longtail.runs.folder import RunDir
    from longtail.training import train

    settings = recipe.load(str(RunDir.open(run).recipe))
    with _interruptible(run):
        summary = train.resume(run, data_root=data_root, device=device, devices=devices, since=since)
    console.print_summary(summary, settings, run, as_json, split=RunDir(run).measured())


@app.command()
def evaluate(
    run: Run,
    data: Annotated[
        Path | None,
        typer.Option(
            parser=_path,
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
    """Measure a finished run again, on another split, or on other images."""
    from longtail import recipe
    from longtail.inference import evaluate, external
    from longtail.runs.folder import RunDir
    from longtail.runtime import hardware
    from longtail.training import progress

    if split not in (None, "test", "validation", "train"):
        raise ValueError(f"split is {split!r}; allowed: test, validation or train")
    opened = RunDir.open(run)
    settings = recipe.load(str(opened.recipe))
    where = hardware.runtime(device=device).device
    if data is None:
        with _interruptible():
            summary = evaluate.evaluate(opened, split=split, data_root=data_root, device=where)
        console.print_summary(summary, settings, run, as_json, split=split or opened.measured())
        return
    if data_root is not None:
        raise ValueError(f"data_root is {data_root}, but --data says where the images are; give one of them")
    with _interruptible(), progress.counting("measuring") as tell:
        found = external.evaluate(opened, data, part=split, device=where, progress=tell)
    for line in found.notes:
        console.say(line)
    unpublished = settings.model_copy(update={"published": None})
    console.print_summary(found.summary, unpublished, opened.summary(found.name), as_json, split=found.title)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=_path, metavar="RUN...", help="Finished runs; the first is what others are compared with."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=_path,
            metavar="<path>",
            help="The page. Default: report.html in the run folder, or in the current folder for several runs.",
        ),
    ] = None,
) -> None:
    """Write a page about one run, or about several side by side, that opens in a browser without a network."""
    from longtail import report as reports
    from longtail.runs.folder import RunDir

    where = out or (RunDir(runs[0]).report if len(runs) == 1 else Path("report.html"))
    if out and not out.parent.is_dir():
        raise ValueError(f"--out is {out}; there is no folder {out.parent}")
    page = reports.page(runs)
    where.write_text(page, encoding="utf-8")
    console.say(f"the report is in {where}")


@app.command()
def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RECIPE", help="Shipped recipes or YAML files, about the same images.")
    ],
    seeds: Annotated[int, typer.Option(parser=_at_least(1), metavar="<int>", help="Trainings of each recipe.")] = 3,
    budget: Annotated[
        str | None, typer.Option(metavar="<time>", help="Time for each training, such as 90s, 20m or 1h30m.")
    ] = None,
    overrides: Set = None,
    data_root: DataRoot = None,
    out: Annotated[
        Path, typer.Option(parser=_path, metavar="<path>", help="Where runs and results go; what is there is used.")
    ] = Path("runs/compare"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train recipes with several seeds each, in turn, and tell which differences are more than chance."""
    from longtail.compare import compare
    from longtail.training import progress

    with _interruptible(again=True), progress.watching() as show:
        found = compare.compare(
            names,
            out,
            seeds=seeds,
            budget=budget,
            overrides=overrides or [],
            data_root=data_root,
            device=device,
            say=console.say,
            show=show,
        )
    if as_json:
        console.print_json(found.to_dict())
    else:
        console.print_findings(found)
    console.say(f"tables are in {out}: compare.md, compare.csv and compare.json; report.html shows the first seed")


@app.command()
def reproduce(
    rows: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ROW", help="Shipped recipes with a published figure, or data sets. Nothing: list all rows."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(parser=_at_least(1), metavar="<int>", help="Trainings of each row.")] = 1,
    data_root: DataRoot = None,
    out: Annotated[
        Path, typer.Option(parser=_path, metavar="<path>", help="Where the runs go; what is there is used.")
    ] = Path("runs/reproduce"),
    device: Device = "auto",
    overrides: Annotated[list[str] | None, typer.Option("--set", hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Train rows of papers exactly as published, and tell how far ours are from their figures."""
    from longtail.compare import reproduce
    from longtail.training import progress

    if overrides:
        raise ValueError(f"--set {overrides[0]!r} would make another row of it; allowed with reproduce: none")
    with _interruptible(again=True), progress.watching() as show:
        found = reproduce.reproduce(
            rows or [], out, seeds=seeds, data_root=data_root, device=device, say=console.say, show=show
        )
    if as_json:
        console.print_json([row.to_dict() for row in found])
    else:
        console.print_rows(found)


@app.command()
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
            parser=_path, metavar="<path>", help="A .csv, .jsonl or .parquet file. Default: CSV on standard output."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, not CSV, on standard output.")] = False,
    top: Annotated[int, typer.Option(parser=_at_least(1), metavar="<int>", help="Classes to name.")] = 5,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="<text>",
            help="How frequent classes are among these images: train (as in training), uniform, estimate (from the "
            "images), or a file of classes with shares or counts. Default: as the model has it.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            parser=_path,
            metavar="<path>",
            help="Where relative paths in files that list images start. Default: where the file is.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(parser=_at_least(1), metavar="<int>", help="Images at a time.")] = 64,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=_at_least(0),
            metavar="<int>",
            help="Processes that decode. Default: one for each core, if there are many images.",
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Predict the classes of images: a row for each, in order, also for one that is broken."""
    from longtail.inference import inputs, output, target_prior
    from longtail.inference import predict as prediction
    from longtail.runtime import hardware
    from longtail.training import progress

    if not paths and sys.stdin.isatty():
        raise ValueError("no image is named; name files or folders, or pipe names of images into this command")
    given, tally, on_screen = paths or [inputs.STANDARD_INPUT], output.Tally(), out is None and sys.stdout.isatty()
    with _interruptible():
        model = prediction.load(run, device=hardware.runtime(device=device).device)
        top = min(top, len(model.class_names))
        with output.writer(out, top=top, as_json=as_json, read=given) as write:
            asked = inputs.read(given, lines=sys.stdin.buffer, root=root)
            with progress.counting("predicting", shown=not on_screen) as tell:
                found = prediction.predict(model, asked, batch=batch, workers=workers, progress=tell)
                shifted = target_prior.shift(model, found, prior)
                write(tally.of(output.answers(shifted.found, model.class_names, top=top)))
            if not tally.images:
                raise ValueError("no image was predicted; none was named")
    if shifted.estimate:
        for line in target_prior.describe(model, shifted.estimate, images=tally.predicted):
            console.say(line)
        if out:
            target_prior.write(out.with_suffix(".prior.json"), model.class_names, shifted.estimate.prior)
            console.say(f"the whole distribution is in {out.with_suffix('.prior.json')}")
    where = f"; rows are in {out}" if out else ""
    if not tally.predicted:
        raise ValueError(f"none of {console.number(tally.failed, 'image', 's')} can be predicted: {tally.first}{where}")
    failed = f"; {tally.failed:,} cannot be predicted, the first: {tally.first}" if tally.failed else ""
    console.say(f"{console.number(tally.predicted, 'image', 's')} predicted{failed}{where}")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Print the YAML of this recipe.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of recipes, for editors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every setting as JSON.")] = False,
) -> None:
    """List the shipped recipes, or print one."""
    from longtail import recipe

    match schema, name:
        case True, None:
            console.print_json(recipe.schema())
        case True, _:
            raise ValueError(f"--schema is the same for all recipes; leave out {name!r} or --schema")
        case False, str(one):
            if as_json:
                console.print_json(recipe.load(one).model_dump(mode="json"))
            else:
                sys.stdout.write(recipe.text_of(one))
        case _:
            settings = [recipe.load(each) for each in recipe.shipped()]
            if as_json:
                console.print_json({each.name: each.model_dump(mode="json") for each in settings})
            else:
                console.print_table(
                    ["recipe", "network", "epochs", "batch", "published top-1"],
                    [
                        [
                            each.name,
                            recipe.network_name(each.network),
                            str(each.epochs),
                            str(each.batch_size),
                            console.percent(each.published and each.published.top1),
                        ]
                        for each in settings
                    ],
                )


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2, an interruption exit code 130.

    With `LONGTAIL_TRACEBACK` set, a mistake shows where it was noticed, for bug reports.
    """
    # What libraries log on their way would stand between the user and our own line.
    logging.disable(logging.WARNING)
    # At the end all is gone at once. Python would look through everything that torch has made first, for seconds.
    atexit.register(gc.freeze)
    try:
        # Typer turns an interruption into a return value, 130.
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="longtail", standalone_mode=False))
    except typer.TyperException as error:
        _fail(_usage(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except ValueError as error:
        _fail(str(error))


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command line, and where to read on."""
    text = error.format_message().rstrip(".")
    match error:
        case typer.TyperException(ctx=context) if context is not None:
            return f"{text}; see {context.command_path} --help"
    return text


def _fail(message: str) -> None:
    if os.environ.get("LONGTAIL_TRACEBACK"):
        raise
    console.say(f"error: {' '.join(message.split())}")
    sys.exit(2)


@contextmanager
def _interruptible(run: Path | None = None, *, again: bool = False) -> Iterator[None]:
    """Tell whoever interrupts a command how to go on, if something was begun; some commands go on if given again."""
    try:
        yield
    except KeyboardInterrupt:
        from longtail.runs.folder import RunDir

        begun = run is not None and RunDir(run).recipe.is_file()
        command = ["longtail", *sys.argv[1:]] if again else ["longtail", "resume", str(run)]
        console.say(f"interrupted; continue with: {shlex.join(command)}" if begun or again else "interrupted")
        raise


def _version(wanted: bool | None) -> None:
    if wanted:
        sys.stdout.write(f"longtail {longtail.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # its callback does all
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    pass
