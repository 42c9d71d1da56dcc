"""Class counts against the formulas and totals of the literature, and what must never happen to a subset."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data.class_counts import Groups, count, effective_numbers, exponential, gini, pareto, priors, step, subset

CIFAR10, CIFAR100 = (5000, 10), (500, 100)


def exact(n_max, classes, imbalance):
    """LDAM's `n_max * mu ** (c / (C - 1))` with `mu = 1 / imbalance`, to 50 digits and through the logarithm."""
    with localcontext(prec=50):
        log = Decimal(imbalance).ln()
        return [n_max * (-log * c / max(classes - 1, 1)).exp() for c in range(classes)]


def shuffled(sizes, seed=0):
    """Labels of a data set with so many images per class, in no order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def ranks(labels, indices, c):
    """Which of its class's images were chosen: 0 for the first of them in the data set."""
    return np.flatnonzero(np.isin(np.flatnonzero(labels == c), indices)).tolist()


@pytest.mark.parametrize(
    ("n_max", "classes", "imbalance", "total"),
    [
        (*CIFAR100, 100, 10_847),
        (*CIFAR100, 50, 12_608),
        (*CIFAR100, 10, 19_573),
        (*CIFAR10, 100, 12_406),
        (*CIFAR10, 50, 13_996),
        (*CIFAR10, 10, 20_431),
    ],
)
def test_cifar_lt_has_the_counts_of_ldam(n_max, classes, imbalance, total):
    counts = exponential(n_max, classes, imbalance)
    with localcontext(prec=50):
        assert counts.tolist() == [int(images + Decimal("1e-30")) for images in exact(n_max, classes, imbalance)]
    assert counts.sum() == total


def test_exponential_leaves_the_last_class_its_last_image():
    # 49, 98, 103, ...: `n * (1 / n)` is below 1 in floating point.
    assert {n for n in range(1, 1000) if exponential(n, 10, n)[-1] != 1} == set()


def test_cifar10_lt_as_published():
    assert exponential(*CIFAR10, 100).tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@given(n_max=st.integers(1, 10**6), classes=st.integers(1, 40), imbalance=st.floats(1, 10**4))
def test_exponential_never_rises_and_is_within_rounding_of_its_formula(n_max, classes, imbalance):
    counts = exponential(n_max, classes, imbalance)
    assert counts[0] == n_max and (np.diff(counts) <= 0).all()
    formula = np.array([float(images) for images in exact(n_max, classes, imbalance)])
    assert (counts <= formula * (1 + 1e-9)).all() and (counts > formula * (1 - 1e-9) - 1).all()


@pytest.mark.parametrize("profile", [exponential, pareto, step])
@given(rarest=st.integers(0, 50), imbalance=st.integers(1, 300), classes=st.integers(2, 40))
def test_last_class_has_n_max_over_imbalance_to_the_image(profile, rarest, imbalance, classes):
    n_max = max(rarest * imbalance, 1)
    assert profile(n_max, classes, imbalance)[-1] == n_max // imbalance


@pytest.mark.parametrize("profile", [exponential, pareto, step])
@given(n_max=st.integers(1, 10**6), classes=st.integers(2, 40), imbalance=st.floats(1, 10**4))
def test_profiles_start_at_n_max_and_never_rise(profile, n_max, classes, imbalance):
    counts = profile(n_max, classes, imbalance)
    assert len(counts) == classes and counts.dtype == np.int64
    assert counts[0] == n_max and counts[-1] >= 0 and (np.diff(counts) <= 0).all()


@pytest.mark.parametrize("profile", [exponential, pareto, step])
def test_profiles_without_imbalance_are_flat(profile):
    assert profile(7, 4, 1).tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize("profile", [exponential, pareto])
def test_a_single_class_has_n_max(profile):
    assert profile(7, 1, 100).tolist() == [7]


