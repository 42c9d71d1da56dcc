"""Files of a run folder: whole or absent, and errors that name them."""

import json

import numpy as np
import pyarrow.parquet
import pytest
import torch

from longtail.runs import folder, records
from longtail.runs.folder import RunDir


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir(tmp_path / "runs" / "one")
    run.make()
    run.write_recipe("name: one\n")
    return run


def test_a_folder_holds_one_run(run, tmp_path):
    assert RunDir.open(run.path) == run
    for prepare in (run.check_free, run.make):
        with pytest.raises(ValueError, match=r"one already holds a run; continue it with longtail resume"):
            prepare()
    with pytest.raises(ValueError, match=r"runs holds no run: recipe\.yaml is not there"):
        RunDir.open(tmp_path / "runs")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file cannot be made a run folder"):
        RunDir(tmp_path / "file").make()


def test_a_crash_while_writing_leaves_the_old_file(run, monkeypatch):
    run.write_checkpoint({"step": 1})
    monkeypatch.setattr(torch, "save", lambda _, file: file.write_bytes(b"half") and (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):  # noqa: PT011  (whatever the disk says)
        run.write_checkpoint({"step": 2})
    assert run.read_checkpoint() == {"step": 1}


def test_a_checkpoint_is_plain_data(run):
    state = {"step": 3, "tensors": {"w": torch.arange(3.0)}, "list": [1, "two", None]}
    assert run.read_checkpoint() is None
    run.write_checkpoint(state)
    assert torch.equal(torch.load(run.checkpoint, weights_only=True)["tensors"]["w"], torch.arange(3.0))
    run.checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        run.read_checkpoint()


def test_the_log_is_rewound_and_a_half_line_forgotten(run):
    for step in (1, 2, 3):
        run.log({"step": step})
    with run.metrics.open("a") as file:
        file.write('{"step": 4')
    assert [record["step"] for record in run.read_log()] == [1, 2, 3]
    run.rewind_log(2)
    assert run.metrics.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert list(RunDir(run.path / "none").read_log()) == []


def test_weights_survive_any_memory_layout(run):
    weight = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    run.write_weights({"w": weight})
    assert torch.equal(run.read_weights()["w"], weight)
    run.weights.write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        run.read_weights()
    run.weights.unlink()
    with pytest.raises(ValueError, match="the run has not finished: longtail resume"):
        run.read_weights()


def test_predictions_are_one_row_an_image(run):
    logits = np.array([[0.0, 2.0], [3.0, 1.0]], dtype=np.float32)
    run.write_predictions(["a", "b"], np.array([1, 1]), logits, split="train")
    table = pyarrow.parquet.read_table(run.predictions("train"))
    assert table.to_pylist() == [
        {"id": "a", "label": 1, "predicted": 1, "logits": [0.0, 2.0]},
        {"id": "b", "label": 1, "predicted": 0, "logits": [3.0, 1.0]},
    ]


def test_json_says_what_is_wrong_with_it(run):
    with pytest.raises(ValueError, match=r"summary\.json is not there; has the run finished\?"):
        run.read_summary()
    run.summary().write_text("{")
    with pytest.raises(ValueError, match=r"summary\.json is damaged"):
        run.read_summary()
    with pytest.raises(ValueError, match="Out of range float"):
        records.write_json(run.model, {"rate": float("nan")})
    records.write_json(run.model, {"name": "Ünïcödé"})
    assert json.loads(run.model.read_text(encoding="utf-8")) == {"name": "Ünïcödé"}


def test_nothing_is_left_behind(run):
    records.write_json(run.model, {})
    run.write_checkpoint({})
    assert sorted(file.name for file in run.path.iterdir()) == ["last.ckpt", "model.json", "recipe.yaml"]
    assert folder.RunDir.open(run.path).path == run.path
