"""A budget of time: how fast a training goes through its schedule, so that it ends when it should."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from longtail.optim.schedules import Clock
from longtail.runtime import distributed
from longtail.text import duration

_FIRST = 3  # steps of which only the fastest counts
_MEMORY = 4, 20  # the estimate of a step looks back on this part of the steps done, and at most on that of all
_HOLDS = 10  # a decision holds for this part of the steps done, and of those to come
_CHEAP = 0.02  # part of the time that evaluations before the end may take together
_TRIAL = 0.01  # part of the budget that trying an evaluation may take
_PARTS = 100  # of the schedule, for the mean cost of a step
_NEWS = 0.1  # a change of the planned steps that is worth a line


class Pace(NamedTuple):
    """How a training goes through its schedule: a line from one of its steps to its last.

    Args:
        step: where the line begins.
        progress: of that step; 0 is the first step of the schedule, 1 its last.
        steps: of the whole training.
        until: steps done when it is decided anew.

    >>> [Pace(step=0, progress=0.0, steps=5, until=5).at(step) for step in range(5)]
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    step: int
    progress: float
    steps: int
    until: int

    def at(self, step: int) -> float:
        """The progress of a step that is not before the line."""
        last = self.steps - 1
        return 1 - (1 - self.progress) * (last - step) / max(1, last - self.step)  # exactly 1 at the end


class Times(NamedTuple):
    """What a training knows about its own time, in seconds; interruptions are no part of it.

    Args:
        spent: since the command was given.
        step: that a step of cost 1 takes, with all that is done between steps.
        evaluation: that evaluating at the end will take.
        evaluated: spent on evaluations before the end.
        trials: how often an evaluation was tried.
    """

    spent: float = 0.0
    step: float = 0.0
    evaluation: float = 0.0
    evaluated: float = 0.0
    trials: float = 0.0

    def stepped(self, seconds: float, *, done: int, steps: int, cost: float = 1.0) -> "Times":
        """Take in one more step.

        The estimate is a mean that forgets: its memory grows with the training, so that the slow steps at the beginning
        soon count no more, and is bounded, so that a machine that becomes slower is noticed.

        Args:
            seconds: that it took.
            done: steps, with this one.
            steps: of the whole training, as planned.
            cost: of this step, in steps of cost 1.

        >>> times = Times().stepped(5.0, done=1, steps=1000).stepped(1.0, done=2, steps=1000)
        >>> times.spent, times.step
        (6.0, 1.0)
        """
        each = seconds / cost
        if done == 1:
            step = each
        elif done <= _FIRST:
            step = min(self.step, each)
        else:
            grows, bound = _MEMORY
            step = self.step + (each - self.step) / (1 + min(done / grows, max(2, steps / bound)))
        return self._replace(spent=self.spent + seconds, step=step)

    def ended(self, seconds: float) -> "Times":
        """Take in an evaluation before the end."""
        return self._replace(
            spent=self.spent + seconds, evaluation=seconds, evaluated=self.evaluated + seconds, trials=self.trials + 1
        )


def left(times: Times, budget: float) -> float:
    """Seconds left for steps."""
    return budget - times.spent - times.evaluation


