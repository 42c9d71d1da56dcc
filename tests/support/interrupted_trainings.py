"""Trainings that are killed or interrupted in the middle: scripts that do it, and waiting for them to have begun."""

import subprocess
import time
from pathlib import Path

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
