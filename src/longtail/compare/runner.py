"""Run a list of trainings: one after the other, each in a process of its own, resumed after any interruption."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from longtail import recipe
from longtail.recipe import Recipe
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment, SplitFile
from longtail.runtime import signals
from longtail.text import clock_time, percent, yaml_value

_PROGRAM = (sys.executable, "-m", "longtail.cli")
# What a run records of its data, and what runs that are compared must have in common.
_SAME = ("fingerprint", "split", "class_names", "train", "validation", "test")

Message = Callable[[str], object]


@dataclass(frozen=True)
class Training:
    """One training of a list.

    Args:
        recipe: a shipped name or a file, as the user gave it.
        settings: what comes of it, with the changes and the seed.
        out: its run folder.
    """

    recipe: str
    settings: Recipe
    out: Path

    def __str__(self) -> str:
        return f"{self.settings.name}, seed {self.settings.seed}"


def _ignore(_: str) -> None:
    """Nobody is there to read it."""


@dataclass(frozen=True)
class Execution:
    """How trainings are run.

    Args:
        data_root: see `sources.load`.
        device: see `hardware.runtime`; an interrupted training goes on with what it had.
        message: receives a line when something has been done.
        progress: receives, again and again, a line about the training at hand.
    """

    data_root: Path | None = None
    device: str = "auto"
    message: Message = _ignore
    progress: Message = _ignore


DEFAULT = Execution()


def plan(
    recipes: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    budget: str | None = None,
) -> list[Training]:
    """The trainings of some recipes with some seeds, in alternating order: all recipes with one seed, then the next.

    What a machine does beside them changes with the hour. In this order it is the same for all recipes, on average, and
    whoever stops early has as many seeds of each.

    Args:
        recipes: shipped names or files, all different.
        seeds: of each recipe.
        folder: a run is in its folder `RECIPE/seed-N`.
        overrides: changes of settings, as `recipe.load` takes them.
        budget: time for each training; `None`: as the recipe says.
    Raises: ValueError for a mistake in a recipe or a change, or if two recipes have one name.
    """
    changes = recipe.parse_overrides(overrides) | ({"budget": budget} if budget is not None else {})
    listed = list[Training]()
    for seed in seeds:
        for name in recipes:
            settings = recipe.load(name, {**changes, "seed": seed})
            listed.append(Training(name, settings, folder / settings.name / f"seed-{seed}"))
    first = dict[Path, Training]()
    for training in listed:
        if training.out in first:
            raise ValueError(
                f"recipes {first[training.out].recipe} and {training.recipe} are both called "
                f"{training.settings.name}; each must have a name of its own"
            )
        first[training.out] = training
    return listed


def is_finished(run: RunDir) -> bool:
    """Whether a run has come to its end: its results are what is written last."""
    return run.recipe.is_file() and run.summary().is_file()


def difference(one: Recipe, other: Recipe, *, but: Sequence[str] = ()) -> tuple[str, Any, Any] | None:
    """The first setting in which two recipes differ, dotted, and both its values.

    Args:
        one: a recipe.
        other: another one.
        but: settings, or blocks of them, that may differ.

    >>> one, other = recipe.load("digits-lt/ce"), recipe.load("digits-lt/ce", {"data.imbalance": 50, "seed": 3})
    >>> difference(one, other, but=["seed"])
    ('data.imbalance', 100.0, 50.0)
    """
    ours, theirs = (_flat(settings.model_dump(mode="json")) for settings in (one, other))
    for name in ours | theirs:
        excepted = any(name == each or name.startswith(f"{each}.") for each in but)
        if not excepted and (name not in ours or name not in theirs or ours[name] != theirs[name]):
            return name, ours.get(name), theirs.get(name)
    return None


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = dict[str, Any]()
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def check(trainings: Sequence[Training]) -> None:
    """See that what is in the folders already belongs there.

    Raises: ValueError if a folder holds a run with other settings, or finished runs had different data.
    """
    for training in trainings:
        run = RunDir(training.out)
        if run.recipe.is_file():
            found = difference(recipe.load(str(run.recipe)), training.settings)
            if found:
                name, was, wanted = found
                raise ValueError(
                    f"{run.path} holds a run with other settings: {name} is {yaml_value(was)} there and "
                    f"{yaml_value(wanted)} here; choose another --out"
                )
    check_data([RunDir(training.out) for training in trainings])


def check_data(runs: Sequence[RunDir]) -> None:
    """See that all runs that have finished had the same data: images to train and to be evaluated on.

    Raises: ValueError if they had not.
    """
    first: tuple[RunDir, SplitFile] | None = None
    for run in runs:
        if not is_finished(run):
            continue
        record = SplitFile.read(run.split)
        if first is None:
            first = run, record
        for name in _SAME:
            if getattr(record, name) != getattr(first[1], name):
                raise ValueError(
                    f"{run.path} and {first[0].path} had different data: {name} of {run.split.name} is not the same; "
                    "give all of them one --data-root, or choose another --out"
                )


def run_all(trainings: Sequence[Training], execution: Execution = DEFAULT) -> None:
    """Do the trainings that have not been done, and finish those that were interrupted.

    Args:
        trainings: of `plan`.
        execution: how they are run.
    Raises: ValueError as `check` does, or if a training fails; KeyboardInterrupt after SIGINT, SIGTERM or SIGHUP, when
        the training at hand has saved its state.
    """
    check(trainings)
    missing = [training for training in trainings if not is_finished(RunDir(training.out))]
    done = len(trainings) - len(missing)
    if done:
        execution.message(f"{done} of {len(trainings)} trainings are done already")
    pace = _Pace(trainings)
    with _interruptible():
        for number, training in enumerate(missing):
            place, rest, began = f"{done + number + 1} of {len(trainings)}: {training}", missing[number:], _now()

            def progress(line: str, place: str = place, rest: list[Training] = rest, began: float = began) -> None:
                execution.progress(f"{place}: {line}{pace.left(rest, began)}")

            _run(training, replace(execution, progress=progress))
            check_data([RunDir(each.out) for each in trainings])
            pace.add(training, _now() - began)
            top1, spent = percent(RunDir(training.out).read_summary().top1), clock_time(_now() - began)
            execution.message(f"{place}: top-1 {top1} after {spent}{pace.left(rest[1:], _now())}")


_now = time.monotonic


class _Pace:
    """How long trainings take, start and all, by those that have finished."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._seconds = dict[str, list[float]]()
        for training in trainings:
            run = RunDir(training.out)
            if is_finished(run):
                self.add(training, seconds(run) or 0)

    def add(self, training: Training, spent: float) -> None:
        self._seconds.setdefault(training.recipe, []).append(spent)

    def left(self, rest: Sequence[Training], began: float) -> str:
        """The time left for trainings, the first of which began at a time, in words."""
        if not (self._seconds and rest):
            return ""
        means = {name: sum(each) / len(each) for name, each in self._seconds.items()}
        typical = sum(means.values()) / len(means)
        left = sum(means.get(training.recipe, typical) for training in rest) - (_now() - began)
        return f"; about {clock_time(max(left, 0))} left for all"


