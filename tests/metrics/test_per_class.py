"""Recall, precision and F1 of classes, worked by hand."""

import numpy as np
import pytest

from longtail.metrics import per_class


def test_rates_of_a_confusion_matrix():
    matrix = per_class.confusion(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0]), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(per_class.recalls(matrix), [0.5, 1, 0, np.nan])
    assert per_class.macro_f1(matrix) == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)


def test_a_class_that_is_never_predicted_has_no_precision_and_an_f1_of_0():
    correct, true, predicted = np.array([0, 0]), np.array([1, 0]), np.array([0, 1])
    np.testing.assert_array_equal(per_class.ratios(correct, predicted), [np.nan, 0])
    np.testing.assert_array_equal(per_class.f1s(correct, true, predicted), [0, np.nan])
