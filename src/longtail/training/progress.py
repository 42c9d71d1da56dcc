"""Progress bars and lines: for a training, and for other work on many images."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from longtail.metrics import Summary, table
from longtail.optim.schedules import Clock
from longtail.text import clock_time

SECONDS_BETWEEN_LINES = 30.0


def messages(console: Console, *, silent: bool = False) -> Callable[[str], None]:
    """A function that writes a line to the user as it is, however long.

    Args:
        console: where to write; not where results go.
        silent: write nothing, as all processes but the first do.
    """

    def write(line: str) -> None:
        if not silent:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    return write


class Display:
    """A bar in a terminal, and a line from time to time in a file, with rate, time left and the latest accuracies.

    Args:
        steps: of the whole training.
        done: steps that an earlier process did.
        console: where to write; not where results go.
        silent: write nothing, as all processes but the first do.
    """

    def __init__(self, *, steps: int, done: int, console: Console, silent: bool = False) -> None:
        self._done, self._console, self._silent = done, console, silent
        self._message = messages(console, silent=silent or console.is_terminal)
        self._started = self._printed = time.monotonic()
        self._pace, self._loss, self._latest = "", "", ""
        self._bar = _bar()
        self._task = self._bar.add_task("preparing", total=steps, completed=done, pace="")
        # Two lines, so that 80 columns hold everything; both are gone when the results are printed.
        self._live = Live(get_renderable=self._picture, console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> "Display":
        if not self._silent and self._console.is_terminal:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def step(self, clock: Clock, *, loss: float, images: int, heavier: float = 1.0, left: float | None = None) -> None:
        """Show that a step was done.

        Args:
            clock: of the step; the number of all steps may change, and is what is left to go by.
            loss: of the step.
            images: that went through the network in it, views counted.
            heavier: how many times as long as a step up to now one to come will take, on average.
            left: seconds, if they are known; `None`: by the steps that are left.
        """
        now = time.monotonic()
        steps, seconds = clock.step + 1 - self._done, now - self._started
        left = (clock.steps - clock.step - 1) * heavier * seconds / steps if left is None else max(0.0, left)
        self._pace = f"{images * steps / max(seconds, 1e-9):,.0f} images/s, {clock_time(left)} left"
        self._loss = f"loss {loss:.3f}"
        self._bar.update(
            self._task,
            completed=clock.step + 1,
            total=clock.steps,
            description=f"epoch {clock.epoch + 1}/{clock.epochs}",
            pace=self._pace,
        )
        if now - self._printed > SECONDS_BETWEEN_LINES:
            self._line(clock)

    def evaluated(self, clock: Clock, summary: Summary) -> None:
        """Show the latest accuracies."""
        self._latest = "".join(
            f", {metric.key} {value:.1%}"  # short, for a line of 80 columns
            for metric in table.METRICS
            if metric.brief and (value := summary.figures[metric.key]) is not None
        )
        self._line(clock)

    def _picture(self) -> Group:
        return Group(self._bar, Text(f"{self._loss}{self._latest}", no_wrap=True, overflow="ellipsis"))

    def _line(self, clock: Clock) -> None:
        self._printed = time.monotonic()
        self._message(f"epoch {clock.epoch + 1}/{clock.epochs}, {self._pace}, {self._loss}{self._latest}")


@contextmanager
def counting(
    work: str, *, console: Console | None = None, bar: bool = True
) -> Iterator[Callable[[int, int | None], None]]:
    """A bar in a terminal, and a line from time to time in a file, with rate and time left.

    Gives the function to report to: how many are done, and of how many, if that is known.

    Args:
        work: what is being done.
        console: where to write; `None` is standard error.
        bar: `False` leaves the terminal to others.
    """
    where, started = console or Console(stderr=True), time.monotonic()
    message, printed = messages(where, silent=where.is_terminal), started
    with _bar(console=where, visible=bar and where.is_terminal) as progress:
        task = progress.add_task(work, total=None, pace="")

        def report(done: int, of: int | None) -> None:
            nonlocal printed
            now = time.monotonic()
            rate = done / max(now - started, 1e-9)
            left = f", {clock_time((of - done) / max(rate, 1e-9))} left" if of is not None else ""
            progress.update(task, completed=done, total=of, pace=f"{rate:,.0f}/s{left}")
            if now - printed > SECONDS_BETWEEN_LINES:
                printed = now
                message(f"{work}: {done:,}{f'/{of:,}' if of is not None else ''}, {rate:,.0f}/s{left}")

        yield report


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A line that changes in a terminal, and one a minute in a file; gives the function that sets it."""
    where, printed = Console(stderr=True), time.monotonic()
    if where.is_terminal:
        with where.status("") as line:
            yield lambda text: line.update(Text(text, no_wrap=True, overflow="ellipsis"))
        return
    message = messages(where)

    def show(text: str) -> None:
        nonlocal printed
        if time.monotonic() - printed > 2 * SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            message(text)

    yield show


def _bar(*, console: Console | None = None, visible: bool = True) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
        transient=True,
        disable=not visible,
        redirect_stdout=False,  # results must get there, and not to where the bar is
    )
