"""InfoBatch: which images an epoch draws, how much they count, and that it goes on where it was."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail.data.batches import Plan, Stream, in_memory
from longtail.data.infobatch import InfoBatch

# Of eight images the first six are easy: their losses are below the mean, which is 1.
LOSSES = torch.tensor([0.5, 0.0, 0.25, 0.5, 0.5, 0.25, 2.0, 4.0])
HARD = [6, 7]


def pruned(losses=LOSSES, *, batch_size=None, share=0.5, until=0.875, seed=0):
    """Of one step an epoch, unless a batch is smaller than the data."""
    sampler = InfoBatch(len(losses), batch_size or len(losses), share=share, until=until, seed=seed)
    sampler.observe(np.arange(len(losses)), losses)
    return sampler


def weights_of_all(sampler):
    return sampler.weights(np.arange(8)).times(torch.ones(8)).tolist()


def begun(sampler, epoch=1, progress=0.5):
    sampler.begin(epoch, progress=progress)
    return sampler


def test_before_anything_was_learned_an_epoch_shows_every_image_once():
    sampler = begun(InfoBatch(8, 8, share=0.5, until=0.875, seed=0), epoch=0, progress=0.0)
    assert sorted(sampler.order) == list(range(8))
    assert weights_of_all(sampler) == [1.0] * 8


def test_hand_worked_weights():
    # A pass shows two hard images and half of six easy ones: five of eight, so that their sum of weights is five too.
    weights = weights_of_all(begun(pruned()))
    assert weights == pytest.approx([2 * 5 / 8] * 6 + [5 / 8] * 2)
    # Three quarters are left out: each of the others counts for four; a pass shows 3.5 of eight.
    weights = weights_of_all(begun(pruned(share=0.75)))
    assert weights == pytest.approx([4 * 3.5 / 8] * 6 + [3.5 / 8] * 2)


def test_easy_images_are_shown_less_often_and_the_mean_is_that_of_all():
    sampler, values = pruned(), np.arange(8.0) ** 2
    shown, estimates = np.zeros(8), []
    for epoch in range(1, 4001):
        begun(sampler, epoch)
        shown += np.bincount(sampler.order, minlength=8)
        # The last images of an epoch begin a pass that it does not end, so they are some of a permutation.
        losses = torch.from_numpy(values[sampler.order])
        estimates.append(sampler.weights(sampler.order).times(losses).mean().item())
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
    sampler = begun(pruned(torch.tensor(losses), share=share, seed=seed), epoch)
    assert len(sampler.order) == len(losses)
    # The first pass fits into an epoch.
    hard = np.flatnonzero(~sampler.easy)
    assert set(hard) <= set(sampler.order)
    assert (sampler.weights(sampler.order).times(torch.ones(len(losses))) > 0).all()


def test_an_image_that_was_never_shown_is_not_easy():
    sampler = InfoBatch(4, 4, share=0.5, until=1.0, seed=0)
    sampler.observe(np.array([0, 1, 2]), torch.tensor([1.0, 1.0, 4.0]))
    assert begun(sampler).easy.tolist() == [True, True, False, False]


def test_at_the_end_an_epoch_shows_every_image_once():
    assert begun(pruned(), progress=0.874).easy.any()
    sampler = begun(pruned(), progress=0.875)
    assert sorted(sampler.order) == list(range(8))
    assert weights_of_all(sampler) == [1.0] * 8


def test_what_is_learned_counts_from_the_next_epoch_on():
    sampler = begun(pruned())
    order, easy = sampler.order.copy(), sampler.easy.copy()
    sampler.observe(np.arange(8), LOSSES.flip(0))
    begun(sampler)
    assert (sampler.order == order).all() and (sampler.easy == easy).all()
    assert begun(sampler, epoch=2).easy.tolist() == [False] * 2 + [True] * 6


def test_a_restored_one_goes_on_alike(tmp_path):
    one, other = begun(pruned()), InfoBatch(8, 8, share=0.5, until=0.875, seed=0)
    torch.save(one.state_dict(), tmp_path / "state")
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for epoch in (1, 2):
        assert (begun(one, epoch).order == begun(other, epoch).order).all()
        assert weights_of_all(one) == weights_of_all(other)
        for each in (one, other):
            each.observe(np.array([7]), torch.tensor([0.0]))


def test_seeds_and_epochs_differ():
    orders = [begun(pruned(seed=seed), epoch).order.tolist() for seed in (0, 1) for epoch in (1, 2)]
    assert len({tuple(order) for order in orders}) == 4


PIXELS = torch.zeros(8, 3, 2, 2, dtype=torch.uint8)


def plan(*streams):
    return Plan(np.arange(8), streams or [Stream("instance")], 4, seed=0, accumulate=2)


def test_batches_carry_the_weights_of_their_images():
    sampler = pruned(batch_size=4)
    steps = list(in_memory(plan(), PIXELS, start=2, stop=4, sampler=sampler))
    batches = [batch for step in steps for (batch,) in step]
    assert [len(batch.labels) for batch in batches] == [2] * 4
    assert torch.cat([batch.labels for batch in batches]).tolist() == sampler.order.tolist()
    weights = torch.cat([batch.weights.values for batch in batches if batch.weights is not None])
    assert (weights > 1).tolist() == [image not in HARD for image in sampler.order]


def test_it_draws_the_first_stream_and_leaves_others_to_the_plan():
    two = plan(Stream("instance", views=2), Stream("balanced"))
    for step in in_memory(two, PIXELS, start=2, stop=4, sampler=pruned(batch_size=4)):
        for first, second in step:
            assert first.weights is not None and second.weights is None
            assert len(first.images) == 2
    steps = (in_memory(two, PIXELS, start=2, stop=4, sampler=sampler) for sampler in (None, pruned(batch_size=4)))
    alone, beside = ([second.labels for step in each for _, second in step] for each in steps)
    assert torch.equal(torch.cat(alone), torch.cat(beside))


def test_the_schedule_decides_when_pruning_ends_whatever_the_step():
    sampler, seen = pruned(batch_size=4), {}
    progress = lambda step: 0.875 if step >= 6 else 0.1  # noqa: E731
    for step, _ in enumerate(in_memory(plan(), PIXELS, start=2, stop=10, sampler=sampler, progress=progress), 2):
        seen[step] = sampler.easy.any()
    assert seen == {step: step < 6 for step in range(2, 10)}


def test_an_epoch_that_has_not_begun_cannot_be_asked_for():
    sampler = begun(pruned(batch_size=4), 2)
    assert len(sampler.rows(2)) == len(sampler.rows(3)) == 4
    for step in (1, 4):
        with pytest.raises(ValueError, match=rf"epoch {step // 2} cannot be asked for: .*; begun is 1"):
            sampler.rows(step)
