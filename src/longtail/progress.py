"""Progress: what somebody who waits for a training sees."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from longtail.metrics import Summary
from longtail.schedules import Clock

_SECONDS_BETWEEN_LINES = 30.0


class Display:
    """A bar in a terminal, and a line from time to time elsewhere, with rate, time left and the latest accuracies.

    Args:
        steps: of the whole training.
        done: steps that an earlier process did.
        console: where to write; not where results go.
        silent: write nothing, as all processes but the first do.
    """

    def __init__(self, *, steps: int, done: int, console: Console, silent: bool = False) -> None:
        self._steps, self._done, self._console, self._silent = steps, done, console, silent
        self._started = self._printed = time.monotonic()
        self._latest = ""
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=silent or not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("train", total=steps, completed=done, epoch="-", rate="", state="")

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, clock: Clock, *, loss: float, images: int) -> None:
        """Show that a step was done.

        Args:
            clock: of the step.
            loss: of the step.
            images: that went through the network in it, views counted.
        """
        now = time.monotonic()
        rate = images * (clock.step + 1 - self._done) / max(now - self._started, 1e-9)
        shown = f"{rate:,.0f} images/s"
        self._bar.update(
            self._task,
            completed=clock.step + 1,
            epoch=f"{clock.epoch + 1}/{clock.epochs}",
            rate=shown,
            state=f"loss {loss:.3f}{self._latest}",
        )
        if now - self._printed > _SECONDS_BETWEEN_LINES:
            left = (self._steps - clock.step - 1) * (now - self._started) / (clock.step + 1 - self._done)
            self._line(
                f"epoch {clock.epoch + 1}/{clock.epochs}, {shown}, {_clock_time(left)} left, "
                f"loss {loss:.3f}{self._latest}"
            )

    def evaluated(self, clock: Clock, summary: Summary) -> None:
        """Show the latest accuracies."""
        accuracies = ", ".join(
            f"{name} {value:.1%}"
            for name in ("top1", "many", "medium", "few")
            if (value := getattr(summary, name)) is not None
        )
        self._latest = f", {accuracies}"
        self._line(f"epoch {clock.epoch + 1}/{clock.epochs}: {accuracies}")

    def _line(self, text: str) -> None:
        self._printed = time.monotonic()
        if not (self._silent or self._console.is_terminal):
            self._console.print(text, highlight=False)


def _clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
