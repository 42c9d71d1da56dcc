"""Prediction output: what was predicted can be read again, in order, whatever the names of images are."""

import csv
import io
import json
import sys

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.inference import output
from longtail.inference.output import ClassProbability, Output, Prediction, Tally
from longtail.inference.predict import PredictedBatch
from support.messages import one_line

ROWS = (
    Prediction("a.png", (ClassProbability("cat", 0.75), ClassProbability("dog", 0.25)), None),
    Prediction("b, c\n.png", (), 'cannot be decoded: "nothing"'),
    Prediction("ü.png", (ClassProbability("dog", 0.9999999), ClassProbability("cat", 1e-7)), None),
)


def test_predictions_are_in_order_and_the_best_class_is_first():
    found = [
        PredictedBatch(["a", "b", "c"], np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], np.float32), {1: "is broken"}),
        PredictedBatch(["d"], np.empty((0, 3), np.float32), {0: "is too"}),
        PredictedBatch([], np.empty((0, 3), np.float32), {}),
        PredictedBatch(["e"], np.array([[0.0, 0.0, 1.0]], np.float32), {}),
    ]
    rows = list(output.predictions(found, ["x", "y", "z"], top=2))
    assert [row.path for row in rows] == ["a", "b", "c", "d", "e"]
    assert [row.predicted for row in rows] == ["y", None, "x", None, "z"]  # of equals the first
    assert [row.error for row in rows] == [None, "is broken", None, "is too", None]
    assert [choice.name for choice in rows[0].top] == ["y", "z"]
    assert rows[0].confidence == 0.5
    assert rows[1].confidence is None


def test_no_more_classes_than_there_are():
    (row,) = output.predictions([PredictedBatch(["a"], np.array([[0.2, 0.8]]), {})], ["x", "y"], top=7)
    assert row.top == (("y", 0.8), ("x", 0.2))


def test_a_tally_counts_as_predictions_pass():
    tally = Tally()
    passing = tally.count(ROWS)
    assert tally.images == 0
    assert next(passing) is ROWS[0]
    assert (tally.predicted, tally.failed) == (1, 0)
    assert list(passing) == [*ROWS[1:]]
    assert (tally.predicted, tally.failed, tally.images) == (2, 1, 3)
    assert tally.first == "'b, c\\n.png' cannot be decoded: \"nothing\""


# --- files ------------------------------------------------------------------------------------------------------------


def write(out, rows=ROWS, *, top=2, inputs=(), **more):
    output.write(iter(rows), Output(out, top=top, **more), inputs=inputs)


def test_csv(tmp_path):
    write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        "path,predicted,confidence,class_2,probability_2,error\n"
        "a.png,cat,0.75,dog,0.25,\n"
        '"b, c\n.png",,,,,"cannot be decoded: ""nothing"""\n'
        "ü.png,dog,1,cat,1e-07,\n"
    )
    write(tmp_path / "out.csv", ROWS[:1], top=1)
    assert (tmp_path / "out.csv").read_text().startswith("path,predicted,confidence,error\n")


def test_json_lines(tmp_path):
    write(tmp_path / "out.JSONL")
    first, second, third = map(json.loads, (tmp_path / "out.JSONL").read_text(encoding="utf-8").splitlines())
    assert first == {
        "path": "a.png",
        "predicted": "cat",
        "confidence": 0.75,
        "top": [{"class": "cat", "probability": 0.75}, {"class": "dog", "probability": 0.25}],
        "error": None,
    }
    assert second == {
        "path": "b, c\n.png",
        "predicted": None,
        "confidence": None,
        "top": None,
        "error": 'cannot be decoded: "nothing"',
    }
    assert third["path"] == "ü.png"
    assert third["confidence"] == 1.0


def test_parquet_has_the_columns_of_json_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "_ROWS", 2)  # so that three rows are written in two pieces
    write(tmp_path / "out.parquet")
    write(tmp_path / "out.jsonl")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.to_pylist() == [*map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
some_rows = st.lists(
    st.builds(lambda path, name, p: Prediction(path, (ClassProbability(name, p),), None), texts, texts, st.floats(0, 1))
    | st.builds(lambda path, error: Prediction(path, (), error), texts, texts),
    min_size=1,
)


@given(some_rows)
def test_what_was_written_can_be_read_whatever_the_names(rows):
    text, lines = io.StringIO(newline=""), io.StringIO(newline="")
    output.write_csv(rows, text, top=1)
    text.seek(0)
    for row, read in zip(rows, csv.DictReader(text), strict=True):
        assert (read["path"], read["predicted"], read["error"]) == (row.path, row.predicted or "", row.error or "")
        assert float(read["confidence"] or 0) == pytest.approx(row.confidence or 0, rel=1e-5)
    output.write_jsonl(rows, lines)
    records = [json.loads(line) for line in lines.getvalue().split("\n")[:-1]]
    assert [(record["path"], record["predicted"]) for record in records] == [(row.path, row.predicted) for row in rows]


def test_standard_output_is_utf_8_with_unix_line_ends(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", newline="\r\n"))
    write(None, ROWS[2:])
    write(None, ROWS[2:], as_json=True)
    header, row, record, nothing = raw.getvalue().decode().split("\n")
    assert header == "path,predicted,confidence,class_2,probability_2,error"
    assert row == "ü.png,dog,1,cat,1e-07,"
    assert json.loads(record)["path"] == "ü.png"
    assert nothing == ""


@pytest.mark.parametrize("ending", output.ENDINGS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_file_is_whole_or_as_it_was(tmp_path, ending, error):
    out = tmp_path / f"out{ending}"
    out.write_text("old")

    def broken():
        yield ROWS[0]
        assert out.read_text() == "old"
        raise error

    with pytest.raises(error):
        write(out, broken())
    assert out.read_text() == "old"
    assert [*tmp_path.iterdir()] == [out]
    write(out)
    assert out.read_bytes() != b"old"
    assert [*tmp_path.iterdir()] == [out]


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("out.xls", {}, ["out.xls; allowed: a file that ends in .csv, .jsonl or .parquet"]),
        ("out", {}, ["allowed: a file that ends in"]),
        ("no/out.csv", {}, ["no/out.csv, which cannot be written: No such file or directory"]),
        ("folder.csv", {}, ["folder.csv, which is a folder"]),
        ("out.csv", {"as_json": True}, ["out.csv, whose ending says how it is written"]),
        ("list.csv", {"inputs": ["-", "a.png", "list.csv"]}, ["list.csv, which is read as well"]),
    ],
)
def test_where_nothing_can_be_written_is_one_line(tmp_path, monkeypatch, name, more, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "list.csv").touch()
    with pytest.raises(ValueError, match=r"\Aout is ") as error:
        write(tmp_path / name, **more)
    one_line(error, *words)
    assert {path.name for path in tmp_path.iterdir()} == {"folder.csv", "list.csv"}
