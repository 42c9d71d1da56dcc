"""Calibration: bins that add up, and a temperature that is found again."""

import numpy as np
import pytest
import scipy.optimize
import sklearn.calibration
import sklearn.metrics

from longtail import metrics
from longtail.metrics import Bin


def calibrated(images=4000, classes=8, *, seed=0):
    """Logits that mean what they say: labels are drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((images, classes))
    probabilities = metrics.softmax(logits)
    labels = (probabilities.cumsum(1) < rng.random((images, 1))).sum(1)
    return logits, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("temperature", [0.25, 0.8, 1.0, 3.0, 7.0])
def test_the_temperature_is_found_again(temperature):
    logits, labels = calibrated()
    assert metrics.fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_the_best_by_another_search():
    logits, labels = calibrated(seed=1)
    found = metrics.fit_temperature(5 * logits.astype(np.float32), labels)

    def loss(t):
        return sklearn.metrics.log_loss(labels, metrics.softmax(5 * logits / t), labels=np.arange(8))

    best = scipy.optimize.golden(loss, brack=(1.0, 9.0))
    assert found == pytest.approx(best, rel=1e-3)


def test_temperatures_stay_in_their_range():
    logits, labels = calibrated(images=200)
    assert metrics.fit_temperature(logits * 1000, labels) == pytest.approx(10, rel=1e-3)
    assert metrics.fit_temperature(logits / 1000, labels) == pytest.approx(0.1, rel=1e-3)
    assert metrics.fit_temperature(np.eye(3), np.arange(3)) == 1.0, "all are right: nothing says how sure to be"
    assert metrics.fit_temperature(np.array([[0.0, 1.0]]), np.array([0])) == pytest.approx(10, rel=1e-3)
    with pytest.raises(ValueError, match="labels has no image"):
        metrics.fit_temperature(np.zeros((0, 3)), np.zeros(0, np.int64))


def test_huge_logits_have_a_temperature():
    logits = np.array([[3e38, -3e38], [3e38, -3e38]], dtype=np.float32)
    assert metrics.fit_temperature(logits, np.array([0, 1])) == pytest.approx(10, rel=1e-3)


def summarised(logits, labels, **changes):
    classes = logits.shape[1]
    settings = {"train_counts": np.arange(classes) * 30, "class_names": [str(c) for c in range(classes)]}
    return metrics.summarise(logits, labels, **(settings | changes))


def test_a_temperature_changes_confidence_and_nothing_else():
    logits, labels = calibrated()
    before, after = summarised(4 * logits, labels), summarised(4 * logits, labels, temperature=4.0)
    assert (before.temperature, before.ece_calibrated) == (None, None)
    assert after.temperature == 4.0
    assert after.ece_calibrated == pytest.approx(
        metrics.expected_calibration_error(metrics.softmax(logits), labels), abs=1e-9
    )
    assert after.ece_calibrated is not None
    assert after.ece_calibrated < 0.05 < 0.2 < after.ece
    changed = {"temperature": 4.0, "ece_calibrated": after.ece_calibrated}
    for name, interval in before.intervals.items():
        assert name == "ece_calibrated" or after.intervals[name] == pytest.approx(interval), name
    assert before.to_dict() | changed | {"intervals": after.to_dict()["intervals"]} == after.to_dict()


def test_bins_are_those_of_scikit_learn():
    logits, labels = calibrated(images=500)
    probabilities = metrics.softmax(logits)
    confidences, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = metrics.reliability(confidences, right, bins=10)
    accuracy, confidence = sklearn.calibration.calibration_curve(right, confidences, n_bins=10)
    full = [each for each in bins if each.images]
    assert [each.accuracy for each in full] == pytest.approx(accuracy)
    assert [each.confidence for each in full] == pytest.approx(confidence)


def test_bins_add_up_to_the_error_and_to_the_groups():
    logits, labels = calibrated(images=700)
    summary = summarised(logits, labels)
    assert list(summary.reliability) == ["all", "many", "medium", "few"]
    every = summary.reliability["all"]
    assert len(every) == 15
    assert sum(each.images for each in every) == 700
    gaps = [each.images * abs((each.accuracy or 0) - (each.confidence or 0)) for each in every]
    assert sum(gaps) / 700 == pytest.approx(summary.ece)
    for n, each in enumerate(every):
        groups = [summary.reliability[group][n] for group in ("many", "medium", "few")]
        assert sum(group.images for group in groups) == each.images
        hits = sum(group.images * (group.accuracy or 0) for group in groups)
        assert hits == pytest.approx(each.images * (each.accuracy or 0))


def test_groups_without_images_have_empty_bins():
    summary = summarised(np.eye(3), np.array([0, 0, 0]), train_counts=np.array([500, 50, 5]))
    assert set(summary.reliability["few"]) == {Bin(0, None, None)}
    assert metrics.reliability(np.array([]), np.array([], bool), bins=2) == (Bin(0, None, None),) * 2
    assert metrics.reliability(np.array([1.0 + 1e-12]), np.array([True]), bins=2)[1].images == 1
