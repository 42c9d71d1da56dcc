"""Corrections of the class distribution, against values worked by hand and simulated shifts."""

import re
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from longtail.inference import label_shift
from longtail.inference.label_shift import adjust, estimate

EVEN = np.array([0.5, 0.5])
THIRDS = np.full(3, 1 / 3)


def shares(rows=None):
    """A distribution of three classes, or several."""
    shape = 3 if rows is None else (rows, 3)
    return arrays(np.float64, shape, elements=st.floats(0.01, 1)).map(lambda w: w / w.sum(-1, keepdims=True))


def mixture(truth, *, images, seed=0):
    """Labels, and probabilities that are exactly right if classes are even: three normal distributions on a line."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, images, p=truth)
    x = rng.normal(labels * 1.5, 1.0)
    fit = np.exp(-((x[:, None] - np.arange(3) * 1.5) ** 2) / 2)
    return labels, fit / fit.sum(1, keepdims=True)


def log_likelihood(probabilities, prior, assumed):
    return np.log((probabilities * prior / assumed).sum(1)).mean()


# --- adjust -----------------------------------------------------------------------------------------------------------


def test_by_hand():
    # Odds of 3 to 1 where classes are even; the second is three times as frequent: 3 to 3.
    np.testing.assert_allclose(
        adjust(np.array([[0.75, 0.25]]), assumed=EVEN, wanted=np.array([0.25, 0.75])), [[0.5, 0.5]]
    )
    # A classifier that knows nothing but a long tail of 8 to 1 says so of every image; where classes are even, nothing.
    np.testing.assert_allclose(adjust(np.array([[8, 1]]) / 9, assumed=np.array([8.0, 1.0]), wanted=EVEN), [[0.5, 0.5]])


@given(shares(5), shares(), shares())
def test_there_and_back(probabilities, one, other):
    there = adjust(probabilities, assumed=one, wanted=other)
    np.testing.assert_allclose(there.sum(1), 1)
    np.testing.assert_allclose(adjust(there, assumed=other, wanted=one), probabilities)


@given(shares(5), shares(), shares(), shares())
def test_two_steps_are_one(probabilities, one, two, three):
    steps = adjust(adjust(probabilities, assumed=one, wanted=two), assumed=two, wanted=three)
    np.testing.assert_allclose(steps, adjust(probabilities, assumed=one, wanted=three))


@given(shares(5), shares())
def test_the_same_prior_changes_nothing(probabilities, prior):
    np.testing.assert_allclose(adjust(probabilities, assumed=prior, wanted=prior), probabilities)


@given(shares(5), shares(), shares(), st.floats(0.1, 1e6), st.floats(0.1, 1e6))
def test_counts_do_as_well_as_shares(probabilities, one, other, n, m):
    counted = adjust(probabilities, assumed=n * one, wanted=m * other)
    np.testing.assert_allclose(counted, adjust(probabilities, assumed=one, wanted=other))


@given(shares(5), shares(), shares(), st.permutations(range(3)))
def test_the_order_of_classes_does_not_matter(probabilities, one, other, order):
    moved = adjust(probabilities[:, order], assumed=one[order], wanted=other[order])
    np.testing.assert_allclose(moved, adjust(probabilities, assumed=one, wanted=other)[:, order])


@given(shares(5), shares(), shares())
def test_a_class_that_is_wanted_more_gains(probabilities, one, other):
    c = np.argmax(other / one)
    gained = adjust(probabilities, assumed=one, wanted=other)[:, c] - probabilities[:, c]
    assert (gained >= -1e-12).all()


def test_a_class_that_is_not_wanted_goes_to_the_others():
    adjusted = adjust(np.array([[0.6, 0.2, 0.2]]), assumed=THIRDS, wanted=np.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(adjusted, [[0.0, 0.5, 0.5]])
    # An image that can be nothing else: all that is known of it is what is wanted.
    adjusted = adjust(np.array([[1.0, 0.0, 0.0]]), assumed=THIRDS, wanted=np.array([0.0, 1.0, 3.0]))
    np.testing.assert_allclose(adjusted, [[0.0, 0.25, 0.75]])


def test_a_class_without_training_images():
    assumed = np.array([0.5, 0.5, 0.0])
    # A softmax leaves it a little; nobody knows how much of it is right.
    adjusted = adjust(np.array([[0.54, 0.36, 0.1]]), assumed=assumed, wanted=np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(adjusted, [[0.6, 0.4, 0.0]])
    with pytest.raises(ValueError, match="class 2 is 1 of the wanted prior and 0 of the assumed one"):
        adjust(THIRDS[None], assumed=assumed, wanted=np.ones(3))


def test_float32_and_no_images():
    adjusted = adjust(np.array([[0.75, 0.25]], np.float32), assumed=EVEN, wanted=np.array([0.25, 0.75]))
    assert adjusted.dtype == np.float64
    assert adjust(np.empty((0, 2)), assumed=EVEN, wanted=EVEN).shape == (0, 2)


@pytest.mark.parametrize("wrong", [[-0.1, 1.1, 0.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 0.0], [np.inf, 1.0, 0.0]])
def test_what_is_no_distribution(wrong):
    bad = np.array(wrong)
    for name, function in (
        ("assumed", partial(adjust, assumed=bad, wanted=THIRDS)),
        ("wanted", partial(adjust, assumed=THIRDS, wanted=bad)),
        ("assumed", partial(estimate, assumed=bad)),
    ):
        with pytest.raises(ValueError, match=re.compile(rf"\A{name} prior is \[[^\n]*\Z")):
            function(THIRDS[None])


@pytest.mark.parametrize("wrong", [[-0.5, 1.5], [np.nan, 1.0], [np.inf, 0.0]])
def test_what_is_no_probability(wrong):
    for function in (partial(adjust, wanted=EVEN), estimate):
        with pytest.raises(ValueError, match="a probability is negative or no number"):
            function(np.array([[0.5, 0.5], wrong]), assumed=EVEN)


def test_a_message_about_many_classes_is_one_short_line():
    with pytest.raises(ValueError, match="assumed prior") as error:
        estimate(np.full((1, 1000), 0.001), assumed=np.linspace(-1, 1, 1000))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


# --- estimate ---------------------------------------------------------------------------------------------------------


def test_rounds_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])
    assert estimate(probabilities, assumed=EVEN, most_rounds=0).prior.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(estimate(probabilities, assumed=EVEN, most_rounds=1).prior, [0.6, 0.4])
    # Under (0.6, 0.4), the images are 6/7 and 1/2 of the first class.
    found = estimate(probabilities, assumed=EVEN, most_rounds=2)
    np.testing.assert_allclose(found.prior, [19 / 28, 9 / 28])
    assert found.rounds == 2
    # The likelihood is (0.4 + 1.2 p) (1.2 - 0.4 p), which rises up to p = 1.
    np.testing.assert_allclose(estimate(probabilities, assumed=EVEN).prior, [1, 0], atol=1e-5)


def test_maximum_by_hand():
    # The likelihood is (0.4 + 1.2 p) (1.4 - 0.8 p), largest at p = 17/24.
    found = estimate(np.array([[0.8, 0.2], [0.3, 0.7]]), assumed=EVEN, tolerance=1e-12)
    np.testing.assert_allclose(found.prior, [17 / 24, 7 / 24], rtol=1e-5)
    assert 0 < found.rounds < 1000


@pytest.mark.parametrize("truth", [[0.9, 0.08, 0.02], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])
def test_a_shift_is_found_and_accuracy_gained(truth):
    labels, probabilities = mixture(truth, images=20_000)
    found = estimate(probabilities, assumed=THIRDS)
    np.testing.assert_allclose(found.prior, truth, atol=0.02)
    right, before, after = (
        (adjust(probabilities, assumed=THIRDS, wanted=prior).argmax(1) == labels).mean()
        for prior in (np.array(truth), THIRDS, found.prior)
    )
    assert after == pytest.approx(right, abs=0.002)  # as good as if the truth were known
    assert after > before + 0.05 or max(truth) < 0.5


def test_the_assumed_prior_is_accounted_for():
    """The same images, described by a classifier that was trained elsewhere: the same estimate."""
    _, probabilities = mixture([0.7, 0.2, 0.1], images=5_000)
    assumed = np.array([0.05, 0.15, 0.8])
    elsewhere = adjust(probabilities, assumed=THIRDS, wanted=assumed)
    one = estimate(probabilities, assumed=THIRDS, tolerance=1e-9)
    other = estimate(elsewhere, assumed=1000 * assumed, tolerance=1e-9)
    np.testing.assert_allclose(one.prior, other.prior, atol=1e-3)


def test_each_round_makes_the_images_more_likely():
    probabilities = np.random.default_rng(1).dirichlet([0.5, 0.5, 0.5], 200)
    priors_ = [estimate(probabilities, assumed=THIRDS, tolerance=0, most_rounds=n).prior for n in range(30)]
    steps = [log_likelihood(probabilities, prior, THIRDS) for prior in priors_]
    assert all(later > earlier for earlier, later in pairwise(steps[:10]))
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(steps))


@given(shares(20), shares(), shares())
def test_no_other_distribution_is_more_likely_than_the_gap_says(probabilities, assumed, other):
    for rounds in (0, 3, 1000):
        found = estimate(probabilities, assumed=assumed, most_rounds=rounds)
        best = log_likelihood(probabilities, found.prior, assumed) + found.gap
        assert log_likelihood(probabilities, other, assumed) <= best + 1e-12
        assert found.prior.sum() == pytest.approx(1)
        assert found.gap <= 1e-6 or found.rounds == rounds


@given(shares(20), shares(), st.permutations(range(20)), st.permutations(range(3)))
def test_the_order_of_images_and_classes_does_not_matter(probabilities, assumed, images, classes):
    one = estimate(probabilities, assumed=assumed, most_rounds=50).prior
    other = estimate(probabilities[images][:, classes], assumed=assumed[classes], most_rounds=50).prior
    np.testing.assert_allclose(one[classes], other, atol=1e-9)


def test_images_twice_change_nothing():
    _, probabilities = mixture([0.7, 0.2, 0.1], images=label_shift._CHUNK - 100)
    one = estimate(probabilities, assumed=THIRDS, most_rounds=20)
    other = estimate(np.tile(probabilities, (3, 1)), assumed=THIRDS, most_rounds=20)
    np.testing.assert_allclose(one.prior, other.prior)
    assert one.gap == pytest.approx(other.gap)


def test_a_class_without_training_images_is_not_estimated():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    found = estimate(probabilities, assumed=np.array([1.0, 1.0, 0.0]))
    assert found.prior[2] == 0
    assert found.prior.sum() == pytest.approx(1)


def test_degenerate_images():
    for one in ([[1.0, 0.0]], [[0.3, 0.7]]):
        # Of one image, the class that is likelier than assumed explains most.
        np.testing.assert_allclose(estimate(np.array(one), assumed=EVEN).prior, np.round(one[0]), atol=1e-5)
    # An image that says nothing leaves what is assumed.
    assert estimate(EVEN[None], assumed=EVEN) == (pytest.approx(EVEN), 0, 0.0)
    assert estimate(np.ones((5, 1)), assumed=np.ones(1)).prior.tolist() == [1]
    # One class explains nothing, however often the other is multiplied away.
    found = estimate(np.array([[1.0, 0.0]] * 2000 + [[0.0, 1.0]]), assumed=EVEN, tolerance=0)
    np.testing.assert_allclose(found.prior, [2000 / 2001, 1 / 2001])
    with pytest.raises(ValueError, match="there is no image"):
        estimate(np.empty((0, 2)), assumed=EVEN)
    with pytest.raises(ValueError, match="image 1 fits no class that is assumed to occur"):
        estimate(np.array([[0.5, 0.5], [0.0, 1.0]]), assumed=np.array([1.0, 0.0]))


def test_float32_does_as_well():
    _, probabilities = mixture([0.9, 0.08, 0.02], images=20_000)
    one, other = (estimate(p, assumed=THIRDS) for p in (probabilities, probabilities.astype(np.float32)))
    np.testing.assert_allclose(one.prior, other.prior, atol=1e-5)
    assert other.gap <= 1e-6
