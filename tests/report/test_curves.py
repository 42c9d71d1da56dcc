"""Curves are the log."""

from dataclasses import replace

from longtail.report import curves
from longtail.report import run as run_reading


def test_curves_are_the_log(read):
    panels = {panel.key: panel for panel in curves.panels([read])}
    assert [*panels] == ["groups", "losses", "alpha", "lr"]
    assert [series.name for series in panels["groups"].series] == ["top-1", "many", "medium", "few"]
    assert [series.name for series in panels["losses"].series] == [
        "loss, what is minimised",
        "contrast",
        "cross-entropy",
    ]
    assert panels["alpha"].series[0].last == "0.05"
    assert panels["losses"].zero is not None, "contrast goes below 0"
    assert panels["groups"].stops[-1][0] == 1000
    assert panels["groups"].stops[0][1].startswith("epoch 1\ntop-1: ")
    assert panels["lr"].series[0].path.startswith("M50 "), "the first of 20 epochs"


def test_long_logs_are_drawn_by_means(read):
    steps = [{"step": n + 1, "epoch": 0, "loss": float(n % 2), "lr": 0.1} for n in range(6000)]
    panels = {panel.key: panel for panel in curves.panels([replace(read, steps=steps, evaluations=[])])}
    loss = panels["losses"].series[0]
    assert loss.path.count("L") == 299
    assert loss.last == "0.5"
    assert "groups" not in panels


def test_numbers_that_are_none_do_not_break_a_curve(read):
    steps = [{"step": n + 1, "loss": float("nan") if n == 1 else 1.0, "lr": 0.0} for n in range(4)]
    panels = {panel.key: panel for panel in curves.panels([replace(read, steps=steps, evaluations=[])])}
    assert panels["losses"].series[0].path.count("L") == 2
    assert curves.panels([replace(read, steps=[], evaluations=[])]) == []


def test_several_runs_share_panels(run, other):
    panels = {panel.key: panel for panel in curves.panels(run_reading.read([run, other]))}
    assert [*panels] == ["top1", "many", "medium", "few", "losses", "alpha", "lr"]
    assert [series.kind for series in panels["few"].series] == ["run0", "run1"]
