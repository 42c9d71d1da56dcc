"""Trainings that are killed or interrupted in the middle: scripts that do it, and waiting for them to have begun."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longtail.recipe import Recipe
from longtail.training import loop, train

# Saves after every step, and is killed by the operating system when the given step is done.
CRASH = """
import os, signal
from longtail.cli import main
from longtail.training import loop

loop.SECONDS_BETWEEN_CHECKPOINTS = {seconds}
whole = loop.step_batches

def cut(*arguments):
    for step, batches in enumerate(whole(*arguments)):
        if step == {step} and int(os.environ.get("LOCAL_RANK", 0)) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batches

loop.step_batches = cut
main.main()
"""

# Sleeps in every step, so that there is time to interrupt it.
SLOW = """
import time
from longtail.cli import main
from longtail.training import loop

whole = loop.step_batches
loop.step_batches = lambda *arguments: (time.sleep(0.3) or batches for batches in whole(*arguments))
main.main()
"""


def crash(tmp_path: Path, *, step: int, seconds: float) -> Path:
    script = tmp_path / "crash.py"
    script.write_text(CRASH.format(step=step, seconds=seconds))
    return script


def wait_for_log(process: subprocess.Popen[str], path: Path) -> None:
    """Wait until a run has done its first steps."""
    while not (path / "metrics.jsonl").exists() or not (path / "metrics.jsonl").read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


class Stopped(Exception):  # noqa: N818
    """What stands in for a crash."""


@contextmanager
def at_step(step: int, act: Callable[[], object]) -> Iterator[None]:
    """Do something before a step of the trainings of this process."""
    whole = loop.step_batches

    def batches(*arguments):
        for number, batch in enumerate(whole(*arguments)):
            if number == step:
                act()
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step_batches", batches)
        yield


def stop(settings: Recipe, path: Path, *, step: int, seconds: float = 0.0, since: float | None = None) -> None:
    """Train up to a step in this process, saving every so many seconds, and fail there."""

    def fail() -> None:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch, at_step(step, fail):
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", seconds)
        with pytest.raises(Stopped):
            train.train(settings, path, device="cpu", since=since)
