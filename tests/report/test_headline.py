"""The headline: values, intervals, notes and differences."""

import re
from dataclasses import replace

from longtail.recipe import Published
from longtail.report import difference, headline
from longtail.report import run as run_reading
from longtail.report.difference import Verdicts
from longtail.text import DASH, percentage_points

NONE = Verdicts(())


def test_headline_is_the_summary(read):
    rows = {row.name: row for row in headline.rows([read], NONE)}
    s = read.summary
    assert [*rows] == [
        *("Top-1", "Top-5", "Balanced", "Many", "Medium", "Few", "Head minus tail", "Macro F1"),
        *("Worst class", "Harmonic mean", "Geometric mean", "ECE", "NLL"),
    ]
    assert rows["Top-1"].cells[0].value == f"{100 * s.top1:.1f} %"
    assert rows["Few"].cells[0].interval == s.intervals["few"]
    assert rows["Few"].cells[0].note == "3 classes"
    assert rows["Worst class"].cells[0].note.startswith(f"{s.worst(1)[0].name}: ")
    low, high = s.intervals["nll"]
    assert (rows["NLL"].cells[0].value, rows["NLL"].cells[0].between) == (f"{s.nll:.3f}", f"{low:.3f} to {high:.3f}")
    assert not any(row.changes or row.best for row in rows.values())


def test_a_figure_that_no_run_has_is_left_out(read):
    figures = {**read.summary.figures, "top5": None, "few": None, "head_tail_gap": None}
    few = replace(read, summary=replace(read.summary, figures=figures))
    assert {"Top-5", "Few", "Head minus tail"}.isdisjoint(row.name for row in headline.rows([few], NONE))


def test_published_figures_stand_beside_those_of_the_test_split_only(read):
    published = read.settings.model_copy(update={"published": Published(top1=0.9, source="a paper")})
    noted = {row.name: row.cells[0].note for row in headline.rows([replace(read, settings=published)], NONE)}
    assert noted["Top-1"] == "published: 90.0 %"
    validated = replace(read, settings=published, record=read.record.model_copy(update={"split": "validation"}))
    assert headline.rows([validated], NONE)[0].cells[0].note == ""


def test_classes_that_cannot_be_measured_are_counted(read):
    half = replace(read.summary, classes_measured=7, group_measured={**read.summary.group_measured, "few": 1})
    rows = {row.name: row for row in headline.rows([replace(read, summary=half)], NONE)}
    assert rows["Balanced"].words == "mean recall of the 7 of 10 classes that have images"
    assert rows["Few"].cells[0].note == "1 of 3 classes"


def test_an_old_run_has_dashes_where_it_had_no_intervals(read):
    old = replace(read, summary=replace(read.summary, intervals=dict.fromkeys(read.summary.intervals)))
    assert {row.cells[0].between for row in headline.rows([old], NONE)} == {DASH}


def test_differences_stand_beside_the_values(run, other):
    runs = run_reading.read([run, other])
    rows = {row.name: row for row in headline.rows(runs, difference.verdicts(runs))}
    change = rows["Top-1"].changes[0]
    before, after = (each.summary.top1 for each in runs)
    assert change is not None and change.value == percentage_points(after - before)
    assert re.fullmatch(r"\S+ to \S+", change.between)
    assert rows["Top-1"].best == (int(after > before),)
    worst = rows["Worst class"].changes[0]
    assert worst is not None and worst.between == "", "the worst of many classes is not tested"
