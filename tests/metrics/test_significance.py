"""Tests of differences against scipy, statsmodels and numbers worked by hand, and at their edges."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from longtail.data.class_counts import Groups
from longtail.metrics import Outcomes, significance
from longtail.metrics.significance import Method

COUNTS = np.array([500, 120, 60, 10, 3])
GROUPS = Groups().masks(COUNTS)


def answers(seed: int, *, images: int = 300, seeds: int = 1, skill: float = 1.0) -> list[Outcomes]:
    """Outcomes of some seeds about the same labels, whatever the seed."""
    labels = np.random.default_rng(0).integers(0, 5, images)
    logits = np.random.default_rng(seed).normal(size=(seeds, images, 5)).astype(np.float32)
    logits[:, np.arange(images), labels] += skill
    return [Outcomes.of(each, labels) for each in logits]


def right_or_wrong(*right: list[int]) -> list[Outcomes]:
    """Images of class 0, each answered rightly (1) or not (0), one list a seed."""
    labels = np.zeros(len(right[0]), np.int64)
    return [Outcomes.of(np.eye(5)[1 - np.array(each)], labels) for each in right]


# --- over seeds -------------------------------------------------------------------------------------------------------


def test_spread_is_scipys_interval() -> None:
    values = [0.41, 0.43, 0.40, 0.47]
    found = significance.spread(values)
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), stats.tstd(values)))
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_spread_of_one_seed_says_nothing_about_chance() -> None:
    assert significance.spread([0.4]) == (0.4, None, None, None)


def test_spread_of_equal_results_is_a_point() -> None:
    assert significance.spread([0.5, 0.5]) == (0.5, 0.0, 0.5, 0.5)


def test_spread_by_hand() -> None:
    # sd is 0.01 * sqrt(2), and the interval of two seeds is 12.706 times 0.01 to either side.
    found = significance.spread([0.40, 0.42])
    assert found == pytest.approx((0.41, 0.01 * math.sqrt(2), 0.41 - 0.12706, 0.41 + 0.12706), abs=1e-5)


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_over_seeds_is_scipys_paired_t_test(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    one, other = rng.normal(0.5, 0.01, seeds), rng.normal(0.49, 0.01, seeds)
    found, wanted = significance.over_seeds(one.tolist(), other.tolist()), stats.ttest_rel(one, other)
    interval = wanted.confidence_interval(0.95)
    assert found == pytest.approx((interval.low, interval.high, wanted.pvalue))
    turned = significance.over_seeds(other.tolist(), one.tolist())
    assert turned == pytest.approx((-interval.high, -interval.low, wanted.pvalue))


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_are_not_tested(seeds: int) -> None:
    assert significance.over_seeds([0.9] * seeds, [0.1] * seeds) is None


def test_differences_without_spread() -> None:
    assert significance.over_seeds([0.4, 0.5, 0.6], [0.4, 0.5, 0.6]) == (0, 0, 1)
    found = significance.over_seeds([0.4, 0.5, 0.6], [0.3, 0.4, 0.5])
    assert found == pytest.approx((0.1, 0.1, 0.0))


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_detectable_is_where_p_becomes_5_percent(seeds: int) -> None:
    differences = np.random.default_rng(0).normal(size=seeds)
    differences = (differences - differences.mean()) / differences.std(ddof=1) + significance.detectable(seeds)
    wanted: Any = stats.ttest_1samp(differences, 0)
    assert wanted.pvalue == pytest.approx(0.05)


# --- over images ------------------------------------------------------------------------------------------------------


def difference(
    one: list[Outcomes], other: list[Outcomes], name: str = "top1", *, seed: int = 0
) -> significance.Difference:
    first, second = (significance.resample(each, GROUPS, seed=seed)[name] for each in (one, other))
    found = significance.over_images(first, second)
    assert found is not None
    return found


def exact_p(better: int, worse: int) -> float:
    """McNemar's exact test: images that only one of the two recognises."""
    found: Any = mcnemar([[0, better], [worse, 0]], exact=True)
    return found.pvalue


@pytest.mark.parametrize(("better", "worse"), [(30, 10), (22, 18), (40, 9)])
def test_with_one_seed_it_agrees_with_mcnemar(better: int, worse: int) -> None:
    one = right_or_wrong([1] * better + [0] * worse + [1] * (200 - better - worse))
    other = right_or_wrong([0] * better + [1] * worse + [1] * (200 - better - worse))
    found = difference(one, other)
    exact = exact_p(better, worse)
    mid = exact - stats.binom.pmf(min(better, worse), better + worse, 0.5)  # the exact one errs towards 1
    assert mid - 0.03 < found.p < exact + 0.03
    assert (found.low + found.high) / 2 == pytest.approx((better - worse) / 200, abs=0.01)
    sd = math.sqrt(better + worse - (better - worse) ** 2 / 200) / 200
    assert found.high - found.low == pytest.approx(2 * 1.96 * sd, rel=0.1)


