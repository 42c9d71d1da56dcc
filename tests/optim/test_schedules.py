"""Schedules at the epochs of the CIFAR recipe (200 epochs of 21 steps), by hand, and their shape everywhere else."""

from functools import partial
from itertools import pairwise

import pytest

from longtail.optim import schedules
from longtail.optim.schedules import Clock

EPOCHS, STEPS_PER_EPOCH = 200, 21
CLOCKS = [Clock.at(step=s, epochs=EPOCHS, steps_per_epoch=STEPS_PER_EPOCH) for s in range(EPOCHS * STEPS_PER_EPOCH)]

ALPHAS = {
    "parabolic": schedules.parabolic,
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "switch": partial(schedules.switch, at=0.6),
}
DECAYS = {
    "step": partial(schedules.step_decay, milestones=(0.6, 0.8), factor=0.1),
    "cosine": partial(schedules.cosine_decay, warmup=0.025),
    "linear": partial(schedules.linear_decay, warmup=0.025),
}


def at_epoch(epoch):
    return CLOCKS[epoch * STEPS_PER_EPOCH]


def at_step(step, steps):
    return Clock(step, steps, epoch=0, epochs=1)


def changes(factor):
    """The steps at which a factor is not what it was a step before."""
    values = [factor(clock) for clock in CLOCKS]
    return [step for step, (before, now) in enumerate(pairwise(values), start=1) if before != now]


def test_clock_counts_epochs_from_0_and_turns_at_their_first_step():
    assert CLOCKS[0] == Clock(step=0, steps=4200, epoch=0, epochs=200)
    assert [CLOCKS[step].epoch for step in (20, 21, 41, 42, 4199)] == [0, 1, 1, 2, 199]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("parabolic", [1, 0.64, 0.36, 0.0975]),
        ("linear", [1, 0.4, 0.2, 0.05]),
        ("cosine", [1, 0.5877853, 0.3090170, 0.0784591]),  # of 0, 54, 72 and 85.5 degrees
        ("switch", [1, 0, 0, 0]),
    ],
)
def test_alpha_by_hand(name, values):
    assert [ALPHAS[name](at_epoch(epoch)) for epoch in (0, 120, 160, 190)] == pytest.approx(values)


@pytest.mark.parametrize("alpha", ALPHAS.values(), ids=ALPHAS)
def test_alpha_falls_from_1_to_0_at_the_end_and_only_between_epochs(alpha):
    values = [alpha(clock) for clock in CLOCKS]
    assert values[0] == 1 and values[-1] < 0.02
    assert all(before >= now >= 0 for before, now in pairwise(values))
    assert alpha(Clock(4200, 4200, 200, 200)) == pytest.approx(0, abs=1e-12)
    assert changes(alpha) and all(step % STEPS_PER_EPOCH == 0 for step in changes(alpha))


def test_smooth_alphas_change_at_every_epoch():
    for name in ("parabolic", "linear", "cosine"):
        assert len(changes(ALPHAS[name])) == EPOCHS - 1


@pytest.mark.parametrize(("at", "turns"), [(0, []), (0.25, [50 * 21]), (0.6, [120 * 21]), (1, [])])
def test_switch_turns_once(at, turns):
    alpha = partial(schedules.switch, at=at)
    assert changes(alpha) == turns
    assert alpha(CLOCKS[0]) == (0 if at == 0 else 1)
    assert alpha(CLOCKS[-1]) == (1 if at == 1 else 0)


def test_step_decay_turns_at_the_first_step_of_epochs_120_and_160():
    assert changes(DECAYS["step"]) == [120 * 21, 160 * 21]
    assert [DECAYS["step"](at_epoch(epoch)) for epoch in (0, 120, 160)] == pytest.approx([1, 0.1, 0.01])


def test_milestones_are_exact_for_every_number_of_epochs():
    for epochs in range(1, 301):
        for percent in range(1, 101):
            decay = partial(schedules.step_decay, milestones=[percent / 100], factor=0.5)
            turn = -(-percent * epochs // 100)  # rounded up, in integers
            assert [decay(Clock(0, 1, epoch, epochs)) for epoch in (turn - 1, turn)] == [1, 0.5], (percent, epochs)


def test_step_decay_without_milestones_is_constant_and_takes_any_factor():
    assert changes(partial(schedules.step_decay, milestones=(), factor=0.1)) == []
    assert schedules.step_decay(at_epoch(199), milestones=(0.1, 0.2, 0.3), factor=3.0) == 27


def test_warmup_of_5_epochs_rises_by_equal_shares_and_ends_at_1():
    rate = partial(schedules.warmup, fraction=0.025)
    values = [rate(clock) for clock in CLOCKS]
    assert values[:105] == pytest.approx([(step + 1) / 105 for step in range(105)])
    assert values[103] < 1 and set(values[104:]) == {1.0}


def test_no_warmup_starts_at_1():
    assert changes(partial(schedules.warmup, fraction=0.0)) == []
    assert schedules.warmup(CLOCKS[0], fraction=0.0) == 1


def test_warmup_shorter_than_a_step_starts_at_1():
    assert schedules.warmup(at_step(0, steps=10), fraction=0.01) == 1


@pytest.mark.parametrize(
    ("decay", "values"),
    [
        (schedules.cosine_decay, [1, 1, 0.8535534, 0.5, 0.1464466, 0]),  # (1 + cos 45 degrees) / 2 in the third place
        (schedules.linear_decay, [1, 1, 0.75, 0.5, 0.25, 0]),
    ],
)
def test_decay_after_warmup_by_hand(decay, values):
    steps = (0, 20, 40, 60, 80, 100)
    assert [decay(at_step(step, 100), warmup=0.2) for step in steps] == pytest.approx(values)


@pytest.mark.parametrize("decay", DECAYS.values(), ids=DECAYS)
def test_decay_waits_for_the_warmup_and_never_rises(decay):
    values = [decay(clock) for clock in CLOCKS]
    assert set(values[:106]) == {1.0}
    assert all(before >= now > 0 for before, now in pairwise(values))
    assert values[-1] < 0.011


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_smooth_decay_changes_at_every_step(name):
    assert changes(DECAYS[name]) == list(range(106, 4200))


def test_one_cycle_is_a_triangle():
    clocks = [at_step(step, steps=8) for step in range(8)]
    cycle = [schedules.warmup(c, fraction=0.25) * schedules.linear_decay(c, warmup=0.25) for c in clocks]
    assert cycle == pytest.approx([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_stages_end_when_they_say_and_the_last_one_has_no_size():
    sizes = [schedules.staged(clock, stages=((0.25, 16), (0.75, 24))) for clock in CLOCKS]
    quarter = len(CLOCKS) // 4
    assert sizes == [16] * quarter + [24] * 2 * quarter + [None] * quarter


def test_without_stages_there_is_no_size():
    assert {schedules.staged(clock, stages=()) for clock in CLOCKS} == {None}
