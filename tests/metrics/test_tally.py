"""Counts of weighted images: those of each image once, and those of images that count several times or not at all."""

import numpy as np
import pytest

from longtail.data.class_counts import Groups
from longtail.metrics import Outcomes, summarise, table, tally

COUNTS = np.array([500, 120, 60, 10, 3])
GROUPS = Groups().masks(COUNTS)


def some(images, *, seed=0):
    """Logits and labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(images, 5)) + 2 * np.eye(5)[labels := rng.integers(0, 5, images)], labels


def measured(outcomes, weights):
    sums = {key: own.T @ weights for key, own in table.columns(outcomes).items()}
    return table.measure(tally.count_weighted(outcomes, weights, GROUPS), sums)


@pytest.mark.parametrize("images", [1, 7, 300])
def test_images_that_count_once_give_the_summary(images):
    logits, labels = some(images)
    summary = summarise(logits, labels, train_counts=COUNTS, class_names=list("abcde"), resamples=0)
    for name, found in measured(Outcomes.of(logits, labels), np.ones((images, 2))).items():
        value = summary.figures[name]
        assert found == pytest.approx([np.nan if value is None else value] * 2, nan_ok=True), name


def test_an_image_that_counts_twice_is_like_two_and_one_of_weight_0_like_none():
    logits, labels = some(20)
    weights = np.random.default_rng(0).integers(0, 3, 20)
    rows = np.repeat(np.arange(20), weights)
    one = measured(Outcomes.of(logits, labels), weights[:, None].astype(float))
    other = measured(Outcomes.of(logits[rows], labels[rows]), np.ones((len(rows), 1)))
    for name in one:
        assert one[name] == pytest.approx(other[name], nan_ok=True), name


def test_a_group_without_images_in_a_weighting_is_unknown_there():
    outcomes = Outcomes.of(np.eye(5)[[0, 4]], np.array([0, 4]))
    found = measured(outcomes, np.array([[1.0, 2.0], [1.0, 0.0]]))
    assert found["few"] == pytest.approx([1, np.nan], nan_ok=True)
    assert np.isnan(found["medium"]).all()
    assert found["balanced_accuracy"].tolist() == [1, 1]
