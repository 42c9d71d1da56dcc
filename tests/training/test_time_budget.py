"""A training with a budget ends in time and at the end of its schedule, whatever the machine does meanwhile."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from longtail import recipe
from longtail.inference import evaluate
from longtail.optim import schedules
from longtail.optim.schedules import Clock
from longtail.recipe import build
from longtail.runs.folder import RunDir
from longtail.training import loop, state, time_budget, train
from longtail.training.time_budget import Pace, Schedule, TimeBudget, Times
from support import interrupted_trainings, small_trainings

EPOCHS, STEPS_PER_EPOCH = 200, 84


@dataclass
class Machine:
    """Stands in for `time` and for everything that takes some. Times of work may depend on the time and on the step."""

    seconds: float = 1.0
    evaluation: float = 5.0
    batches: int = 10  # of an evaluation
    slower: tuple[float, float] = (1e9, 1.0)  # from when on, and by how much
    slow_steps: dict[int, float] = field(default_factory=dict)
    burst: int = 1  # the work of so many steps is done in one of them
    cheap: tuple[float, float] = (0.0, 1.0)  # up to which part of the schedule steps cost less, and how much
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        since, factor = self.slower
        self.now += seconds * (factor if self.now - 1000 >= since else 1.0)

    def cost(self, clock: Clock) -> float:
        until, cost = self.cheap
        return cost if clock.step < until * clock.steps else 1.0

    def step(self, step: int, clock: Clock) -> None:
        busy = self.burst if step % self.burst == 0 else 0.01
        self.work(self.slow_steps.get(step, self.seconds * busy * self.cost(clock)))

    def trial(self, seconds: float) -> float:
        begin, done = self.now, 0
        while done < 2 or (self.now - begin < seconds and done < self.batches):
            self.work(self.evaluation / self.batches)
            done += 1
        return (self.now - begin) / done * self.batches


@dataclass
class Trained:
    spent: float
    progress: list[float]
    ends: list[float]  # of the steps, in seconds
    last: Clock
    lines: list[str]
    evaluations: list[int]


@pytest.fixture
def on(monkeypatch):
    """Go through a training without learning anything."""

    def go(machine: Machine, seconds: float, *, start: float = 3.0, every: int = 5) -> Trained:
        monkeypatch.setattr(time_budget, "time", machine)
        lines, progress, ends, evaluations = list[str](), list[float](), list[float](), list[int]()
        schedule = Schedule(EPOCHS, STEPS_PER_EPOCH, every, machine.cost)
        budget = TimeBudget(seconds, schedule, saved=None, device=torch.device("cpu"))
        since = machine.now
        machine.now += start
        budget.begin(since)
        for step in range(budget.stop(0)):
            progress.append(budget.pace.at(step))
            last = budget.clock(step)
            machine.step(step, last)
            ends.append(machine.now - since)
            budget.after_step(step)
            if budget.evaluates(step):
                machine.work(machine.evaluation)
                budget.after_evaluation()
                evaluations.append(step)
            if budget.replans(step):
                lines += budget.news(budget.replan(step, machine.trial))
            if budget.ends(step):
                return Trained(machine.now - since, progress, ends, last, lines, evaluations)
        raise AssertionError("it did not end")

    return go


MACHINES = {
    "at even pace": Machine(),
    "with short steps": Machine(seconds=0.07),
    "half as fast from the middle on": Machine(slower=(450, 2.0)),
    "twice as fast from the middle on": Machine(slower=(450, 0.5)),
    "four times slower near the end": Machine(slower=(800, 4.0)),
    "with slow first steps": Machine(slow_steps={0: 30.0, 1: 5.0, 2: 2.0}),
    "with a pause": Machine(slow_steps={400: 60.0}),
    "that waits for workers every 8 steps": Machine(burst=8),
    "with a long evaluation": Machine(evaluation=300.0),
    "with a long evaluation that becomes longer": Machine(evaluation=150.0, slower=(400, 2.0)),
    "with steps that cost little in the first half": Machine(cheap=(0.5, 0.25)),
    "with few long steps": Machine(seconds=20.0, evaluation=40.0),
}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_training_ends_in_time_and_at_the_end_of_its_schedule(on, machine):
    trained = on(machine, 900.0)
    assert trained.spent == pytest.approx(900, rel=0.05)
    assert trained.progress[0] == 0 and trained.progress[-1] == 1
    assert all(before < now for before, now in pairwise(trained.progress))
    assert trained.last == Clock.at(
        step=EPOCHS * STEPS_PER_EPOCH - 1, epochs=EPOCHS, steps_per_epoch=STEPS_PER_EPOCH
    ), "rate and alpha are where the recipe ends"
    assert trained.evaluations[-1] == len(trained.progress) - 1


def test_the_end_of_the_schedule_has_the_lowest_rate_and_alpha():
    settings = recipe.load("cifar100-lt-100/hybrid-psc", {"schedule.kind": "one-cycle"})
    last = Clock.part(1.0, epochs=200, steps_per_epoch=21)
    assert build.learning_rate(settings, last) < 1e-3 * settings.optimizer.lr
    assert schedules.parabolic(last) < 0.01


def test_without_surprises_the_schedule_goes_by_the_time(on):
    trained = on(Machine(evaluation=20.0), 900.0)
    begin, end = trained.ends[0], trained.ends[-1]
    for progress, at in zip(trained.progress, trained.ends, strict=True):
        assert progress == pytest.approx((at - begin) / (end - begin), abs=0.03)
    assert len(trained.lines) == 1
    assert re.fullmatch(
        r"about 10\.[345] epochs in 15m: 8\d\d steps; a step takes 1 s, evaluating 20s", trained.lines[0]
    ), trained.lines


@pytest.mark.parametrize("cost", [0.1, 0.25, 1.0, 4.0])
def test_steps_are_spread_evenly_over_the_schedule_though_some_cost_less(on, cost):
    trained = on(Machine(cheap=(0.5, cost)), 900.0)
    first = sum(progress < 0.5 for progress in trained.progress) / len(trained.progress)
    assert first == pytest.approx(0.5, abs=0.03)
    assert len(trained.progress) == pytest.approx(890 / (0.5 + 0.5 * cost), rel=0.05)
    assert len(trained.lines) == 1


def test_steps_to_come_are_weighed_against_those_that_were_done():
    schedule = Schedule(EPOCHS, STEPS_PER_EPOCH, 1, Machine(cheap=(0.5, 0.25)).cost)
    budget = TimeBudget(None, schedule, saved=None, device=torch.device("cpu"))
    steps = EPOCHS * STEPS_PER_EPOCH
    budget.begin(0.0)
    # A quarter is done at 0.25 each; to come are another quarter of those and half of all steps at 1 each.
    assert budget.heavier(steps // 4) == pytest.approx((0.25 * 0.25 + 0.5) / 0.75 / 0.25, rel=0.02)
    budget.begin(0.0, start=steps // 2)  # another process began there
    assert budget.heavier(3 * steps // 4) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("factor", "fewer"), [(2.0, True), (0.5, False)])
def test_another_speed_is_reported_once_it_matters(on, factor, fewer):
    trained = on(Machine(slower=(450, factor)), 900.0)
    planned = [int(re.findall(r"([\d,]+) steps", line)[0].replace(",", "")) for line in trained.lines]
    assert 2 <= len(planned) <= 6
    assert all(line.startswith("now about") for line in trained.lines[1:])
    assert (planned[-1] < planned[0]) == fewer
    assert planned[-1] == pytest.approx(len(trained.progress), rel=0.15)


def test_slow_first_steps_do_not_use_up_the_warm_up(on):
    trained = on(Machine(slow_steps={0: 10.0, 1: 3.0, 2: 2.0}), 900.0)
    assert trained.progress[10] < 0.02


@pytest.mark.parametrize(("evaluation", "times"), [(0.01, 40), (3.0, 5), (100.0, 0)])
def test_evaluations_before_the_end_take_a_fiftieth_of_the_time_at_most(on, evaluation, times):
    trained = on(Machine(evaluation=evaluation), 900.0)
    *early, last = trained.evaluations
    assert len(early) <= times
    assert len(early) >= times - 2
    assert evaluation * len(early) <= 0.02 * 900
    assert last == len(trained.progress) - 1


def test_a_budget_that_is_gone_after_the_first_step_is_an_error_in_one_line(on):
    with pytest.raises(
        time_budget.TooShortError, match=r"^budget is 8s, which is too short here: .*evaluating takes 5"
    ):
        on(Machine(), 8.0)
    assert on(Machine(), 12.0).progress[-1] == 1, "a few steps are few, but no error"


def test_no_budget_is_the_recipe_step_by_step():
    budget = TimeBudget(None, Schedule(7, 13, evaluate_every=3), saved=None, device=torch.device("cpu"))
    clocks = [Clock.at(step=step, epochs=7, steps_per_epoch=13) for step in range(7 * 13)]
    assert budget.stop(0) == len(clocks)
    assert [budget.clock(step) for step in range(len(clocks))] == clocks
    assert [budget.count(step) for step in range(len(clocks))] == clocks
    assert [step + 1 for step in range(len(clocks)) if budget.evaluates(step)] == [3 * 13, 6 * 13, 7 * 13]
    assert not any(budget.replans(step) for step in range(len(clocks)))
    assert budget.state() is None


@pytest.mark.parametrize("steps", [1, 2, 3, 97, 16_800, 1_000_003])
def test_every_step_of_a_recipe_has_its_own_place(steps):
    pace = Pace(0, 0.0, steps, until=steps + 1)
    some = range(0, steps, max(1, steps // 5000))
    assert [Clock.part(pace.at(step), epochs=1, steps_per_epoch=steps).step for step in some] == list(some)


def test_a_plan_ends_exactly_at_the_end():
    for done in range(1, 200):
        pace = Pace(0, 0.0, 1000, until=done)
        planned = time_budget.replan(pace, Times(spent=done, step=1.0), 317.3, done=done)
        assert planned.at(planned.steps - 1) == 1.0
        assert planned.at(done) > pace.at(done - 1)


# The loop.


class Learning:
    """A machine for the real loop: a step takes an eighth of a second, which floating point knows exactly."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@contextmanager
