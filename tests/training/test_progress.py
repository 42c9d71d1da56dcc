"""Progress of a training: two lines of 80 columns in a terminal, whole lines in a file."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from longtail import metrics
from longtail.optim.schedules import Clock
from longtail.training import progress


class Time:
    """Stands in for `time`: stands still until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock_time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(progress, "time", stopped)
    return stopped


def summary(*, classes: int = 100) -> metrics.Summary:
    counts = np.linspace(500, 5, classes).astype(np.int64)
    logits = np.eye(classes)
    return metrics.summarise(
        logits, np.arange(classes), train_counts=counts, class_names=[str(c) for c in range(classes)]
    )


def clock(step: int) -> Clock:
    return Clock.at(step=step, epochs=200, steps_per_epoch=21)


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=80), file


def test_lines_in_a_file_say_everything_and_are_never_broken(clock_time: Time) -> None:
    where, file = console(terminal=False)
    with progress.Display(steps=4200, done=0, console=where) as display:
        for step in range(2100):
            clock_time.now += 1
            display.step(clock(step), loss=-1.25, images=1536)
            if (step + 1) % 1050 == 0:
                display.evaluated(clock(step), summary())
    lines = file.getvalue().splitlines()
    assert lines[0] == "epoch 2/200, 1,536 images/s, 1:09:29 left, loss -1.250"
    assert lines[-1].startswith("epoch 100/200, 1,536 images/s, 35:00 left, loss -1.250, top1 100.0%, many 100.0%, ")
    assert all(line.startswith("epoch ") for line in lines)
    assert len(lines) == pytest.approx(2100 / 31, abs=3), "one line in 30 seconds"
    assert all(("top1" in line) == (n >= 33) for n, line in enumerate(lines))


def test_rate_and_time_left_count_from_where_the_run_went_on(clock_time: Time) -> None:
    where, file = console(terminal=False)
    with progress.Display(steps=4200, done=4100, console=where) as display:
        for step in range(4100, 4150):
            clock_time.now += 2
            display.step(clock(step), loss=0.5, images=100)
    assert file.getvalue().splitlines()[-1] == "epoch 198/200, 50 images/s, 1:44 left, loss 0.500"


def test_the_time_left_knows_that_steps_to_come_take_longer(clock_time: Time) -> None:
    where, file = console(terminal=False)
    with progress.Display(steps=4200, done=0, console=where) as display:
        clock_time.now += 100
        display.step(clock(999), loss=0.5, images=100, heavier=2.5)
        clock_time.now += 100
        display.step(clock(1999), loss=0.5, images=100, heavier=2.5, left=61.0)
    assert file.getvalue().splitlines() == [
        "epoch 48/200, 1,000 images/s, 13:20 left, loss 0.500",
        "epoch 96/200, 1,000 images/s, 1:01 left, loss 0.500",
    ]


def test_terminal_shows_all_in_80_columns(clock_time: Time) -> None:
    where, _ = console(terminal=True)
    display = progress.Display(steps=170_900, done=0, console=where)
    clock_time.now += 30_000
    display.step(Clock.at(step=99_999, epochs=100, steps_per_epoch=1709), loss=-5.125, images=12_345)
    display.evaluated(Clock.at(step=99_999, epochs=100, steps_per_epoch=1709), summary())
    plain, file = console(terminal=False)
    plain.print(display._picture())
    bar, latest = (line.rstrip() for line in file.getvalue().splitlines())
    assert bar.startswith("epoch 59/100 ")
    assert bar.endswith(" 100000/170900 41,150 images/s, 5:54:30 left")
    assert latest == "loss -5.125, top1 100.0%, many 100.0%, medium 100.0%, few 100.0%"


def test_terminal_is_left_clean() -> None:
    where, file = console(terminal=True)
    with progress.Display(steps=4200, done=0, console=where) as display:
        display.step(clock(0), loss=1.0, images=1)
        display.evaluated(clock(0), summary())
    written = file.getvalue()
    assert "preparing" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1, "the cursor is there again"
    assert written.rstrip().endswith("\x1b[2K"), "both lines are gone"


def test_other_processes_are_silent() -> None:
    for terminal in (True, False):
        where, file = console(terminal=terminal)
        with progress.Display(steps=4200, done=0, console=where, silent=True) as display:
            display.step(clock(0), loss=1.0, images=1)
            display.evaluated(clock(0), summary())
        assert file.getvalue() == ""


def test_groups_without_classes_are_left_out() -> None:
    where, file = console(terminal=False)
    with progress.Display(steps=4200, done=0, console=where) as display:
        display.step(clock(0), loss=1.0, images=1)
        display.evaluated(clock(0), summary(classes=2))
    assert "many 100.0%, few 100.0%" in file.getvalue()
    assert "medium" not in file.getvalue()


# --- counting ---------------------------------------------------------------------------------------------------------


def test_counting_in_a_file_is_a_line_every_half_minute(capsys: pytest.CaptureFixture[str], clock_time: Time) -> None:
    with progress.counting("predicting") as report:
        for done in range(100, 30_100, 100):
            clock_time.now += 1
            report(done, 30_000)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "predicting: 3,100/30,000, 100/s, 4:29 left"
    assert len(lines) == 300 // 31


def test_counting_without_an_end_has_no_time_left(capsys: pytest.CaptureFixture[str], clock_time: Time) -> None:
    with progress.counting("predicting", bar=False) as report:
        report(0, None)
        clock_time.now += 40
        report(5000, None)
        report(5100, None)
    assert capsys.readouterr().err == "predicting: 5,000, 125/s\n"


def test_short_work_is_silent_in_a_file(capsys: pytest.CaptureFixture[str], clock_time: Time) -> None:
    with progress.counting("predicting") as report:
        clock_time.now += 29
        report(1, 2)
    assert capsys.readouterr() == ("", "")


def test_counting_in_a_terminal_is_a_bar_that_goes_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock_time: Time
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress.counting("predicting") as report:
        clock_time.now += 100
        report(1000, 3000)
        print("a row")  # noqa: T201 - results go where they belong
    out, err = capsys.readouterr()
    assert out == "a row\n"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err)
    assert "predicting" in shown
    assert " 1000/3000 10/s, 3:20 left" in shown
    assert err.rstrip().endswith("\x1b[2K")
    assert err.count("\x1b[?25l") == err.count("\x1b[?25h") == 1, "the cursor is there again"


def test_a_terminal_can_be_left_to_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock_time: Time
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.counting("predicting", bar=False) as report:
        clock_time.now += 100
        report(1000, 3000)
    assert capsys.readouterr() == ("", "")
