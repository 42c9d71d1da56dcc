"""The table of metrics: that its rows are right, and that one more row is all that another metric takes."""

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from longtail import recipe
from longtail.cli import output
from longtail.compare import compare, runner, tables
from longtail.metrics import METRICS, Metric, Outcomes, Summary, summarise, table, tally
from longtail.report import model_card, run
from longtail.report.difference import Verdicts
from longtail.report.headline import rows
from longtail.runs import records
from longtail.runs.folder import RunDir
from longtail.text import DASH
from longtail.training.log import Log
from support import fake_runs

# All that somebody writes who adds a metric.
MEDIAN = Metric(
    "median_recall",
    "median",
    "recall that half of the classes reach",
    "higher",
    lambda tally: np.nanmedian(np.where(tally.measured, tally.recalls, np.nan), axis=0),
)


def test_adding_a_metric_takes_one_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table, "METRICS", (*METRICS, MEDIAN))
    planned = runner.plan(["digits-lt/ce", "digits-lt/hybrid-psc"], [0], tmp_path)
    for training, skill in zip(planned, (1.0, 2.0), strict=True):
        fake_runs.write(training.out, method=training.recipe.partition("/")[2], skill=skill)
    opened = RunDir(planned[0].out)

    summary = opened.read_summary()
    value, interval = summary.figures["median_recall"], summary.intervals["median_recall"]
    recalls = [each.recall for each in summary.per_class if each.recall is not None]
    assert value is not None and value == np.median(recalls)
    assert interval is not None and interval[0] <= value <= interval[1]
    assert json.loads(opened.summary().read_text())["median_recall"] == value

    log = Log(opened, 10**6, tensorboard=False)
    log.evaluated(10**6, 0, "test", summary)
    assert [*opened.read_log()][-1]["median_recall"] == value

    read = run.read([training.out for training in planned])
    (row,) = (each for each in rows(read, Verdicts(())) if each.name == "Median")
    assert row.cells[0].value == f"{100 * value:.1f} %" and row.cells[0].between
    assert f"| median | {100 * value:.1f} % |" in model_card.render(_with_model(opened))

    found = compare.read(planned)
    assert found.values["ce"]["median_recall"] == [value]
    assert "median_recall" in {pair.metric for pair in found.pairs}
    assert "median" in tables.means(found)[0] and "| median |" in tables.to_markdown(found, [])
    output.print_summary(summary, read[0].settings, opened.path, as_json=False, split="test")
    assert "\nmedian " in capsys.readouterr().out


def _with_model(opened):
    """What a card needs beside what a report needs."""
    settings = recipe.load(str(opened.recipe))
    pixels = records.Preprocessing(mean=settings.augment.mean, std=settings.augment.std, centre_crop=None)
    records.ModelFile(
        network=settings.network, head=settings.head, class_names=("a",), train_counts=(1,), preprocessing=pixels
    ).write(opened.model)
    environment = {"device": "cpu", "gpu": None, "processor": "x", "cores": 1, "devices": 1, "resumed": []}
    more = {"started": "2026-01-02", "commit": None}
    records.write_json(opened.environment, records.read_json(opened.environment) | environment | more)
    return opened


def test_a_run_from_before_a_metric_has_a_dash(tmp_path, monkeypatch):
    path = fake_runs.write(tmp_path / "run").path
    monkeypatch.setattr(table, "METRICS", (*METRICS, MEDIAN))
    old = RunDir(path).read_summary()
    assert old.figures["median_recall"] is None
    new = fake_runs.write(tmp_path / "new", method="ce").path
    (row,) = (each for each in rows(run.read([path, new]), Verdicts(())) if each.name == "Median")
    assert (row.cells[0].value, row.cells[0].between, row.changes) == (DASH, DASH, (None,))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
def test_every_row_is_whole(metric):
    summary = summarise(np.eye(6), np.arange(6), train_counts=np.arange(6), class_names=list("abcdef"), resamples=0)
    assert metric.title and summary.meaning(metric)
    assert "{" not in summary.meaning(metric)
    assert metric.key in Summary.__dict__, "the usual ones are attributes"
    assert getattr(summary, metric.key) == summary.figures[metric.key]


def test_the_best_is_that_of_the_right_direction():
    by_key = {metric.key: metric for metric in METRICS}
    assert by_key["top1"].best([0.4, 0.5, None]) == (1,)
    assert by_key["ece"].best([0.4, 0.5, 0.4]) == (0, 2)
    assert by_key["nll"].best([0.4, 0.5]) == (0,)
    assert by_key["head_tail_gap"].best([0.4, 0.5]) == ()
    assert by_key["top1"].best([0.4, 0.4]) == by_key["top1"].best([None, None]) == by_key["top1"].best([0.4]) == ()


@given(st.lists(st.integers(0, 8), min_size=1, max_size=10))
def test_means_of_recalls_are_scipys(hits):
    labels = np.repeat(np.arange(len(hits)), 8)
    predicted = np.where(np.tile(np.arange(8), len(hits)) < np.array(hits)[labels], labels, (labels + 1) % len(hits))
    outcomes, recalls = Outcomes.of(np.eye(len(hits))[predicted], labels), np.array(hits) / 8
    if len(hits) == 1:
        recalls = np.ones(1)  # there is no other class
    every = np.ones(len(hits), bool)
    counted = tally.count(outcomes, {"many": every, "medium": every, "few": every})
    found = table.measure(counted, {})
    assert found["hmean_recall"] == pytest.approx([scipy.stats.hmean(recalls)])
    with np.errstate(divide="ignore"):
        assert found["gmean_recall"] == pytest.approx([scipy.stats.gmean(recalls)])
    assert found["balanced_accuracy"] == pytest.approx([recalls.mean()])
    assert found["head_tail_gap"] == pytest.approx([0.0])
