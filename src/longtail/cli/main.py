"""The command line: all commands, their mistakes in one line, and exit codes.

Everything heavy is imported inside of the commands: help and versions are there at once.
"""

import atexit
import gc
import logging
import os
import sys
from typing import Annotated

import typer

import longtail
from longtail.cli import output
from longtail.cli.audit import audit
from longtail.cli.compare import compare, reproduce
from longtail.cli.evaluate import evaluate
from longtail.cli.predict import predict
from longtail.cli.recipes import recipes
from longtail.cli.report import report
from longtail.cli.train import demo, resume, train

app = typer.Typer(
    help="Train image classifiers that also get the rare classes right.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (demo, audit, train, resume, evaluate, report, compare, reproduce, predict, recipes):
    app.command()(_command)


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
    output.message(f"error: {' '.join(message.split())}")
    sys.exit(2)


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
