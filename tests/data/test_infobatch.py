"""Pruning: what an epoch shows, how much it counts, and that it goes on where it was."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail import recipe
from longtail.data.batches import Plan, Stream, in_memory
from longtail.data.infobatch import Pruning

# Of eight images the first six are easy: their losses are below the mean, which is 1.
LOSSES = torch.tensor([0.5, 0.0, 0.25, 0.5, 0.5, 0.25, 2.0, 4.0])
HARD = [6, 7]


def pruned(losses=LOSSES, *, share=0.5, until=0.875, seed=0):
    pruning = Pruning(len(losses), share=share, until=until, seed=seed)
    pruning.learned(np.arange(len(losses)), losses)
    return pruning


def weights_of_all(pruning):
    return pruning.weights(np.arange(8)).times(torch.ones(8)).tolist()


def begun(pruning, epoch=1, progress=0.5):
    pruning.begin(epoch, progress=progress)
    return pruning


def test_before_anything_was_learned_an_epoch_shows_every_image_once():
    pruning = begun(Pruning(8, share=0.5, until=0.875, seed=0), epoch=0, progress=0.0)
    assert sorted(pruning.order) == list(range(8))
    assert weights_of_all(pruning) == [1.0] * 8


def test_hand_worked_weights():
    # A pass shows two hard images and half of six easy ones: five of eight, so that their sum of weights is five too.
    weights = weights_of_all(begun(pruned()))
    assert weights == pytest.approx([2 * 5 / 8] * 6 + [5 / 8] * 2)
    # Three quarters are left out: each of the others counts for four; a pass shows 3.5 of eight.
    weights = weights_of_all(begun(pruned(share=0.75)))
    assert weights == pytest.approx([4 * 3.5 / 8] * 6 + [3.5 / 8] * 2)


def test_easy_images_are_shown_less_often_and_the_mean_is_that_of_all():
    pruning, values = pruned(), np.arange(8.0) ** 2
    shown, estimates = np.zeros(8), []
    for epoch in range(1, 4001):
        begun(pruning, epoch)
        shown += np.bincount(pruning.order, minlength=8)
        # The last images of an epoch begin a pass that it does not end, so they are some of a permutation.
        losses = torch.from_numpy(values[pruning.order])
        estimates.append(pruning.weights(pruning.order).times(losses).mean().item())
    assert shown[HARD] / shown[:6].mean() == pytest.approx(2, rel=0.06)
    assert shown.sum() == 8 * 4000
    assert np.mean(estimates) == pytest.approx(values.mean(), rel=0.03)


@given(
    st.lists(st.floats(0, 100, width=32), min_size=1, max_size=40),
    st.floats(0.01, 0.95),
    st.integers(0, 2**32 - 1),
    st.integers(0, 50),
)
def test_an_epoch_is_full_and_no_hard_image_is_missing(losses, share, seed, epoch):
    pruning = begun(pruned(torch.tensor(losses), share=share, seed=seed), epoch)
    assert len(pruning.order) == len(losses)
    # The first pass fits into an epoch.
    hard = np.flatnonzero(~pruning.easy)
    assert set(hard) <= set(pruning.order)
    assert (pruning.weights(pruning.order).times(torch.ones(len(losses))) > 0).all()


def test_an_image_that_was_never_shown_is_not_easy():
    pruning = Pruning(4, share=0.5, until=1.0, seed=0)
    pruning.learned(np.array([0, 1, 2]), torch.tensor([1.0, 1.0, 4.0]))
    assert begun(pruning).easy.tolist() == [True, True, False, False]


def test_at_the_end_an_epoch_shows_every_image_once():
    assert begun(pruned(), progress=0.874).easy.any()
    pruning = begun(pruned(), progress=0.875)
    assert sorted(pruning.order) == list(range(8))
    assert weights_of_all(pruning) == [1.0] * 8


def test_what_is_learned_counts_from_the_next_epoch_on():
    pruning = begun(pruned())
    order, easy = pruning.order.copy(), pruning.easy.copy()
    pruning.learned(np.arange(8), LOSSES.flip(0))
    begun(pruning)
    assert (pruning.order == order).all() and (pruning.easy == easy).all()
    assert begun(pruning, epoch=2).easy.tolist() == [False] * 2 + [True] * 6


def test_a_restored_one_goes_on_alike(tmp_path):
    one, other = begun(pruned()), Pruning(8, share=0.5, until=0.875, seed=0)
    torch.save(one.state(), tmp_path / "state")
    other.restore(torch.load(tmp_path / "state", weights_only=True))
    for epoch in (1, 2):
        assert (begun(one, epoch).order == begun(other, epoch).order).all()
        assert weights_of_all(one) == weights_of_all(other)
        for each in (one, other):
            each.learned(np.array([7]), torch.tensor([0.0]))


def test_seeds_and_epochs_differ():
    orders = [begun(pruned(seed=seed), epoch).order.tolist() for seed in (0, 1) for epoch in (1, 2)]
    assert len({tuple(order) for order in orders}) == 4


def plan_with(pruning):
    return Plan(np.arange(8), [Stream("instance")], 4, seed=0, accumulate=2, pruning=pruning)


PIXELS = torch.zeros(8, 3, 2, 2, dtype=torch.uint8)


def test_batches_carry_the_weights_of_their_images():
    pruning = pruned()
    steps = list(in_memory(plan_with(pruning), PIXELS, start=2, stop=4))
    batches = [batch for step in steps for (batch,) in step]
    assert [len(batch.labels) for batch in batches] == [2] * 4
    assert torch.cat([batch.labels for batch in batches]).tolist() == pruning.order.tolist()
    weights = [batch.weights for batch in batches if batch.weights is not None]
    assert torch.cat([each.easy for each in weights]).tolist() == [image not in HARD for image in pruning.order]


def test_the_schedule_decides_when_pruning_ends_whatever_the_step():
    pruning, seen = pruned(), {}
    steps = in_memory(plan_with(pruning), PIXELS, start=2, stop=10, progress=lambda step: 0.875 if step >= 6 else 0.1)
    for step, _ in enumerate(steps, 2):
        seen[step] = pruning.easy.any()
    assert seen == {step: step < 6 for step in range(2, 10)}


def test_an_epoch_that_has_not_begun_cannot_be_asked_for():
    plan = plan_with(begun(pruned()))
    assert len(plan.rows(2)[0]) == 4
    for step in (1, 4):
        with pytest.raises(ValueError, match=rf"epoch {step // 2} cannot be asked for: pruning has begun epoch 1"):
            plan.rows(step)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.kind=hybrid-psc"], r"method.kind is hybrid-psc; set it to ce or logit-adjustment"),
        (["method.sampling=balanced"], r"method.sampling is balanced; set it to instance"),
        (["augment.cutmix=0.5"], r"augment.cutmix is 0.5 and mixes them; set it to 0"),
        (["data.in_memory=false"], r"data.in_memory is false and decodes ahead; set it to true"),
        (["pruning.share=1"], r"pruning.share"),
        (["pruning.share=0"], r"pruning.share"),
        (["pruning.until=1.5"], r"pruning.until"),
    ],
)
def test_what_it_does_not_go_with(overrides, message):
    with pytest.raises(ValueError, match=message):
        recipe.load("digits-lt/ce", recipe.parse_overrides(["pruning.share=0.5", *overrides]))