def _run(training: Training, execution: Execution) -> None:
    """Do one training, or what is left of it."""
    if RunDir(training.out).recipe.is_file():
        command = ["resume", str(training.out)]
    else:
        # Beside the run and not in a temporary place: the run records its command, which can then be repeated.
        file = training.out.with_name(f"{training.out.name}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(recipe.dump(training.settings), encoding="utf-8")
        command = ["train", str(file), "--out", str(training.out), "--device", execution.device]
    command += ["--data-root", str(execution.data_root)] if execution.data_root is not None else []
    starting = subprocess.Popen(
        [*_PROGRAM, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # A terminal's Ctrl-C goes to this program alone, which passes it on once: a second one would not be waited for.
        start_new_session=True,
    )
    last = ""
    with starting as process, _passing_on(process):
        assert process.stderr is not None
        for line in process.stderr:
            last = line.strip() or last
            execution.progress(last)
    match process.returncode:
        case 0:
            return
        case 130:
            raise KeyboardInterrupt
        case 2:
            raise ValueError(f"{training}: {last.removeprefix('error: ')}")
        case code:
            raise ValueError(
                f"{training}: the training ended with code {code}{f' ({last})' if last else ''}; the same command goes "
                "on with what was saved"
            )


@contextmanager
def _passing_on(process: subprocess.Popen[str]) -> Iterator[None]:
    """Interrupt the training when this program is, and wait until it has saved its state."""
    try:
        yield
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate()
        except KeyboardInterrupt:  # who asks twice does not want to wait
            process.kill()
            process.wait()
        raise


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a lost terminal interrupt as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    with signals.handled(interrupt, "SIGTERM", "SIGHUP"):
        yield


def seconds(run: RunDir) -> float | None:
    """How long a run has trained, interruptions left out; `None` if its log does not say."""
    return next((line["seconds"] for line in reversed(list(run.read_log())) if "seconds" in line), None)


def version(environment: Environment) -> str:
    """With which version a run was trained, in words."""
    return environment.longtail + (f", commit {environment.commit}" if environment.commit else "")


def hardware(environment: Environment) -> str:
    """On what a run was trained, and in which precision, in words.

    >>> hardware(Environment(processor="x86_64", vectors="AVX2", cores=2, precision="fp32"))
    'x86_64 with AVX2, 2 cores, fp32'
    """
    vectors, precision = environment.vectors, environment.precision
    processor = environment.processor + (f" with {vectors}" if vectors else "")
    return (environment.gpu or f"{processor}, {environment.cores} cores") + (f", {precision}" if precision else "")
