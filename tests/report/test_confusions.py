"""Confusions of groups, of classes and of the tail."""

from dataclasses import replace

import numpy as np

from longtail.metrics import Outcomes
from longtail.report import confusions


def judged(run, labels, predicted):
    """The run, with other predictions."""
    outcomes = Outcomes.of(np.eye(10)[predicted], np.array(labels))
    return replace(run, outcomes=outcomes, ids=[""] * len(labels))


def test_groups_say_where_wrong_answers_go(read):
    square = confusions.groups(judged(read, [9, 9, 9, 9, 0], [9, 0, 0, 8, 0]))
    assert square.down == ("many", "few"), "no image of a medium class was measured"
    assert [words for _, words in square.rows[1]] == ["1 of 4", "2 of 4", "0 of 4", "1 of 4"]
    assert [share for share, _ in square.rows[0]] == [1, 0, 0, 0]


def test_matrix_is_the_confusion_matrix(read):
    square = confusions.matrix(read)
    assert square
    assert square.down == tuple(f"class {c:04}" for c in range(10))
    diagonal = [int(square.rows[c][c][1].split()[0]) for c in range(10)]
    assert diagonal == [each.correct for each in read.summary.per_class]