def test_pareto_is_a_straight_line_on_logarithmic_axes():
    counts = pareto(10**12, 50, 1000)
    slopes = np.diff(np.log(counts)) / np.diff(np.log(np.arange(1, 51)))
    assert slopes == pytest.approx(-np.log(1000) / np.log(50))
    # 100 = 10 ** 2, so the rank is squared.
    assert pareto(1000, 10, 100).tolist() == [1000 // rank**2 for rank in range(1, 11)]


@pytest.mark.parametrize(("classes", "frequent"), [(2, 1), (5, 2), (10, 5), (11, 5)])
def test_step_is_one_step_at_half_of_the_classes(classes, frequent):
    assert step(95, classes, 10).tolist() == [95] * frequent + [9] * (classes - frequent)


@pytest.mark.parametrize("profile", [exponential, pareto, step])
@pytest.mark.parametrize(
    ("n_max", "classes", "imbalance", "message"),
    [
        (0, 10, 10, "n_max is 0"),
        (5, 0, 10, "classes is 0"),
        (5, 10, 0.99, r"imbalance is 0\.99"),
        (5, 10, -2, "imbalance is -2"),
        (5, 10, np.inf, "imbalance is inf"),
        (5, 10, np.nan, "imbalance is nan"),
    ],
)
def test_profiles_refuse(profile, n_max, classes, imbalance, message):
    with pytest.raises(ValueError, match=message):
        profile(n_max, classes, imbalance)


def test_count_keeps_classes_without_images():
    assert count(np.array([3, 0, 3]), 5).tolist() == [1, 0, 0, 2, 0]
    assert count(np.array([], dtype=np.int64), 2).tolist() == [0, 0]


@pytest.mark.parametrize(("labels", "message"), [([0, 2], "from 0 to 2"), ([-1, 1], "from -1 to 1")])
def test_count_refuses_labels_of_no_class(labels, message):
    with pytest.raises(ValueError, match=f"labels run {message}; they must lie in 0..1"):
        count(np.array(labels), 2)
    with pytest.raises(ValueError, match=message):
        subset(np.array(labels), np.array([1, 1]), seed=0)


SIZES = [60, 60, 40, 20]
LABELS = shuffled(SIZES)


@given(st.data())
def test_subset_has_the_counts_asked_for_and_never_loses_a_class(data):
    sizes = np.array(data.draw(st.lists(st.integers(2, 12), min_size=1, max_size=6)))
    wanted = np.array([data.draw(st.integers(1, size)) for size in sizes])
    held_out = data.draw(st.integers(0, int(sizes.min()) - 1))
    labels = shuffled(sizes, data.draw(st.integers(0, 9)))
    chosen, held = subset(labels, wanted, seed=data.draw(st.integers(0, 9)), held_out=held_out)
    assert (np.diff(chosen) > 0).all() and (np.diff(held) > 0).all(), "ascending, none twice"
    assert not np.isin(chosen, held).any()
    assert (count(labels[held], len(sizes)) == held_out).all(), "balanced"
    assert (count(labels[chosen], len(sizes)) == np.minimum(wanted, sizes - held_out)).all()
    assert (count(labels[chosen], len(sizes)) > 0).all()


@given(seed=st.integers(0, 2**32), held_out=st.integers(0, 19), imbalance=st.floats(1, 100), steeper=st.floats(1, 10))
def test_subsets_of_one_seed_are_nested_with_one_validation_split(seed, held_out, imbalance, steeper):
    flat = np.minimum(exponential(60, 4, imbalance), SIZES)
    steep = np.minimum(exponential(60, 4, imbalance * steeper), SIZES)
    larger, held = subset(LABELS, flat, seed=seed, held_out=held_out)
    smaller, held_too = subset(LABELS, steep, seed=seed, held_out=held_out)
    assert np.isin(smaller, larger).all()
    assert held.tolist() == held_too.tolist()


def test_cifar100_lt_subsets_are_nested():
    labels = shuffled([500] * 100)
    of_100, of_50, of_10 = (set(subset(labels, exponential(*CIFAR100, i), seed=3)[0].tolist()) for i in (100, 50, 10))
    assert of_100 < of_50 < of_10
    assert (len(of_100), len(of_50), len(of_10)) == (10_847, 12_608, 19_573)


def test_subset_depends_on_the_seed_alone():
    wanted = np.array([20, 20, 20, 10])
    first, again, other = (subset(LABELS, wanted, seed=seed, held_out=5) for seed in (1, 1, 2))
    for one, same, different in zip(first, again, other, strict=True):
        assert one.tolist() == same.tolist() != different.tolist()
    assert ranks(LABELS, first[0], 0) != list(range(20)), "chosen, not cut off"
    assert ranks(LABELS, first[0], 0) != ranks(LABELS, first[0], 1), "each class in an order of its own"


def test_choice_within_a_class_does_not_depend_on_the_other_classes():
    wanted = np.array([20, 20, 20, 10])
    others = shuffled([3, 90, 40, 8], seed=5)
    for part in (0, 1):
        here = subset(LABELS, wanted, seed=4, held_out=2)[part]
        there = subset(others, np.array([1, 2, 20, 0]), seed=4, held_out=2)[part]
        assert ranks(LABELS, here, 2) == ranks(others, there, 2)


def test_subset_says_which_class_is_too_small():
    labels = np.array([0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="3 images asked for of class 'lynx'; it has 2"):
        subset(labels, np.array([3, 3]), seed=0, class_names=["cat", "lynx"])
    with pytest.raises(ValueError, match="2 validation images asked for of class '1'; it has 2 and must keep 1"):
        subset(labels, np.array([1, 1]), seed=0, held_out=2)


def test_priors_are_shares():
    assert priors(np.array([6, 0, 2])).tolist() == [0.75, 0, 0.25]
    with pytest.raises(ValueError, match="at least one class must have an image"):
        priors(np.array([0, 0]))


def test_effective_numbers_are_geometric_sums():
    # Each further image adds beta times what the one before it added.
    assert effective_numbers(np.array([0, 1, 3]), beta=0.9) == pytest.approx([0, 1, 1 + 0.9 + 0.81])
    assert effective_numbers(np.array([40]), beta=0.75) == pytest.approx([sum(0.75**n for n in range(40))])


def test_effective_numbers_run_from_presence_to_the_counts():
    counts = np.array([0, 1, 50, 500])
    assert effective_numbers(counts, beta=0).tolist() == [0, 1, 1, 1]
    assert effective_numbers(counts, beta=1 - 1e-9) == pytest.approx(counts, rel=1e-6)
    assert effective_numbers(np.array([10**6]), beta=0.99) == pytest.approx([100]), "never above 1 / (1 - beta)"


@pytest.mark.parametrize("beta", [-0.1, 1.0, np.nan])
def test_effective_numbers_refuse(beta):
    with pytest.raises(ValueError, match=f"beta is {beta}"):
        effective_numbers(np.array([1]), beta=beta)


@pytest.mark.parametrize(("imbalance", "sizes"), [(100, [35, 35, 30]), (50, [41, 41, 18]), (10, [69, 31, 0])])
def test_groups_of_cifar100_lt(imbalance, sizes):
    masks = Groups().masks(exponential(*CIFAR100, imbalance))
    assert [int(mask.sum()) for mask in masks.values()] == sizes
    assert list(masks) == ["many", "medium", "few"]


def test_group_bounds_belong_to_medium():
    masks = Groups(many=8, few=3).masks(np.array([9, 8, 3, 2, 0]))
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "many": [True, False, False, False, False],
        "medium": [False, True, True, False, False],
        "few": [False, False, False, True, True],
    }


@given(few=st.integers(0, 50), wider=st.integers(0, 50), counts=st.lists(st.integers(0, 120), min_size=1))
def test_each_class_is_in_one_group(few, wider, counts):
    masks = Groups(many=few + wider, few=few).masks(np.array(counts))
    assert (np.sum(list(masks.values()), axis=0) == 1).all()


@pytest.mark.parametrize(("many", "few"), [(19, 20), (100, -1)])
def test_groups_refuse_bounds_that_overlap(many, few):
    with pytest.raises(ValueError, match="need 0 <= few <= many"):
        Groups(many, few)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_gini_is_the_mean_difference_over_twice_the_mean(sizes):
    counts = np.array(sizes)
    differences = np.abs(counts[:, None] - counts).mean()
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()) if counts.any() else 0)