def machine() -> Iterator[Learning]:
    stopped, train_step = Learning(), state.TrainState.train_step

    def step(self, *arguments, **keywords):
        stopped.now += 0.125
        return train_step(self, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        for module in (time_budget, evaluate):
            patch.setattr(module, "time", stopped)
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(state.TrainState, "train_step", step)
        yield stopped


@pytest.fixture
def learning() -> Iterator[Learning]:
    with machine() as stopped:
        yield stopped


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run of 5 s: 40 steps of an eighth."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    with machine() as stopped:
        train.train(small_trainings.settings("hybrid-psc", "budget=5s"), path, device="cpu", since=stopped.now)
    return path


def test_killed_and_resumed_equals_no_interruption_when_the_times_are_the_same(whole, tmp_path, learning):
    steps = [record for record in small_trainings.log(whole) if "loss" in record]
    assert len(steps) == 40, "5 s are 40 steps of an eighth"
    assert steps[-1]["lr"] == pytest.approx(
        build.learning_rate(small_trainings.settings("hybrid-psc"), Clock.at(step=39, epochs=10, steps_per_epoch=4))
    )
    assert steps[-1]["alpha"] == pytest.approx(1 - 0.9**2)
    cut = tmp_path / "cut"
    interrupted_trainings.stop(small_trainings.settings("hybrid-psc", "budget=5s"), cut, step=17, since=learning.now)
    late = shutil.copytree(cut, tmp_path / "late")
    learning.now += 1000.0  # of interruption
    train.resume(cut, since=learning.now)
    small_trainings.assert_same(whole, cut)
    for path in (whole, cut):
        account = small_trainings.json_of(path / "environment.json")["time"]
        assert account == {"budget": 5.0, "spent": 5.0, "steps": 40, "epochs": 10.0}
    # The time of another is up: it took long to start.
    train.resume(late, since=learning.now - 100.0)
    steps = [record["step"] for record in small_trainings.log(late) if "loss" in record]
    assert 18 <= len(steps) <= 20, "what was planned holds for a step or two"
    assert small_trainings.log(late)[-1]["split"] == "test"


def test_more_time_than_the_recipe_asks_for_is_used(tmp_path, learning):
    settings = small_trainings.settings("hybrid-psc", "budget=12.5s")
    train.train(settings, tmp_path / "run", device="cpu", since=learning.now)
    steps = [record for record in small_trainings.log(tmp_path / "run") if "loss" in record]
    assert len(steps) == 100
    assert steps[-1]["epoch"] == 24, "passes over the data; the schedule's epochs are spread over them"
    alphas = sorted({record["alpha"] for record in steps}, reverse=True)
    assert alphas == pytest.approx([1 - (epoch / 10) ** 2 for epoch in range(10)])


def test_a_budget_too_short_holds_no_run(tmp_path, learning):
    settings = small_trainings.settings("ce", "budget=1s")
    with pytest.raises(ValueError, match="budget is 1s, which is too short here"):
        train.train(settings, tmp_path / "run", device="cpu", since=learning.now - 1.0)
    with pytest.raises(ValueError, match="holds no run"):
        RunDir.open(tmp_path / "run")
    RunDir(tmp_path / "run").check_free()


def test_images_that_are_decoded_meanwhile_are_timed_with_the_loop(tmp_path, learning):
    settings = small_trainings.settings("ce", "budget=2s", "data.in_memory=false", "data.workers=2")
    train.train(settings, tmp_path / "run", device="cpu", since=learning.now)
    assert len([record for record in small_trainings.log(tmp_path / "run") if "loss" in record]) == 16


# A clock of its own in each process; that of the first is the one that counts.
TWINS = """
import os
from longtail.cli import main, train
from longtail.inference import evaluate
from longtail.training import state, time_budget

class Time:
    now = 0.0
    def monotonic(self):
        return self.now

time = time_budget.time = train.time = evaluate.time = Time()
learn = state.TrainState.train_step

def step(self, *arguments, **keywords):
    time.now += 0.5 if int(os.environ.get("LOCAL_RANK", 0)) else 0.125
    return learn(self, *arguments, **keywords)

state.TrainState.train_step = step
main.main()
"""


@pytest.mark.slow
def test_two_processes_go_by_the_clock_of_the_first(whole, tmp_path):
    script = tmp_path / "twins.py"
    script.write_text(TWINS)
    small_trainings.finish(
        small_trainings.train_in_command("hybrid-psc", tmp_path / "two", "budget=5s", script=script, devices=2)
    )
    one, two = ([r for r in small_trainings.log(path) if "planned_steps" in r] for path in (whole, tmp_path / "two"))
    assert one == two and len(one) > 5
    steps = [r for r in small_trainings.log(tmp_path / "two") if "loss" in r]
    assert [r["step"] for r in steps] == list(range(1, 41))


# The command line, and the setting.


@pytest.mark.parametrize(
    ("given", "seconds"), [("budget=15m", 900.0), ("budget=90", 90.0), ("budget=1h30m", 5400.0), ("budget=null", None)]
)
def test_a_recipe_takes_seconds_or_text_and_writes_seconds(given, seconds):
    settings = recipe.load("digits-lt/ce", recipe.parse_overrides([given]))
    assert settings.budget == seconds
    assert recipe.parse({**settings.model_dump(mode="json")}) == settings
    assert f"budget: {'null' if seconds is None else seconds}" in recipe.dump(settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("budget=15x", "budget: it is '15x'; allowed: a time with its units, such as 90s, 15m, 1h or 1h30m"),
        ("budget='15'", "budget: it is '15'; allowed"),
        ("budget=0", "budget is 0"),
        ("budget=-5", "budget is -5"),
        ("budget=0s", "budget is 0.0; allowed: a number above 0"),
        ("budget=true", "budget is true"),
        ("budget=[1]", r"budget is \[1\]"),
    ],
)
def test_anything_else_is_refused_in_one_line(given, message):
    with pytest.raises(ValueError, match=message) as error:
        recipe.load("digits-lt/ce", recipe.parse_overrides([given]))
    assert "\n" not in str(error.value)


def test_a_number_without_a_unit_is_refused_on_the_command_line(tmp_path):
    out, err = small_trainings.finish(
        small_trainings.command("train", "digits-lt/ce", "--budget", "15", "--out", tmp_path / "run"), code=2
    )
    assert out == "" and err.count("\n") == 1
    assert "budget: it is '15'; allowed: a time with its units" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_real_training_ends_in_time(tmp_path):
    """By its own clock, and with a second try: a busy machine may stop in the very last step."""
    spent = list[float]()
    for attempt in range(2):
        out = tmp_path / str(attempt)
        _, err = small_trainings.finish(
            small_trainings.command("train", "digits-lt/hybrid-psc", "--budget", "20s", "--out", out)
        )
        assert "fitted into 20s" in err and "epochs, in " in err
        spent.append(json.loads((out / "environment.json").read_text())["time"]["spent"])
        if abs(spent[-1] - 20) < 1:
            return
    raise AssertionError(spent)
