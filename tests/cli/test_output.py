"""What commands print."""

import json
from dataclasses import replace

import numpy as np
import pytest

from longtail import metrics
from longtail.cli import output


def summary_of(*names: str) -> metrics.Summary:
    labels = np.arange(len(names))
    return metrics.summarise(np.eye(len(names)), labels, train_counts=500 - labels, class_names=names)


def test_large_numbers_and_long_names_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a-run-with-a-name-that-is-longer-than-most-terminals-are-wide-" * 2
    groups = {"many": 842, "medium": 4076, "few": 3224}
    large = replace(summary_of("a", "b"), images=24_426, classes=8142, classes_measured=8142, group_classes=groups)
    output.print_comparison({name: large})
    out = capsys.readouterr().out
    assert name in out
    assert out.splitlines()[0] == "24,426 test images of 8,142 classes"
    assert len(out.splitlines()[1]) <= 80


def test_class_names_of_any_script_reach_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json(summary_of("猫", "été").to_dict())
    out = capsys.readouterr().out
    assert out.isascii()
    assert [each["name"] for each in json.loads(out)["per_class"]] == ["猫", "été"]


def test_absent_groups_and_classes_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    logits, labels = np.eye(3), np.array([0, 1, 1])
    names, counts = ["a", "b", "c"], np.array([500, 300, 200])
    output.print_comparison({"x": metrics.summarise(logits, labels, train_counts=counts, class_names=names)})
    out = capsys.readouterr().out
    assert out.startswith("3 test images of 3 classes, 1 of them without images\n")
    assert "3 many (> 100), 0 medium (20 to 100), 0 few (< 20)" in out
    assert out.splitlines()[-1].split()[4:6] == ["-", "-"]
