"""Intervals against statsmodels, against what is worked out by hand, and against how often they hold the truth."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from longtail.metrics import Outcomes, bootstrap, summarise, table, wilson


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
    """Outcomes where `hits[c]` of `tests[c]` images are recognised, others predicted as the next class."""
    labels = np.repeat(np.arange(len(tests)), tests)
    rank = np.concatenate([np.arange(n) for n in tests])
    return predictions(labels, np.where(rank < np.array(hits)[labels], labels, (labels + 1) % len(tests)), len(tests))


def predictions(labels, predicted, classes):
    return Outcomes.of(np.eye(classes)[predicted], labels)


def all_of(tests):
    """All classes are few-shot."""
    nothing, everything = np.zeros(len(tests), bool), np.ones(len(tests), bool)
    return {"many": nothing, "medium": nothing, "few": everything}


def test_one_class_is_a_binomial():
    groups = all_of([200, 1]) | {"many": np.array([True, False])}
    found = bootstrap(outcomes([200, 1], [60, 1]), groups, resamples=20_000)
    expected = np.array(scipy.stats.binom(199, 0.3).interval(0.95)) / 199
    assert found["many"] == pytest.approx(tuple(expected), abs=0.006)


def test_the_mean_over_classes_is_as_uncertain_as_the_sum_of_its_variances():
    tests, hits = [40, 30, 50, 20], [20, 6, 45, 10]
    found = bootstrap(outcomes(tests, hits), all_of(tests), resamples=20_000)
    low, high = found["few"] or (0, 0)
    rates = np.array(hits) / tests
    error = np.sqrt((rates * (1 - rates) / (np.array(tests) - 1)).sum()) / 4
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.03)
    assert (high + low) / 2 == pytest.approx(rates.mean(), abs=0.005)
    assert found["balanced_accuracy"] == found["few"]


@pytest.mark.parametrize("images", [3, 4, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(images):
    """Also with few images a class, for which plain resampling gives intervals that are too narrow."""
    rng = np.random.default_rng(images)
    truth = rng.uniform(0.1, 0.9, 40)
    tests, held, trials = [images] * 40, 0, 300
    for trial in range(trials):
        hits = rng.binomial(images, truth)
        found = bootstrap(outcomes(tests, hits), all_of(tests), resamples=200, seed=trial)
        low, high = found["few"] or (0, 0)
        held += low <= truth.mean() <= high
    assert 0.91 <= held / trials <= 0.98


def test_draws_are_those_of_images_one_by_one():
    """Numbers of images with one outcome are drawn, which must not matter for macro F1 and top-1."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), [10, 20, 30, 40, 50])
    predicted = np.where(rng.random(150) < 0.5, labels, rng.integers(0, 5, 150))
    found = bootstrap(predictions(labels, predicted, 5), all_of([1] * 5), resamples=4000)
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
        found = bootstrap(outcomes([7, 5, 3], hits), all_of(hits))
        share = float(np.mean(np.array(hits) > 0))
        assert found["few"] == pytest.approx(wilson(share * 15, 15))
        assert found["top1"] == pytest.approx(wilson(sum(hits), 15))
    single = bootstrap(predictions(np.arange(20), np.arange(20) // 10 * 10, 20), all_of([1] * 20))
    assert single["balanced_accuracy"] == pytest.approx(wilson(2, 20))


def test_groups_without_images_have_none_and_resamples_can_be_left_out():
    some = outcomes([4, 0, 2], [2, 0, 1])
    groups = all_of([1] * 3) | {"many": np.array([True, True, False]), "medium": np.array([False, True, False])}
    found = bootstrap(some, groups)
    assert found["medium"] is None
    assert found["many"] is not None
    assert set(bootstrap(some, groups, resamples=0).values()) == {None}
    assert found.keys() == bootstrap(some, groups, resamples=0).keys()


def test_a_seed_is_the_same_again_and_the_order_of_images_does_not_matter():
    rng = np.random.default_rng(1)
    labels, predicted, order = rng.integers(0, 6, 90), rng.integers(0, 6, 90), rng.permutation(90)
    logits = np.eye(6)[predicted] + rng.normal(size=(90, 6)) / 9
    some, turned, groups = Outcomes.of(logits, labels), Outcomes.of(logits[order], labels[order]), all_of([1] * 6)
    one = bootstrap(some, groups, seed=4)
    assert {key: pytest.approx(interval) for key, interval in bootstrap(turned, groups, seed=4).items()} == one
    assert one != bootstrap(some, groups, seed=5)


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
    for metric in table.METRICS:
        value, interval = summary.figures[metric.key], summary.intervals[metric.key]
        assert interval is None or value is not None
        assert interval is not None or value is None or metric.interval in ("percentile", "basic")
        if interval is not None and value is not None:
            assert interval[0] <= value + 1e-9
            assert value - 1e-9 <= interval[1]
            assert metric.unit != "percent" or (interval[0] >= 0 and interval[1] <= 1)
    for each in summary.per_class:
        for value, interval in ((each.recall, each.recall_interval), (each.precision, each.precision_interval)):
            assert (interval is None) == (value is None)
            assert value is None or interval is None or interval[0] <= value <= interval[1]


def noisy(images, classes, seed):
    """Outcomes of a network that is right about half of the time, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), images)
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += 1.5
    return 2 * logits, labels


def test_means_over_images_are_as_uncertain_as_the_standard_error_of_a_stratified_sample():
    logits, labels = noisy(30, 8, 0)
    some = Outcomes.of(logits, labels, temperature=2.0)
    found = bootstrap(some, all_of([1] * 8), resamples=4000)
    for key, values in (("nll", some.losses), ("top5", (some.ranks < 5).astype(float))):
        variance = np.mean([values[labels == c].var(ddof=1) / 30 for c in range(8)]) / 8
        low, high = found[key] or (0, 0)
        assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.06), key
        assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.01), key


def test_every_metric_has_an_interval():
    logits, labels = noisy(30, 8, 0)
    counts = np.array([500, 300, 90, 80, 70, 10, 9, 8])
    summary = summarise(logits, labels, train_counts=counts, class_names=list("abcdefgh"), temperature=2.0)
    assert all(summary.intervals[metric.key] is not None for metric in table.METRICS)


def test_intervals_of_the_gap_hold_the_truth_as_often_as_they_say():
    rng, hits = np.random.default_rng(0), 0
    truth = np.array([0.9] * 5 + [0.4] * 5)
    groups = all_of(truth) | {"many": truth > 0.5, "few": truth < 0.5}
    for trial in range(100):
        found = bootstrap(outcomes([20] * 10, rng.binomial(20, truth)), groups, resamples=200, seed=trial)
        low, high = found["head_tail_gap"] or (0, 0)
        hits += low <= 0.5 <= high
    assert 0.9 <= hits / 100 <= 0.99


def test_intervals_of_the_calibration_error_hold_the_truth_about_as_often_as_they_say():
    """Resampling makes this error larger, so the interval is reflected: as percentiles it would miss the truth."""
    many, labels = noisy(20_000, 6, 1)
    gap = summarise(many, labels, train_counts=np.ones(6, int), class_names=list("abcdef"), resamples=0).ece
    rng, hits = np.random.default_rng(0), 0
    for trial in range(60):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), 40, replace=False) for c in range(6)])
        found = bootstrap(Outcomes.of(many[rows], labels[rows]), all_of([1] * 6), resamples=200, seed=trial)
        low, high = found["ece"] or (0, 0)
        hits += low <= gap <= high
    assert hits / 60 >= 0.85
