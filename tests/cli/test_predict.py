"""The command `longtail predict`: what is asked, answered, said and returned."""

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pyarrow.parquet
import pytest

from longtail.cli import main
from longtail.inference import output
from support.small_trainings import command, finish

CLASSES = ("class_00", "class_01", "class_02")


class Input(io.TextIOWrapper):
    """Stands in for standard input."""


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def predict(capsys, monkeypatch, tmp_path, birds):
    """Runs the command in this process, in the folder of the images, with something on standard input."""
    monkeypatch.chdir(birds[1])

    def run(*arguments, model=birds[0], stdin=b""):
        monkeypatch.setattr(sys, "stdin", Input(io.BytesIO(stdin)))
        words = ["longtail", "predict", str(model), "--device", "cpu", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main.main()
        return Said(int(caught.value.code or 0), *capsys.readouterr())

    assert not [*tmp_path.iterdir()]
    return run


def rows(text):
    return [*csv.DictReader(io.StringIO(text, newline=""))]


def assert_mistake(said, *parts):
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    for part in parts:
        assert part in said.err, said.err


def test_help_fits(predict):
    said = predict("--help")
    assert (said.code, said.err) == (0, "")
    assert "Usage: longtail predict [OPTIONS] {RUN} [PATHS]..." in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines())


# --- what is asked and answered ---------------------------------------------------------------------------------------


def test_a_file(predict):
    said = predict("class_01/00002.png")
    assert (said.code, said.err) == (0, "1 image predicted\n")
    header, row = said.out.splitlines()
    assert header == "path,predicted,confidence,class_2,probability_2,class_3,probability_3,error"
    assert row.startswith("class_01/00002.png,class_0")
    assert row.endswith(",")


