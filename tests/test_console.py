"""What commands print."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from longtail import console, metrics


class Time:
    """Stands in for `time`: stands still until told."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def summary_of(*names: str) -> metrics.Summary:
    labels = np.arange(len(names))
    return metrics.summarise(np.eye(len(names)), labels, train_counts=500 - labels, class_names=names)


def test_large_numbers_and_long_names_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a-run-with-a-name-that-is-longer-than-most-terminals-are-wide-" * 2
    groups = {"many": 842, "medium": 4076, "few": 3224}
    large = replace(summary_of("a", "b"), images=24_426, classes=8142, classes_measured=8142, group_classes=groups)
    console.print_comparison({name: large})
    out = capsys.readouterr().out
    assert name in out
    assert out.splitlines()[0] == "24,426 test images of 8,142 classes"
    assert len(out.splitlines()[1]) <= 80


def test_class_names_of_any_script_reach_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json(summary_of("猫", "été").to_dict())
    out = capsys.readouterr().out
    assert out.isascii()
    assert [each["name"] for each in json.loads(out)["per_class"]] == ["猫", "été"]


def test_absent_groups_and_classes_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    logits, labels = np.eye(3), np.array([0, 1, 1])
    names, counts = ["a", "b", "c"], np.array([500, 300, 200])
    console.print_comparison({"x": metrics.summarise(logits, labels, train_counts=counts, class_names=names)})
    out = capsys.readouterr().out
    assert out.startswith("3 test images of 3 classes, 1 of them without images\n")
    assert "3 many (> 100), 0 medium (20 to 100), 0 few (< 20)" in out
    assert out.splitlines()[-1].split()[3:5] == ["-", "-"]


# --- counting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(console, "time", stopped)
    return stopped


def test_counting_in_a_file_is_a_line_every_half_minute(capsys: pytest.CaptureFixture[str], clock: Time) -> None:
    with console.counting("predicting") as progress:
        for done in range(100, 30_100, 100):
            clock.now += 1
            progress(done, 30_000)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "predicting: 3,100/30,000, 100/s, 0:04:29 left"
    assert len(lines) == 300 // 31


def test_counting_without_an_end_has_no_time_left(capsys: pytest.CaptureFixture[str], clock: Time) -> None:
    with console.counting("predicting", shown=False) as progress:
        progress(0, None)
        clock.now += 40
        progress(5000, None)
        progress(5100, None)
    assert capsys.readouterr().err == "predicting: 5,000, 125/s\n"


def test_short_work_is_silent_in_a_file(capsys: pytest.CaptureFixture[str], clock: Time) -> None:
    with console.counting("predicting") as progress:
        clock.now += 29
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_counting_in_a_terminal_is_a_bar_that_goes_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: Time
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with console.counting("predicting") as progress:
        clock.now += 100
        progress(1000, 3000)
        print("a row")  # noqa: T201 - results go where they belong
    out, err = capsys.readouterr()
    assert out == "a row\n"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err)
    assert "predicting" in shown
    assert " 1000/3000 10/s, 0:03:20 left" in shown
    assert err.rstrip().endswith("\x1b[2K")
    assert err.count("\x1b[?25l") == err.count("\x1b[?25h") == 1, "the cursor is there again"


def test_a_terminal_can_be_left_to_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: Time
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.counting("predicting", shown=False) as progress:
        clock.now += 100
        progress(1000, 3000)
    assert capsys.readouterr() == ("", "")
