"""Exhibits: which rows are chosen, from cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.runs import examples

MASKS = {"many": np.array([True, False, False]), "medium": np.zeros(3, bool), "few": np.array([False, True, True])}
LABELS = np.array([0, 0, 1, 1, 1, 2, 2])
PREDICTED = np.array([0, 1, 0, 0, 1, 1, 0])
SURE = np.array([0.9, 0.8, 0.4, 0.7, 0.5, 0.6, 0.95])


def test_most_confident_mistakes_come_first():
    assert examples.choose(LABELS, PREDICTED, SURE, MASKS).mistakes == (6, 1, 3, 5, 2)


def test_confusions_are_those_of_the_tail_the_most_frequent_first():
    chosen = examples.choose(LABELS, PREDICTED, SURE, MASKS)
    assert chosen.tail == "few"
    assert [(pair.true, pair.taken, pair.images, pair.of) for pair in chosen.pairs] == [
        (1, 0, 2, 3),  # twice
        (2, 0, 1, 2),
        (2, 1, 1, 2),
    ]
    assert chosen.pairs[0].rows == (3, 2), "most confident first"
    assert [pair.example for pair in chosen.pairs] == [0, 0, 4]
    assert chosen.pictured == (0, 1, 2, 3, 4, 5, 6)


def test_a_class_that_is_never_recognised_has_no_example():
    chosen = examples.choose(np.array([1, 0]), np.array([0, 1]), np.ones(2), MASKS)
    assert [pair.example for pair in chosen.pairs] == [None]


@pytest.mark.parametrize(("label", "tail"), [(0, "many"), (2, "few")])
def test_the_tail_is_the_rarest_group_that_was_measured(label, tail):
    labels = np.full(4, label)
    chosen = examples.choose(labels, labels, np.ones(4), MASKS)
    assert (chosen.tail, chosen.pairs, chosen.mistakes, chosen.pictured) == (tail, (), (), ())


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array), st.integers(1, 90))
def test_sample_takes_classes_alike(labels, most):
    rows = examples.sample(labels, most=most)
    assert len(rows) == min(most, len(labels)) == len({*rows.tolist()})
    assert (np.diff(rows) > 0).all()
    taken, each = np.bincount(labels[rows], minlength=7), np.bincount(labels, minlength=7)
    cut = taken < each
    if cut.any():  # a class that still has images has no fewer on the sample than any other, but for the last turn
        assert taken[cut].min() >= taken.max() - 1
    np.testing.assert_array_equal(rows, examples.sample(labels, most=most))
