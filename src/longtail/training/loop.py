"""The loop: steps, log, evaluations and checkpoints, from the first step to the last."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from lightning_fabric import Fabric
from rich.console import Console

from longtail import methods, recipe
from longtail.data import batches
from longtail.inference import evaluate
from longtail.inference import model as models
from longtail.metrics import Summary
from longtail.networks import parameters_in_millions as millions
from longtail.optim.schedules import Clock
from longtail.recipe import Recipe, build
from longtail.runs.datamodule import DataModule
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.runtime import distributed
from longtail.runtime.distributed import Process
from longtail.text import duration, quantity
from longtail.training import progress
from longtail.training.finish import finish
from longtail.training.log import Log
from longtail.training.state import TrainState
from longtail.training.time_budget import Schedule, TimeBudget

SECONDS_BETWEEN_CHECKPOINTS = 30.0
_FIXED = 0.15  # of the time of a step, whatever the size of its images (`benchmarks/fast_trials.md`, cost)


def fit(
    fabric: Fabric,
    settings: Recipe,
    data: DataModule,
    run: RunDir,
    *,
    since: float,
    interrupted: threading.Event,
    console: Console,
) -> Summary | None:
    """Train until the end, from the beginning or from where the run folder says.

    Args:
        fabric: launched.
        settings: the recipe.
        data: of the training.
        run: the folder; its recipe is written.
        since: see `train`.
        interrupted: when set, the step at hand is finished and the state saved.
        console: where progress goes.
    Returns: results of the last epoch, or `None` if interrupted before.
    Raises: ValueError when a loss is not finite; the last saved state stays. TooShortError if the budget is gone before
        anything could be learned.
    """
    saved = run.read_checkpoint()
    state = TrainState(settings, fabric, data.counts, fetch=saved is None)
    plan = batch_plan(settings, data, state.method, fabric)
    began, first = time.monotonic(), fabric.global_rank == 0
    message = progress.messages(console, silent=not first)
    schedule = Schedule(settings.epochs, plan.steps_per_epoch, settings.evaluate_every, step_cost(settings, data))
    budget = TimeBudget(settings.budget, schedule, saved=saved["course"] if saved else None, device=fabric.device)
    checkpoints = Checkpoints(run if first else None, state, budget)
    start, seconds = checkpoints.restore(saved)
    message(_announcement(settings, data, state, budget, start))
    log = Log(run if first else None, start, tensorboard=settings.tensorboard)
    evaluator = Evaluator(fabric, settings, data, state)
    images_a_step = settings.batch_size * sum(stream.views for stream in plan.streams)
    result, stream = None, step_batches(state, data, plan, budget, start)
    budget.begin(since, start=start)
    display = progress.Display(steps=budget.pace.steps, done=start, console=console, silent=not first)
    with closing(log), display:
        for step, micro_batches in enumerate(stream, start):
            clock, count = budget.clock(step), budget.count(step)
            rate = build.learning_rate(settings, clock)
            terms = state.train_step(micro_batches, plan, step, clock, rate=rate)
            done, last = step + 1, budget.ends(step)
            if last:
                stream.close()  # workers may have begun to decode batches that will not be needed
            loss, left, heavier = float(terms["loss"]), budget.left(), budget.heavier(step)
            display.step(count, loss=loss, images=images_a_step, heavier=heavier, left=left)
            if done % settings.log_every == 0 or last:
                log.step(done, count.epoch, rate, terms, seconds=seconds + time.monotonic() - began)
            budget.after_step(step)
            due = budget.evaluates(step)
            if due:
                result = evaluator.evaluate()
                budget.after_evaluation()
                display.evaluated(count, result.summary)
                log.evaluated(done, count.epoch, data.reported, result.summary)
            if budget.replans(step):
                replanned = budget.replan(step, evaluator.forecast)
                log.write(replanned)
                for line in budget.news(replanned):
                    message(line)
            stop = distributed.anywhere(interrupted.is_set(), fabric.device) and not last
            checkpoints.save(done, seconds=seconds + time.monotonic() - began, now=due or stop)
            if stop:
                fabric.barrier()
                return None
    # Without a result, the run was interrupted after its last step.
    logits = (result or evaluator.evaluate()).logits
    summary = finish(fabric, run, settings, data, state, logits, message=message)
    if first and budget.seconds is not None:
        _account(run, budget, message)
    return summary


class Evaluated(NamedTuple):
    """What an evaluation found."""

    logits: Float[np.ndarray, "images classes"]
    summary: Summary


class Evaluator:
    """Evaluates the network of a training, each process its share of the images; all of them must call its methods.

    Args:
        fabric: launched.
        settings: the recipe.
        data: whose images.
        state: whose network.
    """

    def __init__(self, fabric: Fabric, settings: Recipe, data: DataModule, state: TrainState) -> None:
        source, indices = data.split(data.reported)
        self._process, self._labels = Process.of(fabric), source.labels[indices]
        self._model = models.in_training(settings, data, state.classifier)
        self._batches = evaluate.split_batches(self._model, source, indices, settings.data, self._process)

    def evaluate(self) -> Evaluated:
        """Logits of all images, in every process, and what they are worth, without intervals."""
        distributed.share_buffers(self._model.network)
        share = evaluate.predict_batches(self._model, self._batches())
        logits = evaluate.joined(share, images=len(self._labels), process=self._process)
        return Evaluated(logits, evaluate.summarise(self._model, self._labels, logits, intervals=False))

    def forecast(self, seconds: float) -> float:
        """Seconds that an evaluation will take, from a trial of about so many seconds."""
        batches = self._batches()
        return evaluate.forecast(self._model, batches, self._labels, seconds=seconds, process=self._process)


class Checkpoints:
    """Saves all that a training needs to go on as if it had not been interrupted.

    Args:
        run: its folder; `None` saves nothing, as all processes but the first do.
        state: of the training.
        budget: its time.
    """

    def __init__(self, run: RunDir | None, state: TrainState, budget: TimeBudget) -> None:
        self._run, self._state, self._budget = run, state, budget
        self._saved = time.monotonic()

    def restore(self, saved: dict[str, Any] | None) -> tuple[int, float]:
        """Go back to a saved state, if there is one; the steps done, and the seconds that they took."""
        return (0, 0.0) if saved is None else self._state.restore(saved)

    def save(self, done: int, *, seconds: float, now: bool) -> None:
        """Save the state after a step, if it must be now or the last time is half a minute ago.

        Args:
            done: steps.
            seconds: that they took.
            now: whether it must be.
        """
        if self._run is None or not (now or time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS):
            return
        self._run.write_checkpoint({**self._state.state(done, seconds), "course": self._budget.state()})
        self._saved = time.monotonic()


def batch_plan(settings: Recipe, data: DataModule, method: methods.Method, fabric: Fabric) -> batches.Plan:
    """Which images each process sees in each step.

    Raises: ValueError if the batch does not fit the data or the number of processes.
    """
    return batches.Plan(
        data.train_labels,
        method.streams,
        settings.batch_size,
        seed=settings.seed,
        accumulate=settings.accumulate,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )


def step_batches(
    state: TrainState, data: DataModule, plan: batches.Plan, budget: TimeBudget, start: int
) -> Generator[list[tuple[batches.Batch, ...]], None, None]:
    """The micro-batches of each step, from a first one on."""
    options, area, device = state.settings.data, state.settings.augment.resized_crop, state.fabric.device
    stop = budget.stop(start)
    if options.in_memory:
        pixels = batches.stack(data.source, data.train_indices, size=options.image_size).to(device)
        return batches.in_memory(plan, pixels, start=start, stop=stop, sampler=state.sampler, progress=budget.progress)
    encoded = batches.Encoded(data.source, data.train_indices, size=options.image_size, area=area)
    pin_memory = device.type == "cuda"
    return batches.decoded(plan, encoded, start=start, stop=stop, workers=options.workers, pin_memory=pin_memory)


def step_cost(settings: Recipe, data: DataModule) -> Callable[[Clock], float] | None:
    """What a step costs by the size of its images, against one with whole images; `None` if all cost the same."""
    if not settings.augment.stages:
        return None
    side = min(batches.stack(data.source, data.train_indices[:1], size=settings.data.image_size).shape[-2:])

    def cost(clock: Clock) -> float:
        part = min(1.0, (build.image_size(settings, clock) or side) / side)
        return _FIXED + (1 - _FIXED) * part**2

    return cost


def _account(run: RunDir, budget: TimeBudget, message: Callable[[str], object]) -> None:
    """Report and record what became of a budget."""
    account = budget.account()
    Environment.read(run.environment).model_copy(update={"time": account}).write(run.environment)
    took = f"{duration(account.spent)} of {duration(account.budget)}"
    message(f"{account.steps:,} steps, {account.epochs:,.1f} epochs, in {took}")


def _announcement(settings: Recipe, data: DataModule, state: TrainState, budget: TimeBudget, start: int) -> str:
    """What is about to happen, in one line."""
    return (
        f"{settings.name}: {len(data.train_indices):,} images of {len(data.counts)} classes, {data.counts.max():,} to "
        f"{data.counts.min():,} a class; {recipe.network_name(settings.network)}, "
        f"{millions(state.classifier):.2f} M parameters; "
        f"{quantity(settings.epochs, 'epoch')} of {budget.schedule.steps_per_epoch} steps"
        + (f", fitted into {duration(settings.budget)}" if settings.budget else "")
        + (f"; going on after step {start:,} of {budget.pace.steps:,}" if start else "")
    )