def decide(pace: Pace, times: Times, budget: float, *, done: int, cost: float = 1.0) -> Pace:
    """Decide how to go on, so that the time left is used and the schedule ends with it.

    Args:
        pace: up to now.
        times: up to now.
        budget: seconds that there are.
        done: steps, at least 1; the last of them was not the last of the training.
        cost: of those to come, on average.
    Returns: a line from the last step done to the end. It has at least one more step, whatever the time.

    >>> decide(Pace(0, 0.0, 5, 3), Times(spent=20.0, step=1.0, evaluation=5.0), 100.0, done=3)
    Pace(step=2, progress=0.5, steps=78, until=4)
    """
    # The first steps may be slow for reasons of their own; what is missing of their part of the schedule comes later.
    step = cost * times.step * min(1, done / _FIRST)
    coming = max(1, round(left(times, budget) / max(step, 1e-9)))
    holds = max(1, min(done, coming) // _HOLDS)
    return Pace(step=done - 1, progress=pace.at(done - 1), steps=done + coming, until=done + holds)


class TooShortError(ValueError):
    """A budget in which nothing can be learnt."""


class Course:
    """Where each step of a training stands in the recipe's schedule, and which is the last.

    Without a budget, step n of the training is step n of the schedule. With one, the training has as many steps as
    there is time for, and they are spread over the whole schedule: the clock that schedules and methods see is always
    one that the recipe itself would show. The first process measures and decides; all processes must call all methods.

    Args:
        budget: seconds; `None` for the whole schedule, step by step.
        epochs: of the recipe.
        steps_per_epoch: passes over the data are counted by it.
        evaluate_every: epochs of the schedule between evaluations.
        saved: what `state` gave, to go on from there.
        device: that trains.
        say: tells the user a line.
        cost: what a step costs at a time, against other steps: small images are cheap.
    """

    def __init__(
        self,
        budget: float | None,
        *,
        epochs: int,
        steps_per_epoch: int,
        evaluate_every: int,
        saved: dict[str, Any] | None,
        device: torch.device,
        say: Callable[[str], None],
        cost: Callable[[Clock], float] = lambda _: 1.0,
    ) -> None:
        self.budget = budget
        self._epochs, self._steps_per_epoch, self._every = epochs, steps_per_epoch, evaluate_every
        self._device, self._say, self._said, self._cost = device, say, 0, cost
        self._mark, self._first = time.monotonic(), 0.0
        whole = epochs * steps_per_epoch
        # Nothing is known before the first step. Until then, the schedule of a budget is as good as at a stand.
        self.pace = Pace(0, 0.0, whole, until=sys.maxsize) if budget is None else Pace(0, 0.0, max(whole, 100), until=1)
        self.times = Times()
        if saved is not None:
            self.pace, self.times = Pace(**saved["pace"]), Times(**saved["times"])

    def state(self) -> dict[str, Any] | None:
        """What has to be known to go on as if nothing had happened."""
        return None if self.budget is None else {"pace": self.pace._asdict(), "times": self.times._asdict()}

    # Steps, from arguments and the pace alone.

    def stop(self, start: int) -> int:
        """The step before which batches end: with a budget, that is not known in advance."""
        return self.pace.steps if self.budget is None or start >= self.pace.steps else sys.maxsize

    def clock(self, step: int) -> Clock:
        """What the schedule's clock shows in a step."""
        return Clock.part(self.pace.at(step), epochs=self._epochs, steps_per_epoch=self._steps_per_epoch)

    def progress(self, step: int) -> float:
        """How far a step is on the way from the first step of the schedule to the last one, 0 to 1."""
        return self.pace.at(step)

    def count(self, step: int) -> Clock:
        """Steps and passes over the data as they are, or will be, really done; for people."""
        steps = self.pace.steps
        return Clock(step, steps, step // self._steps_per_epoch, -(-steps // self._steps_per_epoch))

    def ends(self, step: int) -> bool:
        """Whether a step is the last."""
        return step + 1 == self.pace.steps

    # Time.

    def begin(self, since: float, *, start: int = 0) -> None:
        """Count what was done before the first step.

        Args:
            since: what `time.monotonic` showed when the command was given.
            start: the first step of this process.
        """
        self._first = self.pace.at(start)
        self._mark = time.monotonic()
        self.times = self.times._replace(spent=self.times.spent + self._mark - since)

    def spent(self) -> float:
        """Seconds up to now."""
        return self.times.spent + time.monotonic() - self._mark

    def stepped(self, step: int) -> None:
        """Measure a step that was done."""
        cost = self._cost(self.clock(step))
        self.times = self.times.stepped(self._passed(), done=step + 1, steps=self.pace.steps, cost=cost)

    def evaluates(self, step: int) -> bool:
        """Whether to evaluate after a step: when the recipe says so, and with a budget only if that costs little."""
        if self.ends(step):
            return True
        due = self.clock(step + 1).epoch // self._every > self.clock(step).epoch // self._every
        if self.budget is None or not due:
            return due
        cost = self.times.evaluated + self.times.evaluation
        return bool(self._agreed([self.times.trials > 0 and cost <= _CHEAP * self.times.spent])[0])

    def evaluated(self) -> None:
        """Measure an evaluation that was done."""
        self.times = self.times.ended(self._passed())

    def decides(self, step: int) -> bool:
        """Whether it is time to decide anew after a step."""
        return step + 1 == self.pace.until and not self.ends(step)

    def decide(self, step: int, trial: Callable[[float], float]) -> dict[str, Any]:
        """Decide how to go on after a step.

        Args:
            step: the last one done.
            trial: tries an evaluation for about so many seconds, and says how many all of it would take.
        Returns: the decision, for the log.
        Raises: TooShortError if the time is gone before anything could be learnt.
        """
        assert self.budget is not None
        if self._agreed([self._unsure()])[0]:
            evaluation = trial(_TRIAL * self.budget)
            self.times = self.times._replace(
                evaluation=evaluation, trials=self.times.trials + 1, spent=self.times.spent + self._passed()
            )
        self.times = Times(*self._agreed(self.times))
        done = step + 1
        if done == 1 and left(self.times, self.budget) <= 0:
            raise TooShortError(self._too_short(self.budget))
        cost = self._mean_cost(self.pace.at(step), 1.0)
        self.pace = decide(self.pace, self.times, self.budget, done=done, cost=cost)
        self._announce(done, cost * self.times.step)
        return {
            "step": done,
            "progress": self.pace.at(done),
            "planned_steps": self.pace.steps,
            "seconds_a_step": cost * self.times.step,
            "seconds_of_evaluation": self.times.evaluation,
            "seconds_spent": self.times.spent,
        }

    def heavier(self, step: int) -> float:
        """What a step to come costs, on average, against those that were done since `begin`: for the time left."""
        now = self.pace.at(step)
        return self._mean_cost(now, 1.0) / self._mean_cost(self._first, now)

    def _mean_cost(self, first: float, last: float) -> float:
        """The mean cost of steps that are spread evenly over a stretch of the schedule."""
        places = (first + (last - first) * (part + 0.5) / _PARTS for part in range(_PARTS))
        part = partial(Clock.part, epochs=self._epochs, steps_per_epoch=self._steps_per_epoch)
        return sum(self._cost(part(place)) for place in places) / _PARTS

    def _unsure(self) -> bool:
        """Whether an evaluation should be tried: at the beginning, and again before the end if it takes long."""
        assert self.budget is not None
        remaining, evaluation = left(self.times, self.budget), self.times.evaluation
        # Early enough for what is left to suffice, should it take twice as long as at the beginning.
        late = remaining < self.budget / 10 + 1.5 * evaluation and evaluation > _TRIAL * self.budget
        return self.times.trials == 0 or (self.times.trials == 1 and late)

    def _passed(self) -> float:
        """Seconds since something was measured last."""
        before, self._mark = self._mark, time.monotonic()
        return self._mark - before

    def _agreed(self, numbers: Sequence[float]) -> list[float]:
        return distributed.told(numbers, self._device)

    def _too_short(self, budget: float) -> str:
        return (
            f"budget is {duration(budget)}, which is too short here: {duration(self.times.spent)} were "
            f"gone after the first step, and evaluating takes {duration(self.times.evaluation)}; allowed: more "
            "than their sum, and something to learn in"
        )

    def _announce(self, done: int, step: float) -> None:
        """Say what was decided, if it is the first time that this can be known, or news.

        Args:
            done: steps.
            step: seconds that one will take, on average.
        """
        assert self.budget is not None
        known = done > 2 * _FIRST and self.pace.at(done) > 0.01
        news = abs(self.pace.steps - self._said) > _NEWS * self._said
        if not known or not news or self.pace.steps - done < _HOLDS:
            return
        epochs = self.pace.steps / self._steps_per_epoch
        self._say(
            f"{'now ' if self._said else ''}about {epochs:,.1f} epochs in {duration(self.budget)}: "
            f"{self.pace.steps:,} steps; a step takes {f'{step:.2g}' if step < 10 else f'{step:.0f}'} s, evaluating "
            f"{duration(self.times.evaluation)}"
        )
        self._said = self.pace.steps