def test_copies_of_one_seed_are_no_new_evidence() -> None:
    """McNemar's test of all answers, as if each were about another image, would make a finding of chance."""
    one, other = [1] * 14 + [0] * 6 + [1] * 80, [0] * 14 + [1] * 6 + [1] * 80
    once = difference(right_or_wrong(one), right_or_wrong(other))
    five_times = difference(right_or_wrong(*[one] * 5), right_or_wrong(*[other] * 5))
    assert five_times == pytest.approx(once)
    assert once.p > 0.05 > exact_p(5 * 14, 5 * 6)


@pytest.mark.parametrize("name", ["top1", "balanced_accuracy", "macro_f1", "ece", "few"])
def test_equal_answers_do_not_differ(name: str) -> None:
    one = answers(1, seeds=2)
    assert difference(one, one, name) == (0, 0, 1)


@pytest.mark.parametrize("name", ["top1", "balanced_accuracy", "macro_f1", "many", "medium", "few"])
def test_a_better_method_is_found_better_and_the_other_one_worse(name: str) -> None:
    one = answers(1, seeds=2, skill=2.5)
    other = answers(2, seeds=2, skill=1.0)
    found, turned = difference(one, other, name), difference(other, one, name)
    assert 0 < found.low < found.high and found.p < 0.01
    assert turned == pytest.approx((-found.high, -found.low, found.p))


def test_the_false_alarms_are_as_many_as_promised() -> None:
    """Of 200 pairs of equally good methods, about one in twenty looks different."""
    alarms = 0
    for seed in range(200):
        one, other = (answers(1000 + 2 * seed + each, images=150) for each in (0, 1))
        first, second = (significance.resample(each, GROUPS, seed=seed, resamples=300)["top1"] for each in (one, other))
        found = significance.over_images(first, second)
        assert found is not None
        alarms += found.p < 0.05
    assert 2 <= alarms <= 20


def test_the_same_seed_gives_the_same_and_another_one_about_the_same() -> None:
    one, other = answers(1), answers(2)
    assert difference(one, other) == difference(one, other)
    assert difference(one, other) != difference(one, other, seed=1)
    assert tuple(difference(one, other)) == pytest.approx(tuple(difference(one, other, seed=1)), abs=0.1)


def test_where_nothing_was_measured_there_is_no_test() -> None:
    assert significance.over_images(np.full(3, math.nan), np.full(3, math.nan)) is None


# --- several tests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ps", [[], [0.2], [0.01, 0.02, 0.03], [0.04, 0.01, 0.01, 0.9], [1.0, 1.0, 0.0]])
def test_holm_is_that_of_statsmodels(ps: list[float]) -> None:
    corrected: Any = multipletests(ps, method="holm")[1] if ps else []
    assert significance.holm(ps) == pytest.approx([*corrected])


# --- all pairs --------------------------------------------------------------------------------------------------------


def method(name: str, outcomes: list[Outcomes], groups: dict[str, np.ndarray] = GROUPS) -> Method:
    values = {"top1": [float(each.right.mean()) for each in outcomes], "few": [0.5] * len(outcomes)}
    return Method(name, values, outcomes, groups)


def test_later_methods_are_compared_with_earlier_ones_and_corrected_together() -> None:
    three = [method("a", answers(1)), method("b", answers(2, skill=1.3)), method("c", answers(3, skill=2.0))]
    pairs = [pair for pair in significance.compare(three) if pair.metric == "top1"]
    assert [(pair.one, pair.other) for pair in pairs] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert [pair.corrected for pair in pairs] == significance.holm([pair.p for pair in pairs])
    assert pairs[1].significant and pairs[1].difference > 0 and pairs[1].interval[0] > 0
    assert all(pair.seeds is None for pair in pairs), "one seed"


def test_metrics_of_groups_are_compared_where_groups_are_the_same() -> None:
    turned = Groups().masks(COUNTS[::-1])
    same = significance.compare([method("a", answers(1)), method("b", answers(2))], resamples=50)
    other = significance.compare([method("a", answers(1)), method("b", answers(2), turned)], resamples=50)
    assert [pair.metric for pair in same] == ["top1", "few"]
    assert [pair.metric for pair in other] == ["top1"]


def test_one_method_has_no_pairs() -> None:
    assert significance.compare([method("a", answers(1))]) == []
