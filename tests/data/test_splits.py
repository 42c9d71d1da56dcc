"""Splits of data of any shape: no class loses its last training image, groups stay together, chance is stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data.class_counts import count
from longtail.data.source import PARTS
from longtail.data.splits import Split, assign, describe

SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.33, 0.45])


def labels_of(sizes, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def split_of(labels, *, test=0.2, validation=0.0, seed=0, classes=None, **options) -> Split:
    names = options.pop("class_names", None) or list(map(str, range(classes or int(labels.max()) + 1)))
    return assign(labels, names, test_share=test, validation_share=validation, seed=seed, **options)


def images(split, labels, part, classes=None):
    """Images of each class in a part."""
    return count(labels[getattr(split, part)], classes or int(labels.max()) + 1).tolist()


def part_of(split, images):
    """Number of the part of each image."""
    parts = np.full(images, -1)
    for number, name in enumerate(PARTS):
        parts[getattr(split, name)] = number
    return parts


@st.composite
def grouped(draw):
    """Labels of up to 6 classes and a group for each image, -1 for none."""
    n = draw(st.integers(1, 80))
    labels = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))
    groups = np.array(draw(st.lists(st.integers(-1, draw(st.integers(0, 12))), min_size=n, max_size=n)))
    return labels, groups


# --- what must never happen -------------------------------------------------------------------------------------------


@given(grouped(), SHARES, SHARES, st.integers(0, 5))
def test_each_image_is_in_one_part_each_class_trains_and_groups_stay_together(data, test, validation, seed):
    labels, groups = data
    split = split_of(labels, test=test, validation=validation, seed=seed, classes=6, groups=groups)
    joined = np.concatenate([split.train, split.validation, split.test])
    assert sorted(joined.tolist()) == list(range(len(labels)))
    assert all((np.diff(getattr(split, part)) > 0).all() for part in PARTS), "ascending"
    assert {*labels[split.train].tolist()} == {*labels.tolist()}
    parts = part_of(split, len(labels))
    for group in {*groups.tolist()} - {-1}:
        assert len({*parts[groups == group].tolist()}) == 1


@given(grouped(), st.integers(0, 5))
def test_a_class_in_one_group_trains_and_all_others_that_can_are_measured(data, seed):
    labels, groups = data
    split = split_of(labels, seed=seed, classes=6, groups=groups)
    homes = [{*np.where(groups < 0, -2 - np.arange(len(labels)), groups)[labels == c].tolist()} for c in range(6)]
    assert all(c in split.unevaluated for c in range(6) if len(homes[c]) < 2)
    # A class with an image of its own, in no group, and more than that: nothing stands in its way.
    free = [c for c in range(6) if ((groups < 0) & (labels == c)).any() and len(homes[c]) > 1]
    assert not {*free} & {*split.unevaluated.tolist()}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), SHARES, SHARES, st.integers(0, 5))
def test_shares_are_met_to_the_image_without_groups(sizes, test, validation, seed):
    labels = labels_of(sizes, seed)
    split = split_of(labels, test=test, validation=validation, seed=seed)
    for n, trains, validates, tests in zip(
        sizes, *(images(split, labels, part) for part in ("train", "validation", "test")), strict=True
    ):
        assert trains + validates + tests == n
        assert tests == (min(max(int(test * n + 0.5), 1), n - 1) if test else 0)
        assert validates == (min(max(int(validation * n + 0.5), 1), n - tests - 1) if validation else 0)


@pytest.mark.parametrize(
    ("n", "test_only", "both"), [(1, (1, 0, 0), (1, 0, 0)), (2, (1, 0, 1), (1, 0, 1)), (3, (2, 0, 1), (1, 1, 1))]
)
def test_the_rule_for_one_two_and_three_images(n, test_only, both):
    labels = np.repeat([0, 1], [n, 20])
    for validation, expected in ((0.0, test_only), (0.2, both)):
        split = split_of(labels, validation=validation)
        assert tuple(images(split, labels, part)[0] for part in ("train", "validation", "test")) == expected
        assert split.unevaluated.tolist() == ([0] if n == 1 else [])


# --- chance -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 9))
def test_the_seed_alone_decides(sizes, seed):
    labels = labels_of(sizes)
    one, again = (split_of(labels, validation=0.1, seed=seed) for _ in range(2))
    assert part_of(one, len(labels)).tolist() == part_of(again, len(labels)).tolist()


def test_another_seed_draws_other_images_and_each_class_has_its_own_order():
    labels = np.repeat([0, 1], 50)
    one, other = split_of(labels), split_of(labels, seed=1)
    assert one.test.tolist() != other.test.tolist()
    assert (one.test[:10] + 50).tolist() != one.test[10:].tolist()


@given(st.permutations(range(5)), st.integers(0, 5))
def test_the_order_of_the_classes_does_not_matter(order, seed):
    """As if a class had another name for its number: groups tie classes together, so all of them are renamed."""
    labels, names = labels_of([1, 2, 9, 9, 30]), ["ant", "bee", "cat", "dog", "eel"]
    groups = np.random.default_rng(3).integers(-1, 12, len(labels))
    renamed, new = np.argsort(order)[labels], [names[c] for c in order]
    one = split_of(labels, validation=0.1, seed=seed, groups=groups, class_names=names)
    other = split_of(renamed, validation=0.1, seed=seed, groups=groups, class_names=new)
    assert part_of(one, len(labels)).tolist() == part_of(other, len(labels)).tolist()


@given(st.lists(st.integers(0, 30), min_size=3, max_size=3), st.integers(0, 5))
def test_a_class_is_split_alike_whatever_the_others_are(others, seed):
    ranks = []
    for sizes in ([20, 5, 5, 5], [20, *others]):
        labels, names = labels_of(sizes, seed), ["lynx", "b", "c", "d"]
        split = split_of(labels, validation=0.2, seed=seed, classes=4, class_names=names)
        ranks.append(part_of(split, len(labels))[labels == 0].tolist())
    assert ranks[0] == ranks[1]


@given(grouped(), SHARES)
def test_test_images_do_not_depend_on_the_validation_share(data, validation):
    labels, groups = data
    one, other = (split_of(labels, validation=v, classes=6, groups=groups) for v in (0.0, validation))
    assert one.test.tolist() == other.test.tolist()


@given(grouped(), st.integers(0, 5))
def test_the_numbers_of_groups_mean_nothing(data, seed):
    labels, groups = data
    shuffled = np.random.default_rng(seed).permutation(20)
    renumbered = np.where(groups < 0, -1, shuffled[groups])
    one, other = (split_of(labels, classes=6, groups=numbers) for numbers in (groups, renumbered))
    assert one.test.tolist() == other.test.tolist()


# --- groups -----------------------------------------------------------------------------------------------------------


def test_groups_keep_near_to_the_shares():
    """Camera traps: 60 locations of different sizes, with a few species each."""
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 60, 6000) * rng.integers(0, 60, 6000) // 60)
    species = rng.integers(0, 12, (60, 4))
    labels = species[groups, rng.integers(0, 4, 6000)]
    split = split_of(labels, test=0.2, validation=0.1, groups=groups, classes=12)
    assert len(split.test) / 6000 == pytest.approx(0.2, abs=0.06)
    assert len(split.validation) / 6000 == pytest.approx(0.1, abs=0.06)
    assert not len(split.unevaluated)


def test_a_group_too_large_for_the_share_is_drawn_if_there_is_no_other():
    labels, groups = np.zeros(10, np.int64), np.repeat([0, 1], 5)
    assert len(split_of(labels, groups=groups).test) == 5


def test_a_rare_class_chooses_before_a_frequent_one():
    """The one group that can measure the rare class is drawn, though others would do for the frequent one."""
    labels = np.array([1, 0, *[0] * 20, 1])
    groups = np.array([0, 0, *range(1, 21), 21])
    for seed in range(20):
        split = split_of(labels, groups=groups, seed=seed)
        assert not len(split.unevaluated)
        assert images(split, labels, "train")[1] == 1


# --- parts that the data gives ----------------------------------------------------------------------------------------


@given(grouped(), SHARES, SHARES, st.integers(0, 5))
def test_given_parts_are_kept_and_only_missing_ones_drawn(data, test, validation, seed):
    labels, groups = data
    parts = np.random.default_rng(seed).choice([-1, 0, 2], len(labels))
    parts[0] = 0
    split = split_of(labels, test=test, validation=validation, classes=6, given=parts, groups=groups, seed=seed)
    found = part_of(split, len(labels))
    if (parts == 2).any():
        assert split.test.tolist() == np.flatnonzero(parts == 2).tolist()
    assert (found[parts == 2] == 2).all()
    # What trained or was in no part still trains every class that it could have trained.
    assert {*labels[split.train].tolist()} == {*labels[parts <= 0].tolist()}


def test_images_in_no_part_train():
    given = np.array([2, -1, 0, -1])
    assert split_of(np.array([0, 0, 1, 1]), given=given).train.tolist() == [1, 2, 3]


def test_validation_is_measured_where_there_is_no_test_part():
    labels, given = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])
    split = split_of(labels, test=0.0, given=given)
    assert (split.evaluation_part, split.unevaluated.tolist()) == ("validation", [1])
    assert split_of(labels, given=given).evaluation_part == "test"


def test_data_without_training_images_is_refused():
    with pytest.raises(ValueError, match="own split has no training image"):
        split_of(np.array([0, 1]), given=np.array([2, 1]))


# --- words ------------------------------------------------------------------------------------------------------------


def test_what_is_said_of_a_split():
    labels, given = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1])
    split = split_of(labels, test=0.0, given=given)
    assert describe(split, labels, ["a", "b", "c"]) == (
        "parts: 2 training images, 2 validation images",
        "1 class has no validation image and cannot be evaluated: b",
        "1 class has no training image and cannot be learned: c",
    )
