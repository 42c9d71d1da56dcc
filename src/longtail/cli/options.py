"""Arguments and options that several commands share, and how their texts are read."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from longtail.cli import output


def integer(given: str | int) -> int:
    """Read an integer; Typer's own message would not name the value. Defaults pass through here too."""
    try:
        return int(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is not an integer") from None


def at_least(least: int) -> Callable[[str | int], int]:
    """A reader of integers that refuses smaller ones."""

    def read(given: str | int) -> int:
        number = integer(given)
        if number < least:
            raise typer.BadParameter(f"it is {number}; allowed: at least {least}")
        return number

    return read


def path(given: str | Path) -> Path:
    """Read a path: shells leave `--out=~/runs` as it is, and an unset variable is empty."""
    if not str(given):
        raise typer.BadParameter("it is empty")
    return Path(given).expanduser()


Run = Annotated[Path, typer.Argument(parser=path, metavar="RUN", help="A run folder, as training makes it.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        parser=path,
        metavar="<path>",
        help="Folder with the data. Default: the run's own, else LONGTAIL_DATA, else ~/.cache/longtail.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: --set method.temperature=0.07. May be repeated.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Devices = Annotated[int, typer.Option(parser=integer, metavar="<int>", help="Processes, one device each.")]

Budget = Annotated[
    str | None,
    typer.Option(
        metavar="<time>",
        help="End after this time, such as 90s, 15m or 1h30m, fully annealed: as many steps as there is time for, "
        "spread over the whole schedule. Epochs then give only its proportions.",
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(
        metavar="<text>",
        help="How frequent classes are among these images: train (as in training), uniform, estimate (from the "
        "images), or a file of classes with shares or counts. Default: as the model has it.",
    ),
]
ListRoot = Annotated[
    Path | None,
    typer.Option(
        parser=path,
        metavar="<path>",
        help="Where relative paths in files that list images start. Default: where the file is.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        parser=at_least(0),
        metavar="<int>",
        help="Processes that decode. Default: one for each core, if there are many images.",
    ),
]


@contextmanager
def interruptible(run: Path | None = None, *, again: bool = False) -> Iterator[None]:
    """Say how to go on after an interruption.

    Args:
        run: the run folder that a command makes, if it makes one; it goes on with `longtail resume`.
        again: whether the same command, given again, goes on.
    """
    try:
        yield
    except KeyboardInterrupt:
        from longtail.runs.folder import RunDir

        begun = run is not None and RunDir(run).recipe.is_file()
        command = ["longtail", *sys.argv[1:]] if again else ["longtail", "resume", str(run)]
        output.message(f"interrupted; continue with: {shlex.join(command)}" if begun or again else "interrupted")
        raise
