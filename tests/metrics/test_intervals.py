"""Intervals against statsmodels, against what is worked out by hand, and against how often they hold the truth."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from longtail.metrics import bootstrap, summarise, wilson
from longtail.metrics.per_class import geometric_mean, harmonic_mean


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_statsmodels(case):
    successes, trials = case
    expected = proportion_confint(successes, trials, method="wilson")
    assert wilson(successes, trials) == pytest.approx(expected, abs=1e-12)


def test_wilson_at_its_edges():
    assert wilson(0, 0) is None
    for n in (1, 2, 10, 10_000):
        none, all_ = wilson(0, n), wilson(n, n)
        assert none and all_
        assert none[0] == 0.0 < none[1] < 1.0 == all_[1]
        assert none[1] == pytest.approx(1 - all_[0])
    assert wilson(0, 1) == pytest.approx((0.0, 0.793), abs=1e-3)


def outcomes(tests, hits):
    """Labels and predictions where `hits[c]` of `tests[c]` images are recognised, others taken for the next class."""
    labels = np.repeat(np.arange(len(tests)), tests)
    rank = np.concatenate([np.arange(n) for n in tests])
    return labels, np.where(rank < np.array(hits)[labels], labels, (labels + 1) % len(tests))


def all_of(tests):
    return {"group": np.ones(len(tests), bool)}


def test_one_class_is_a_binomial():
    labels, predicted = outcomes([200, 1], [60, 1])
    found = bootstrap(labels, predicted, {"first": np.array([True, False])}, resamples=20_000)
    expected = np.array(scipy.stats.binom(199, 0.3).interval(0.95)) / 199
    assert found["first"] == pytest.approx(tuple(expected), abs=0.006)


def test_the_mean_over_classes_is_as_uncertain_as_the_sum_of_its_variances():
    tests, hits = [40, 30, 50, 20], [20, 6, 45, 10]
    found = bootstrap(*outcomes(tests, hits), all_of(tests), resamples=20_000)
    low, high = found["group"] or (0, 0)
    rates = np.array(hits) / tests
    error = np.sqrt((rates * (1 - rates) / (np.array(tests) - 1)).sum()) / 4
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.03)
    assert (high + low) / 2 == pytest.approx(rates.mean(), abs=0.005)
    assert found["balanced_accuracy"] == found["group"]


@pytest.mark.parametrize("images", [3, 4, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(images):
    """Also with few images a class, for which plain resampling gives intervals that are too narrow."""
    rng = np.random.default_rng(images)
    truth = rng.uniform(0.1, 0.9, 40)
    tests, held, trials = [images] * 40, 0, 300
    for trial in range(trials):
        hits = rng.binomial(images, truth)
        found = bootstrap(*outcomes(tests, hits), all_of(tests), resamples=200, seed=trial)
        low, high = found["group"] or (0, 0)
        held += low <= truth.mean() <= high
    assert 0.91 <= held / trials <= 0.98


def test_draws_are_those_of_images_one_by_one():
    """Numbers of images with one outcome are drawn, which must not matter for macro F1 and top-1."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), [10, 20, 30, 40, 50])
    predicted = np.where(rng.random(150) < 0.5, labels, rng.integers(0, 5, 150))
    found = bootstrap(labels, predicted, all_of([1] * 5), resamples=4000)
    values = []
    for _ in range(4000):
        rows = [rng.choice(np.flatnonzero(labels == c), np.sum(labels == c) - 1) for c in range(5)]
        weight = np.concatenate([np.full(len(each), (len(each) + 1) / len(each)) for each in rows])
        chosen = np.concatenate(rows)
        square = np.zeros((5, 5))
        np.add.at(square, (labels[chosen], predicted[chosen]), weight)
        f1 = 2 * square.diagonal() / (square.sum(0) + square.sum(1))
        values.append((square.trace() / 150, f1.mean()))
    expected = np.percentile(values, [2.5, 97.5], axis=0)
    assert found["top1"] == pytest.approx(tuple(expected[:, 0]), abs=0.01)
    assert found["macro_f1"] == pytest.approx(tuple(expected[:, 1]), abs=0.01)


def test_where_nothing_varies_the_interval_is_wilsons():
    for hits in ([0, 0, 0], [7, 5, 3], [7, 0, 0]):
        labels, predicted = outcomes([7, 5, 3], hits)
        found = bootstrap(labels, predicted, all_of(hits))
        share = float(np.mean(np.array(hits) > 0))
        assert found["group"] == pytest.approx(wilson(share * 15, 15))
        assert found["top1"] == pytest.approx(wilson(sum(hits), 15))
    single = bootstrap(np.arange(20), np.arange(20) // 10 * 10, all_of([1] * 20))
    assert single["balanced_accuracy"] == pytest.approx(wilson(2, 20))


def test_groups_without_images_have_none_and_resamples_can_be_left_out():
    labels, predicted = outcomes([4, 0, 2], [2, 0, 1])
    groups = {"there": np.array([True, True, False]), "absent": np.array([False, True, False])}
    found = bootstrap(labels, predicted, groups)
    assert found["absent"] is None
    assert found["there"] is not None
    assert set(bootstrap(labels, predicted, groups, resamples=0).values()) == {None}
    assert found.keys() == bootstrap(labels, predicted, groups, resamples=0).keys()


def test_a_seed_is_the_same_again_and_the_order_of_images_does_not_matter():
    rng = np.random.default_rng(1)
    labels, predicted, order = rng.integers(0, 6, 90), rng.integers(0, 6, 90), rng.permutation(90)
    one = bootstrap(labels, predicted, all_of([1] * 6), seed=4)
    assert one == bootstrap(labels[order], predicted[order], all_of([1] * 6), seed=4)
    assert one != bootstrap(labels, predicted, all_of([1] * 6), seed=5)


@st.composite
def confused(draw):
    classes = draw(st.integers(1, 6))
    pairs = draw(st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=20))
    return np.array(pairs), classes


@given(confused())
def test_intervals_hold_what_was_measured(case):
    pairs, classes = case
    summary = summarise(
        np.eye(classes)[pairs[:, 1]],
        pairs[:, 0],
        train_counts=np.arange(classes) * 40,
        class_names=[str(c) for c in range(classes)],
        resamples=50,
    )
    for name, interval in summary.intervals.items():
        value = getattr(summary, name)
        assert (interval is None) == (value is None)
        if interval is not None:
            assert 0 <= interval[0] <= value + 1e-9
            assert value - 1e-9 <= interval[1] <= 1
    for each in summary.per_class:
        for value, interval in ((each.recall, each.recall_interval), (each.precision, each.precision_interval)):
            assert (interval is None) == (value is None)
            assert value is None or interval is None or interval[0] <= value <= interval[1]


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=10))
def test_means_equal_scipys(values):
    recalls = np.array(values)
    assert harmonic_mean(recalls) == pytest.approx(scipy.stats.hmean(recalls))
    assert geometric_mean(recalls) == pytest.approx(scipy.stats.gmean(recalls))
    assert harmonic_mean(np.append(recalls, 0.0)) == geometric_mean(np.append(recalls, 0.0)) == 0.0
