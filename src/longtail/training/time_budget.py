"""Time budget: how fast a training goes through its schedule, so that it ends in time and annealed."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from longtail.optim.schedules import Clock
from longtail.runs.records import TimeSpent
from longtail.runtime import distributed
from longtail.text import duration
from longtail.training.processes import CommonError

_FIRST = 3  # steps of which only the fastest counts
_MEMORY = 4, 20  # the estimate of a step looks back on this part of the steps done, and at most on that of all
_HOLDS = 10  # a plan holds for this part of the steps done, and of those to come
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
        until: steps done when the rest is planned anew.

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

    def after_step(self, seconds: float, *, done: int, steps: int, cost: float = 1.0) -> "Times":
        """Take in one more step.

        The estimate is a mean that forgets: its memory grows with the training, so that the slow steps at the beginning
        soon count no more, and is bounded, so that a machine that becomes slower is noticed.

        Args:
            seconds: that it took.
            done: steps, with this one.
            steps: of the whole training, as planned.
            cost: of this step, in steps of cost 1.

        >>> times = Times().after_step(5.0, done=1, steps=1000).after_step(1.0, done=2, steps=1000)
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

    def after_evaluation(self, seconds: float) -> "Times":
        """Take in an evaluation before the end."""
        return self._replace(
            spent=self.spent + seconds, evaluation=seconds, evaluated=self.evaluated + seconds, trials=self.trials + 1
        )


def affords_evaluation(times: Times) -> bool:
    """Whether one more evaluation before the end costs little: once it is known what one costs."""
    return times.trials > 0 and times.evaluated + times.evaluation <= _CHEAP * times.spent


def needs_trial(times: Times, budget: float) -> bool:
    """Whether an evaluation should be tried: at the beginning, and again before the end if it takes long."""
    remaining, evaluation = left(times, budget), times.evaluation
    # Early enough for what is left to suffice, should it take twice as long as at the beginning.
    late = remaining < budget / 10 + 1.5 * evaluation and evaluation > _TRIAL * budget
    return times.trials == 0 or (times.trials == 1 and late)


def left(times: Times, budget: float) -> float:
    """Seconds left for steps."""
    return budget - times.spent - times.evaluation


