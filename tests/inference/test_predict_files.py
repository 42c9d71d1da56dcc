"""Predictions of files: all rows or none, and a tally of them."""

import csv

import numpy as np
import pytest

from longtail.inference.inputs import Queries, Query
from longtail.inference.output import Output
from longtail.inference.predict_files import predict_files
from support import fake_datasets, untrained


def queries(number, *, paths=()):
    """Images, every third of which is broken."""
    encoded = [fake_datasets.encode(fake_datasets.picture(n % 3, seed=n, height=16, width=16)) for n in range(number)]
    each = (Query(f"{n}.png", file if n % 3 < 2 else b"") for n, file in enumerate(encoded))
    return Queries(each, number, paths)


def test_rows_are_written_and_counted(tmp_path):
    tally = predict_files(untrained.model(), queries(4), Output(tmp_path / "out.csv", top=100), workers=0)
    rows = [*csv.DictReader((tmp_path / "out.csv").read_text().splitlines())]
    assert [row["path"] for row in rows] == [f"{n}.png" for n in range(4)]
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]
    assert [*rows[0]][-3:] == ["class_3", "probability_3", "error"], "as many classes as there are"
    assert (tally.predicted, tally.failed, tally.estimate) == (3, 1, None)
    assert tally.first.startswith("2.png ")


def test_no_image_is_a_mistake_and_the_file_stays(tmp_path):
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(ValueError, match="no image was predicted; none was named"):
        predict_files(untrained.model(), queries(0), Output(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text() == "old"


def test_nothing_is_predicted_for_a_file_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").touch()
    asked = queries(3, paths=("list.csv",))
    model = untrained.model(assumed=(0.5, 0.3, 0.2))
    with pytest.raises(ValueError, match=r"list\.csv, which is read as well"):
        predict_files(model, asked, Output(tmp_path / "list.csv"), prior="estimate")
    assert next(asked.each).name == "0.png"


def test_an_estimate_comes_with_the_tally(tmp_path):
    model = untrained.model(assumed=(0.5, 0.3, 0.2))
    tally = predict_files(model, queries(5), Output(tmp_path / "out.jsonl"), prior="estimate", workers=0)
    assert tally.estimate is not None
    np.testing.assert_allclose(tally.estimate.prior.sum(), 1)
