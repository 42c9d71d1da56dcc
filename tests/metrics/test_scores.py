"""Probabilities, ranks and likelihoods of logits, worked by hand."""

import numpy as np
import pytest

from longtail.metrics import scores

PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]])


def test_softmax_undoes_the_logarithm():
    assert scores.softmax(np.log(PROBABILITIES)) == pytest.approx(PROBABILITIES)


def test_ranks_count_higher_logits_and_equal_ones_of_lower_classes():
    assert scores.ranks(PROBABILITIES, np.array([2, 1])).tolist() == [2, 1]
    assert scores.ranks(PROBABILITIES, np.array([0, 2])).tolist() == [0, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_confidences_and_losses_are_those_of_the_softmax(temperature):
    labels = np.array([1, 0])
    confidences, losses = scores.confidences_and_losses(np.log(PROBABILITIES), labels, temperature=temperature)
    expected = scores.softmax(np.log(PROBABILITIES) / temperature)
    assert confidences == pytest.approx(expected.max(1))
    assert losses == pytest.approx(-np.log(expected[[0, 1], labels]))