def replan(pace: Pace, times: Times, budget: float, *, done: int, cost: float = 1.0) -> Pace:
    """Plan the rest of a training anew, so that the time left is used and the schedule ends with it.

    Args:
        pace: up to now.
        times: up to now.
        budget: seconds that there are.
        done: steps, at least 1; the last of them was not the last of the training.
        cost: of those to come, on average.
    Returns: a line from the last step done to the end. It has at least one more step, whatever the time.

    >>> replan(Pace(0, 0.0, 5, 3), Times(spent=20.0, step=1.0, evaluation=5.0), 100.0, done=3)
    Pace(step=2, progress=0.5, steps=78, until=4)
    """
    # The first steps may be slow for reasons of their own; what is missing of their part of the schedule comes later.
    step = cost * times.step * min(1, done / _FIRST)
    coming = max(1, round(left(times, budget) / max(step, 1e-9)))
    holds = max(1, min(done, coming) // _HOLDS)
    return Pace(step=done - 1, progress=pace.at(done - 1), steps=done + coming, until=done + holds)


class TooShortError(CommonError):
    """A budget in which nothing can be learned."""


@dataclass(frozen=True)
class Schedule:
    """The schedule of a recipe, and what its steps cost.

    Args:
        epochs: of the recipe.
        steps_per_epoch: passes over the data are counted by it.
        evaluate_every: epochs of the schedule between evaluations.
        cost: what a step costs at a time, against other steps: small images are cheap. `None`: all cost the same.
    """

    epochs: int
    steps_per_epoch: int
    evaluate_every: int
    cost: Callable[[Clock], float] | None = None

    def clock(self, progress: float) -> Clock:
        """What the schedule's clock shows at a place, 0 to 1."""
        return Clock.part(progress, epochs=self.epochs, steps_per_epoch=self.steps_per_epoch)

    def cost_at(self, progress: float) -> float:
        """What a step costs at a place."""
        return 1.0 if self.cost is None else self.cost(self.clock(progress))

    def mean_cost(self, first: float, last: float) -> float:
        """The mean cost of steps that are spread evenly over a stretch of the schedule."""
        if self.cost is None:
            return 1.0
        return sum(self.cost_at(first + (last - first) * (part + 0.5) / _PARTS) for part in range(_PARTS)) / _PARTS

    def evaluates_between(self, before: float, after: float) -> bool:
        """Whether an evaluation is due between two places."""
        one, other = (self.clock(progress).epoch // self.evaluate_every for progress in (before, after))
        return other > one


class TimeBudget:
    """Where each step of a training stands in the recipe's schedule, and which is the last.

    Without a budget, step n of the training is step n of the schedule. With one, the training has as many steps as
    there is time for, and they are spread over the whole schedule: the clock that schedules and methods see is always
    one that the recipe itself would show. The time of the first process counts; all processes must call all methods.

    Args:
        seconds: of the budget; `None` for the whole schedule, step by step.
        schedule: of the recipe.
        saved: what `state` gave, to go on from there.
        device: that trains.
    """

    def __init__(
        self, seconds: float | None, schedule: Schedule, *, saved: dict[str, Any] | None, device: torch.device
    ) -> None:
        self.seconds, self.schedule, self._device = seconds, schedule, device
        whole = schedule.epochs * schedule.steps_per_epoch
        # Nothing is known before the first step. Until then, the schedule of a budget is as good as at a stand.
        self.pace = Pace(0, 0.0, whole, sys.maxsize) if seconds is None else Pace(0, 0.0, max(whole, 100), until=1)
        self.times = Times()
        if saved is not None:
            self.pace, self.times = Pace(**saved["pace"]), Times(**saved["times"])
        self._lap, self._first, self._announced = time.monotonic(), 0.0, 0

    def state(self) -> dict[str, Any] | None:
        """What has to be known to go on as if nothing had happened."""
        return None if self.seconds is None else {"pace": self.pace._asdict(), "times": self.times._asdict()}

    # Steps, from arguments and the pace alone.

    def stop(self, start: int) -> int:
        """The step before which batches end: with a budget, that is not known in advance."""
        return self.pace.steps if self.seconds is None or start >= self.pace.steps else sys.maxsize

    def progress(self, step: int) -> float:
        """How far a step is on the way from the first step of the schedule to the last one, 0 to 1."""
        return self.pace.at(step)

    def clock(self, step: int) -> Clock:
        """What the schedule's clock shows in a step."""
        return self.schedule.clock(self.pace.at(step))

    def count(self, step: int) -> Clock:
        """Steps and passes over the data as they are, or will be, really done; for people."""
        steps, each = self.pace.steps, self.schedule.steps_per_epoch
        return Clock(step, steps, step // each, -(-steps // each))

    def ends(self, step: int) -> bool:
        """Whether a step is the last."""
        return step + 1 == self.pace.steps

    def heavier(self, step: int) -> float:
        """What a step to come costs, on average, against those that were done since `begin`: for the time left."""
        now = self.pace.at(step)
        return self.schedule.mean_cost(now, 1.0) / self.schedule.mean_cost(self._first, now)

    # Time.

    def begin(self, since: float, *, start: int = 0) -> None:
        """Count what was done before the first step.

        Args:
            since: what `time.monotonic` showed when the command was given.
            start: the first step of this process.
        """
        self._first, self._lap = self.pace.at(start), time.monotonic()
        self.times = self.times._replace(spent=self.times.spent + self._lap - since)

    def spent(self) -> float:
        """Seconds up to now."""
        return self.times.spent + time.monotonic() - self._lap

    def left(self) -> float | None:
        """Seconds left of the budget."""
        return None if self.seconds is None else self.seconds - self.spent()

    def after_step(self, step: int) -> None:
        """Take in the time of a step, which has just been done."""
        cost = self.schedule.cost_at(self.pace.at(step))
        self.times = self.times.after_step(self._passed(), done=step + 1, steps=self.pace.steps, cost=cost)

    def evaluates(self, step: int) -> bool:
        """Whether to evaluate after a step: when the recipe says so, and with a budget only if that costs little."""
        if self.ends(step):
            return True
        due = self.schedule.evaluates_between(self.pace.at(step), self.pace.at(step + 1))
        if self.seconds is None or not due:
            return due
        return self._agreed(affords_evaluation(self.times))

    def after_evaluation(self) -> None:
        """Take in the time of an evaluation, which has just been done."""
        self.times = self.times.after_evaluation(self._passed())

    def replans(self, step: int) -> bool:
        """Whether it is time to plan the rest anew after a step."""
        return step + 1 == self.pace.until and not self.ends(step)

    def replan(self, step: int, trial: Callable[[float], float]) -> dict[str, Any]:
        """Plan the steps to come anew.

        Args:
            step: the last one done.
            trial: tries an evaluation for about so many seconds; returns how many all of it would take.
        Returns: the plan, for the log.
        Raises: TooShortError if the time is gone before anything could be learned.
        """
        assert self.seconds is not None
        if self._agreed(needs_trial(self.times, self.seconds)):
            evaluation = trial(_TRIAL * self.seconds)
            trials, spent = self.times.trials + 1, self.times.spent + self._passed()
            self.times = self.times._replace(evaluation=evaluation, trials=trials, spent=spent)
        self.times = Times(*self._of_first(self.times))
        done = step + 1
        if done == 1 and left(self.times, self.seconds) <= 0:
            raise TooShortError(
                f"budget is {duration(self.seconds)}, which is too short here: {duration(self.times.spent)} were "
                f"gone after the first step, and evaluating takes {duration(self.times.evaluation)}; allowed: more "
                "than their sum, and something to learn in"
            )
        cost = self.schedule.mean_cost(self.pace.at(step), 1.0)
        self.pace = replan(self.pace, self.times, self.seconds, done=done, cost=cost)
        return {
            "step": done,
            "progress": self.pace.at(done),
            "planned_steps": self.pace.steps,
            "seconds_a_step": cost * self.times.step,
            "seconds_of_evaluation": self.times.evaluation,
            "seconds_spent": self.times.spent,
        }

    # Words.

    def news(self, plan: dict[str, Any]) -> Iterator[str]:
        """A line about a plan, if it is the first that can be relied on, or much unlike the one of the last line."""
        assert self.seconds is not None
        done, steps = plan["step"], plan["planned_steps"]
        known = done > 2 * _FIRST and plan["progress"] > 0.01
        changed = abs(steps - self._announced) > _NEWS * self._announced
        if not known or not changed or steps - done < _HOLDS:
            return
        epochs, step = steps / self.schedule.steps_per_epoch, plan["seconds_a_step"]
        yield (
            f"{'now ' if self._announced else ''}about {epochs:,.1f} epochs in {duration(self.seconds)}: "
            f"{steps:,} steps; a step takes {f'{step:.2g}' if step < 10 else f'{step:.0f}'} s, evaluating "
            f"{duration(plan['seconds_of_evaluation'])}"
        )
        self._announced = steps

    def account(self) -> TimeSpent:
        """What became of the budget."""
        assert self.seconds is not None
        steps = self.pace.steps
        epochs = steps / self.schedule.steps_per_epoch
        return TimeSpent(budget=self.seconds, spent=self.spent(), steps=steps, epochs=epochs)

    def _passed(self) -> float:
        """Seconds since the last step or evaluation."""
        before, self._lap = self._lap, time.monotonic()
        return self._lap - before

    def _of_first(self, numbers: Sequence[float]) -> list[float]:
        return distributed.of_first(numbers, self._device)

    def _agreed(self, yes: bool) -> bool:
        return bool(self._of_first([yes])[0])
