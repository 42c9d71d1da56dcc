"""The command line: a few lines a command; everything heavy is imported inside."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import longtail

if TYPE_CHECKING:
    from rich.table import Table

    from longtail.metrics import Summary

app = typer.Typer(
    help="Train image classifiers that also get the rare classes right.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Run = Annotated[Path, typer.Argument(help="A run folder, as training makes it.")]
DataRoot = Annotated[
    Path | None, typer.Option(help="Folder with the data. Default: LONGTAIL_DATA, then ~/.cache/longtail.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: --set method.temperature=0.07.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Devices = Annotated[int, typer.Option(help="Processes, one device each.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the run folders go; a number is added if it exists.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of both trainings.")] = 0,
    as_json: Json = False,
) -> None:
    """Train Hybrid-PSC and plain cross-entropy on a small bundled long tail, and compare them."""
    from longtail import recipe, train

    folder = next(
        f for n in range(1, 10_000) if not (f := out if n == 1 else out.with_name(f"{out.name}-{n}")).exists()
    )
    summaries = {}
    for name in ("ce", "hybrid-psc"):
        _say(f"training {name} on digits-lt: 304 images, 124 of the most frequent digit, 1 of the rarest")
        settings = recipe.load(f"digits-lt/{name}", [f"seed={seed}"])
        summaries[name] = train.train(settings, folder / name)
    if as_json:
        _print_json({name: summary.to_dict() for name, summary in summaries.items()})
    else:
        _print(_comparison(summaries))
        _say(f"runs are in {folder}; next: longtail recipes")


@app.command()
def train(
    name: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A shipped recipe (see longtail recipes) or a YAML file.")
    ],
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: runs/RECIPE/seed-N.")] = None,
    overrides: Set = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=N.")] = None,
    data_root: DataRoot = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch CIFAR's archive if it is not found.")] = False,
    device: Device = "auto",
    devices: Devices = 1,
    as_json: Json = False,
) -> None:
    """Train from a recipe into a new run folder."""
    from longtail import recipe, train

    settings = recipe.load(name, [*(overrides or []), *([f"seed={seed}"] if seed is not None else [])])
    folder = out or Path("runs") / settings.name / f"seed-{settings.seed}"
    with _resumable(folder):
        summary = train.train(settings, folder, data_root=data_root, download=download, device=device, devices=devices)
    _report(summary, folder, as_json, published=settings.published)


@app.command()
def resume(
    run: Run,
    data_root: DataRoot = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps. Default: as before.")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes, one device each. Default: as before.")] = None,
    as_json: Json = False,
) -> None:
    """Continue an interrupted run, exactly where it stopped."""
    from longtail import train

    with _resumable(run):
        summary = train.resume(run, data_root=data_root, device=device, devices=devices)
    _report(summary, run, as_json)


@app.command()
def evaluate(
    run: Run,
    split: Annotated[str | None, typer.Option(help="test, validation or train. Default: the run's own.")] = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a finished run again, or on another split."""
    from longtail import evaluate, machine
    from longtail.rundir import RunDir

    if split not in (None, "test", "validation", "train"):
        raise ValueError(f"split is {split!r}; allowed: test, validation, train")
    where = machine.runtime(device=device).device
    summary = evaluate.evaluate(RunDir.open(run), split=split, data_root=data_root, device=where)
    _report(summary, run, as_json)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's YAML.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a recipe, for editors.")] = False,
    as_json: Json = False,
) -> None:
    """List the shipped recipes, or print one."""
    from longtail import recipe

    if schema:
        _print_json(recipe.Recipe.model_json_schema())
    elif name is not None:
        sys.stdout.write(recipe.text_of(name))
    else:
        settings = [recipe.load(shipped) for shipped in recipe.shipped()]
        if as_json:
            _print_json({each.name: each.model_dump(mode="json") for each in settings})
            return
        rows = [
            [
                each.name,
                each.network.kind,
                str(each.epochs),
                str(each.batch_size),
                _percent(each.published and each.published.top1),
            ]
            for each in settings
        ]
        _print(_table(["recipe", "network", "epochs", "batch", "published top-1"], rows))


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2, an interruption exit code 130."""
    try:
        # Typer turns an interruption into a return value, 130.
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        _fail(error.format_message())
    except (ValueError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    _say(f"error: {' '.join(message.split())}")
    sys.exit(2)


@contextmanager
def _resumable(run: Path) -> Iterator[None]:
    """Tell whoever interrupts a training how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        _say(f"interrupted; continue with: longtail resume {run}")
        raise


def _report(summary: "Summary", run: Path, as_json: bool, *, published: Any = None) -> None:
    if as_json:
        _print_json(summary.to_dict())
        return
    _print(_comparison({run.name: summary}))
    if published is not None:
        _say(f"published: {published.top1:.2%} top-1 ({published.source})")
    _say(f"results are in {run}")


def _comparison(summaries: dict[str, "Summary"]) -> "Table":
    """One row a run: overall, per group with its number of classes, balanced."""
    first = next(iter(summaries.values()))
    groups = [f"{group} ({first.group_classes[group]} classes)" for group in ("many", "medium", "few")]
    rows = [
        [name, *map(_percent, (s.top1, s.many, s.medium, s.few, s.balanced_accuracy, s.macro_f1, s.ece))]
        for name, s in summaries.items()
    ]
    title = f"{first.images:,} test images; {first.classes_measured} of {first.classes} classes measured"
    return _table(["run", "top-1", *groups, "balanced", "macro F1", "ECE"], rows, title=title)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.2%}"


def _table(columns: list[str], rows: list[list[str]], *, title: str | None = None) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def _print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _say(text: str) -> None:
    """Tell a person something that is not the result."""
    sys.stderr.write(text + "\n")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"longtail {longtail.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


if __name__ == "__main__":
    main()