def test_all_kinds_at_once_in_order(predict, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\nclass_02/00001.png,?\n")
    said = predict(
        "class_00/00007.png",
        "-",
        "class_02",
        tmp_path / "list.csv",
        "--root",
        ".",
        "nothing.png",
        stdin=b"class_01/00001.png\r\nno/such.png\n",
    )
    assert said.code == 0
    assert [row["path"] for row in rows(said.out)] == [
        "class_00/00007.png",
        "class_01/00001.png",
        "no/such.png",
        *(f"class_02/{n:05}.png" for n in range(6)),
        "class_02/00001.png",
        "nothing.png",
    ]
    assert [bool(row["predicted"]) for row in rows(said.out)] == [True, True, False, *[True] * 7, False]
    assert rows(said.out)[2]["error"] == "does not exist"
    assert said.err == "9 images predicted; 2 cannot be predicted, the first: no/such.png does not exist\n"


def test_names_on_standard_input_are_what_is_asked_without_paths(predict):
    names = "class_00/00000.png\nclass_01/00000.png\n"
    assert predict(stdin=names.encode()) == predict("-", stdin=names.encode())
    said = predict(stdin=names.encode())
    assert said.code == 0
    assert [row["path"] for row in rows(said.out)] == names.split()


def test_the_same_probabilities_as_in_training_in_every_format(predict, birds, tmp_path):
    table = pyarrow.parquet.read_table(birds[0] / "predictions.parquet")
    names, logits = table["id"].to_pylist(), np.array(table["logits"].to_pylist(), np.float64)
    right = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for ending in output.ENDINGS:
        said = predict(*names, "--out", tmp_path / f"out{ending}", "--top", "100")
        assert said == (0, "", f"{len(names)} images predicted; rows are in {tmp_path}/out{ending}\n")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist() == lines
    for n, (line, row) in enumerate(zip(lines, rows((tmp_path / "out.csv").read_text()), strict=True)):
        assert line["path"] == row["path"] == names[n]
        assert line["predicted"] == row["predicted"] == CLASSES[right[n].argmax()]
        assert float(row["confidence"]) == line["confidence"]
        said = {each["class"]: each["probability"] for each in line["top"]}
        assert [said[name] for name in CLASSES] == pytest.approx(right[n].tolist(), abs=2e-6)
        assert row["class_2"] == line["top"][1]["class"]
    assert {path.name for path in tmp_path.iterdir()} == {f"out{ending}" for ending in output.ENDINGS}


def test_json_on_standard_output(predict):
    said = predict("class_00", "broken.png", "--json", "--top", "1")
    records = [json.loads(line) for line in said.out.splitlines()]
    assert len(records) == 13
    assert [len(record["top"]) for record in records[:-1]] == [1] * 12
    assert records[-1] == {
        "path": "broken.png",
        "predicted": None,
        "confidence": None,
        "top": None,
        "error": "does not exist",
    }


def test_batches_and_workers_change_nothing(predict):
    right = predict(".")
    assert len(rows(right.out)) == 26
    for options in (["--batch", "1"], ["--batch", "5", "--workers", "2"], ["--workers", "1"]):
        again = predict(".", *options)
        assert [row["path"] for row in rows(again.out)] == [row["path"] for row in rows(right.out)]
        one, other = ([float(row["confidence"]) for row in rows(said.out)] for said in (again, right))
        assert one == pytest.approx(other, abs=2e-6)


def test_a_broken_image_is_a_row(predict, birds, tmp_path):
    shutil.copytree(birds[1] / "class_01", tmp_path / "new")
    content = (tmp_path / "new" / "00003.png").read_bytes()
    (tmp_path / "new" / "00003.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "new" / "00004.png").write_bytes(b"")
    (tmp_path / "new" / "00005.png").write_text("no image")
    said = predict(tmp_path / "new")
    assert said.code == 0
    assert [bool(row["error"]) for row in rows(said.out)] == [False] * 3 + [True] * 3 + [False] * 2
    assert said.err.startswith(f"5 images predicted; 3 cannot be predicted, the first: {tmp_path}/new/00003.png cannot")


def test_all_broken_is_a_mistake_with_rows(predict, tmp_path):
    said = predict("a.png", "b.png", "--out", tmp_path / "out.csv")
    assert_mistake(said, "none of 2 images can be predicted: a.png does not exist", "out.csv")
    assert [row["error"] for row in rows((tmp_path / "out.csv").read_text())] == ["does not exist"] * 2
    said = predict("a.png", "--prior", "estimate")
    assert said.code == 2
    assert rows(said.out)[0]["error"] == "does not exist"


def test_nothing_to_predict_is_a_mistake_and_leaves_files_alone(predict, tmp_path):
    (tmp_path / "out.csv").write_text("old")
    assert_mistake(predict("--out", tmp_path / "out.csv"), "no image was predicted; none was named")
    assert (tmp_path / "out.csv").read_text() == "old"


def test_somebody_at_a_terminal_is_told_rather_than_waited_for(predict, monkeypatch):
    monkeypatch.setattr(Input, "isatty", lambda _: True)
    assert_mistake(predict(), "no image is named; name files or folders, or pipe names of images")
    assert predict("-", stdin=b"class_00/00000.png\n").code == 0


# --- another class distribution ---------------------------------------------------------------------------------------


def test_priors(predict, tmp_path):
    (tmp_path / "p.csv").write_text("class_00,0\nclass_01,0\nclass_02,1\n")
    plain, train, uniform, file = (
        predict(".", *options)
        for options in ([], ["--prior", "train"], ["--prior", "uniform"], ["--prior", f"{tmp_path}/p.csv"])
    )
    # Plain cross-entropy assumes what it was trained on, so that changes nothing.
    confidences = [[float(row["confidence"]) for row in rows(said.out)] for said in (plain, train)]
    assert confidences[0] == pytest.approx(confidences[1], abs=2e-6)
    assert rows(uniform.out) != rows(plain.out)
    assert {(row["predicted"], row["confidence"]) for row in rows(file.out)} == {("class_02", "1")}
    assert all(said.code == 0 for said in (plain, train, uniform, file))


def test_an_estimate_is_told_and_kept(predict, tmp_path):
    said = predict(".", "--prior", "estimate", "--out", tmp_path / "out.csv")
    assert said.code == 0
    assert said.err.startswith("class distribution estimated from 26 images; largest changes: class_0")
    assert "too sure of itself" in said.err
    assert f"the whole distribution is in {tmp_path}/out.prior.json" in said.err
    # What it estimated can be given to it.
    again = predict(".", "--prior", tmp_path / "out.prior.json")
    one, other = (
        [float(row["confidence"]) for row in rows(text)] for text in ((tmp_path / "out.csv").read_text(), again.out)
    )
    assert one == pytest.approx(other, abs=2e-6)


def test_a_run_of_an_earlier_version_has_no_priors(predict, birds, tmp_path):
    shutil.copy(birds[0] / "model.safetensors", tmp_path)
    written = json.loads((birds[0] / "model.json").read_text())
    del written["prior"]
    (tmp_path / "model.json").write_text(json.dumps(written))
    assert predict(".", model=tmp_path).out == predict(".").out
    assert_mistake(predict(".", "--prior", "uniform", model=tmp_path), "trained with an earlier version")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("class_00 --top 0", ["--top", "it is 0; allowed: at least 1"]),
        ("class_00 --top many", ["--top", "'many' is not an integer"]),
        ("class_00 --batch 0", ["--batch", "at least 1"]),
        ("class_00 --workers -1", ["--workers", "at least 0"]),
        ("class_00 --device tpu", ["'tpu' is unknown"]),
        ("class_00 --out out.xls", ["out is out.xls; allowed: a file that ends in .csv, .jsonl or .parquet"]),
        ("class_00 --out no/out.csv", ["no/out.csv, which cannot be written"]),
        ("class_00 --out out.csv --json", ["JSON is for standard output"]),
        ("list.csv --out list.csv", ["list.csv, which is read as well"]),
        ("class_00 --prior unifrom", ["prior is 'unifrom'", "train, uniform, estimate"]),
        ("class_00 --prior list.csv", ["list.csv has 1 column"]),
        ("no.csv", ["no.csv does not exist"]),
        ("empty", ["empty holds no images"]),
        ("lost.csv", ["names 1 image file, but none exists", "--root"]),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(predict, monkeypatch, tmp_path, birds, line, parts):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    shutil.copytree(birds[1] / "class_00", tmp_path / "class_00")
    (tmp_path / "list.csv").write_text("path\nclass_00/00001.png\n")
    (tmp_path / "lost.csv").write_text("path\nnowhere/00001.png\n")
    before = {*tmp_path.rglob("*")}
    assert_mistake(predict(*line.split()), *parts)
    assert {*tmp_path.rglob("*")} == before


def test_a_folder_without_a_model(predict, tmp_path):
    assert_mistake(predict(".", model=tmp_path), "holds no trained model: model.json is not there")
    (tmp_path / "model.json").write_text('{"network": 3}')
    assert_mistake(predict(".", model=tmp_path), "model.json is damaged: network")


# --- processes --------------------------------------------------------------------------------------------------------


def test_a_pipe_in_and_a_pipe_that_is_closed(birds):
    run, data = birds
    line = f"ls {data}/*/*.png {data}/*/*.png | {sys.executable} -m longtail.cli predict {run} --device cpu"
    said = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert len(rows(said.stdout)) == 52
    assert said.stderr == "52 images predicted\n"
    many = " ".join([str(data)] * 40)  # more than a pipe holds
    line = f"{sys.executable} -m longtail.cli predict {run} --device cpu --workers 2 {many} | head -1"
    said = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("path,predicted,")
    assert (said.stdout.count("\n"), said.stderr) == (1, "")


def test_an_interruption_leaves_no_file_half_written(birds, tmp_path):
    run, data = birds
    out = tmp_path / "out.csv"
    process = command("predict", run, "--device", "cpu", "--out", out, "--workers", "2", stdin=subprocess.PIPE)
    assert process.stdin is not None
    first = f"{data}/class_00/00000.png\n" * 1000
    process.stdin.write(first)
    process.stdin.flush()
    new, deadline = tmp_path / ".out.csv.new", time.monotonic() + 60
    while not (new.exists() and new.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = finish(process, code=130)
    assert said == ("", "interrupted\n")
    assert [*tmp_path.iterdir()] == []
