"""Clock, and the schedules of learning rate, contrastive weight and image size."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Clock(NamedTuple):
    """Where a training stands; the only time anything in `longtail` knows.

    With a budget of time, it is the clock of the recipe's schedule, and runs faster or slower than steps are taken.

    Args:
        step: optimiser steps done, from 0.
        steps: optimiser steps of the whole training, at least 1.
        epoch: passes over the natural training set done, from 0.
        epochs: passes of the whole training, at least 1.

    >>> Clock.at(step=25, epochs=4, steps_per_epoch=10)
    Clock(step=25, steps=40, epoch=2, epochs=4)
    """

    step: int
    steps: int
    epoch: int
    epochs: int

    @classmethod
    def at(cls, *, step: int, epochs: int, steps_per_epoch: int) -> "Clock":
        """The clock at an optimiser step, for a training of `epochs * steps_per_epoch` steps."""
        return cls(step, epochs * steps_per_epoch, step // steps_per_epoch, epochs)

    @classmethod
    def part(cls, progress: float, *, epochs: int, steps_per_epoch: int) -> "Clock":
        """The clock at a part of the way from the first step to the last one.

        >>> [Clock.part(progress, epochs=4, steps_per_epoch=10).step for progress in (0, 0.5, 1)]
        [0, 20, 39]
        """
        last = epochs * steps_per_epoch - 1
        return cls.at(step=round(progress * last), epochs=epochs, steps_per_epoch=steps_per_epoch)


def parabolic(clock: Clock) -> float:
    """Weight of the feature branch, slow to leave 1: `1 - (epoch / epochs) ** 2`.

    Source: Wang et al. 2021, arXiv:2103.14267, the curriculum of the hybrid networks; epochs are counted from 0.

    >>> [parabolic(Clock(0, 1, epoch, 200)) for epoch in (0, 100, 190)]
    [1.0, 0.75, 0.09750000000000003]
    """
    return 1 - (clock.epoch / clock.epochs) ** 2


def linear(clock: Clock) -> float:
    """Weight of the feature branch, falling evenly from 1: `1 - epoch / epochs`.

    >>> linear(Clock(0, 1, epoch=50, epochs=200))
    0.75
    """
    return 1 - clock.epoch / clock.epochs


def cosine(clock: Clock) -> float:
    """Weight of the feature branch along a quarter of a cosine: `cos(pi / 2 * epoch / epochs)`.

    >>> round(cosine(Clock(0, 1, epoch=100, epochs=200)), 4)
    0.7071
    """
    return math.cos(math.pi / 2 * clock.epoch / clock.epochs)


def switch(clock: Clock, *, at: float) -> float:
    """Weight of the feature branch that drops from 1 to 0 once: two-stage training.

    Args:
        clock: the time.
        at: fraction of the training after which the weight is 0, in `[0, 1]`.

    >>> [switch(Clock(0, 1, epoch, 10), at=0.5) for epoch in (4, 5)]
    [1.0, 0.0]
    """
    return 1.0 if clock.epoch / clock.epochs < at else 0.0


def warmup(clock: Clock, *, fraction: float) -> float:
    """Factor of the learning rate that rises linearly to 1 in the first `fraction` of the steps, then stays there.

    The first step already moves: it has one share of the rise, not 0.

    Args:
        clock: the time.
        fraction: of all steps, in `[0, 1)`; 0 means no warm-up.

    >>> [warmup(Clock(step, 40, 0, 1), fraction=0.1) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    rising = fraction * clock.steps
    return min(1.0, (clock.step + 1) / rising) if rising > 0 else 1.0


def step_decay(clock: Clock, *, milestones: Sequence[float], factor: float) -> float:
    """Factor of the learning rate that is multiplied by `factor` at each milestone.

    Args:
        clock: the time.
        milestones: fractions of the training, in `[0, 1]`.
        factor: above 0, usually below 1.

    >>> [round(step_decay(Clock(0, 1, epoch, 200), milestones=(0.6, 0.8), factor=0.1), 6) for epoch in (119, 120, 160)]
    [1.0, 0.1, 0.01]
    """
    return factor ** sum(clock.epoch / clock.epochs >= milestone for milestone in milestones)


def cosine_decay(clock: Clock, *, warmup: float) -> float:
    """Factor of the learning rate along half a cosine, from 1 at the end of the warm-up to 0 at the end.

    Args:
        clock: the time.
        warmup: fraction of the steps that the warm-up takes, in `[0, 1)`; the factor is 1 during it.
    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, one cycle without restarts.

    >>> [round(cosine_decay(Clock(step, 100, 0, 1), warmup=0), 6) for step in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    return (1 + math.cos(math.pi * _after_warmup(clock, warmup))) / 2


def linear_decay(clock: Clock, *, warmup: float) -> float:
    """Factor of the learning rate that falls evenly from 1 at the end of the warm-up to 0 at the end.

    With a linear warm-up this is the one-cycle schedule (a triangle).

    Args:
        clock: the time.
        warmup: fraction of the steps that the warm-up takes, in `[0, 1)`; the factor is 1 during it.
    Source: Smith and Topin 2018, arXiv:1708.07120 (super-convergence), without the last phase far below the start.

    >>> [round(linear_decay(Clock(step, 100, 0, 1), warmup=0.2), 6) for step in (0, 20, 60, 100)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return 1 - _after_warmup(clock, warmup)


def staged(clock: Clock, *, stages: Sequence[tuple[float, int]]) -> int | None:
    """The size of images in the stage that a training is in; none after the last stage.

    Args:
        clock: the time.
        stages: fraction of the training at which a stage ends, and the size in it; ascending.
    Source: progressive resizing, as in the DAWNBench entries of fast.ai (2018) and in Tan and Le 2021,
        arXiv:2104.00298.

    >>> [staged(Clock(step, 10, 0, 1), stages=((0.5, 16), (0.8, 24))) for step in (0, 4, 5, 7, 8)]
    [16, 16, 24, 24, None]
    """
    done = clock.step / clock.steps
    return next((size for end, size in stages if done < end), None)


def _after_warmup(clock: Clock, warmup: float) -> float:
    """Share of the steps after the warm-up that are done, 0 to 1."""
    start = warmup * clock.steps
    return max(0.0, (clock.step - start) / (clock.steps - start))
