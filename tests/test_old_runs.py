"""Run folders of an older version go on working: finished and interrupted ones, made by commit 10e79ff.

Made by `longtail train digits-lt/hybrid-psc` with a network of width 2 and 4 epochs; the second was interrupted after
10 of its 16 steps, as the first shows it would have gone on.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

from longtail.cli.main import app
from support import small_trainings

OLD = Path(__file__).parent / "support" / "runs_of_10e79ff"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return shutil.copytree(OLD / "finished", tmp_path / "finished")


def run(*arguments: str | Path) -> str:
    said = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    return said.stdout


def logits(path: Path) -> np.ndarray:
    """`(n, C)`, a row an image."""
    table = pyarrow.parquet.read_table(path / "predictions.parquet")
    return np.stack(table["logits"].to_numpy())


def same_figures(new: dict, old: dict) -> None:
    """Every figure that the older file has is there, up to the rounding of another processor."""
    for name, value in old.items():
        if isinstance(value, float):
            assert new[name] == pytest.approx(value, abs=1e-5), name
        else:
            assert type(new[name]) is type(value), name


def test_evaluating_gives_the_same_figures(finished):
    old = small_trainings.json_of(finished / "summary.json")
    same_figures(json.loads(run("evaluate", finished, "--json")), old)


def test_an_interrupted_run_ends_as_it_would_have(tmp_path, finished):
    path = shutil.copytree(OLD / "interrupted", tmp_path / "interrupted")
    same_figures(json.loads(run("resume", path, "--json")), small_trainings.json_of(finished / "summary.json"))
    assert logits(path) == pytest.approx(logits(finished), abs=1e-3)
    ours, theirs = ([r for r in small_trainings.log(p) if "loss" in r] for p in (path, finished))
    assert [r["step"] for r in ours] == [r["step"] for r in theirs] == list(range(1, 17))
    assert [r["loss"] for r in ours] == pytest.approx([r["loss"] for r in theirs], abs=1e-4)


def test_it_predicts_and_is_reported(finished, tmp_path):
    Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(tmp_path / "one.png")
    (row,) = run("predict", finished, tmp_path / "one.png").splitlines()[1:]
    assert row.startswith(str(tmp_path / "one.png"))
    run("report", finished)
    assert "digits-lt/hybrid-psc" in (finished / "report.html").read_text()
