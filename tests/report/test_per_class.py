"""Classes on a chart and in a table."""

import json
from dataclasses import replace

import numpy as np

from longtail.metrics import Outcomes
from longtail.report import per_class
from longtail.report import run as run_reading


def judged(run, labels, predicted):
    """The run, with other predictions."""
    outcomes = Outcomes.of(np.eye(10)[predicted], np.array(labels))
    return replace(run, outcomes=outcomes, ids=[""] * len(labels))


def test_every_class_stands_at_its_count_and_recall(read):
    chart = per_class.chart([read])
    results = read.summary.per_class
    assert np.all(np.diff(chart.x[0]) < 0), "classes are made with falling counts"
    heights = np.array(chart.y[0], float)
    recalls = np.array([each.recall for each in results])
    np.testing.assert_allclose(np.polyval(np.polyfit(recalls, heights, 1), recalls), heights, atol=1)
    assert sum(mark.path.count("M") for mark in chart.marks) == 10
    assert {mark.kind for mark in chart.marks} == {"many", "medium", "few"}
    assert [words for words, _ in chart.bounds] == ["few < 20", "many > 100"]
    assert sum(path.count("M") for _, path in chart.whiskers) == 10


def test_classes_in_one_place_are_one_larger_point(read):
    result = read.summary.per_class[0]
    crowd = replace(read.summary, per_class=(result,) * 9 + (read.summary.per_class[9],))
    masks = {group: np.array([group == "many"] * 9 + [group == "few"]) for group in run_reading.GROUPS}
    chart = per_class.chart([replace(read, summary=crowd, masks=masks)])
    assert sorted((mark.kind, mark.size) for mark in chart.marks) == [("few", 8.0), ("many", 24.0)]


def test_a_class_without_images_has_no_point(read):
    result = replace(read.summary.per_class[3], recall=None, recall_interval=None, test_count=0)
    absent = replace(read.summary, per_class=(*read.summary.per_class[:3], result, *read.summary.per_class[4:]))
    chart = per_class.chart([replace(read, summary=absent)])
    assert chart.y[0][3] is None
    assert sum(mark.path.count("M") for mark in chart.marks) == 9


def test_table_says_what_a_class_is_predicted_as(read):
    row = per_class.table([judged(read, [0, 0, 0, 1, 2], [1, 2, 2, 1, 0])])["runs"][0]
    assert row["taken"][:3] == [2, None, 0]
    assert row["times"][:3] == [2, None, 1]
    json.dumps(row, allow_nan=False)
