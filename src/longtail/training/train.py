"""Training: the loop, written out, from a recipe to a filled run folder."""

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console

import longtail
from longtail import methods, recipe, report
from longtail.data import batches
from longtail.data.augment.pixels import shrink
from longtail.inference import evaluate
from longtail.metrics import Summary
from longtail.networks import ImageClassifier
from longtail.networks import parameters_in_millions as millions
from longtail.optim.schedules import Clock
from longtail.recipe import Recipe, build
from longtail.report import model_card
from longtail.runs import custom_data, datamodule
from longtail.runs.datamodule import Task
from longtail.runs.folder import RunDir
from longtail.runtime import distributed, hardware, signals
from longtail.text import duration, one_line
from longtail.training import progress, time_budget
from longtail.training.log import Journal
from longtail.training.state import Learner

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_FIXED = 0.15  # of the time of a step, whatever the size of its images (`benchmarks/fast_trials.md`, cost)


def train(
    settings: Recipe,
    out: Path,
    *,
    advice: Sequence[str] = (),
    listed: custom_data.Listed | None = None,
    data_root: Path | None = None,
    download: bool = False,
    device: str = "auto",
    devices: int = 1,
    since: float | None = None,
    console: Console | None = None,
) -> Summary:
    """Train from a recipe into a new run folder.

    Args:
        settings: the recipe.
        out: the run folder; it must not hold a run yet.
        advice: why these settings, in lines that are told and kept with the run; see `preflight.choose`.
        listed: custom data that was read already, see `preflight.choose`; `None`: it is read here.
        data_root: see `sources.load`.
        download: see `sources.load`.
        device: see `hardware.runtime`.
        devices: see `hardware.runtime`. More than one starts this program again, so a script that calls this must do
            so under `if __name__ == "__main__"`.
        since: what `time.monotonic` showed when a budget of time began; `None` is now.
        console: where progress goes; `None` is standard error.
    Returns: results of the last epoch.
    Raises: ValueError or FileNotFoundError for bad settings or data; KeyboardInterrupt after SIGINT or SIGTERM, when
        the state has been saved.
    """
    since = time.monotonic() if since is None else since
    fabric = hardware.runtime(device=device, devices=devices, precision=settings.precision)
    first, run, console = fabric.global_rank == 0, RunDir(out), console or Console(stderr=True)
    if first:
        run.check_free()
    say = partial(_say, console) if first else _silent
    for line in advice:
        say(line)
    with progress.counting("decoding images", console=console, shown=first) as tell:
        task = datamodule.load(settings, listed=listed, data_root=data_root, download=download, say=say, progress=tell)
    method = build.method(settings, task.counts)
    _plan(settings, task, method, fabric)
    _try(method.classifier, settings, task)
    # What a user may have got wrong has been found by now: such a mistake leaves no folder behind.
    if not first:
        return _launch(fabric, settings, task, run, console, since)
    run.make()
    with run.locked():
        run.write_split(task.record(), task.quarantine)
        where = {
            "data_root": str(data_root.resolve()) if data_root else None,
            "device": device,
            "devices": devices,
            "precision": hardware.precision(fabric),
            "advice": [*advice],
        }
        run.write_json(run.environment, {**where, "started": hardware.now(), "resumed": [], **hardware.describe()})
        run.write_recipe(recipe.dump(settings))
        try:
            return _launch(fabric, settings, task, run, console, since)
        except time_budget.TooShortError:
            run.forget()
            raise


def resume(
    path: Path,
    *,
    data_root: Path | None = None,
    device: str | None = None,
    devices: int | None = None,
    since: float | None = None,
    console: Console | None = None,
) -> Summary:
    """Continue a run that was interrupted, exactly as if it had not been.

    Args:
        path: the run folder.
        data_root: where the data is; `None` is where it was.
        device: see `train`; `None` is what it was.
        devices: see `train`; `None` is what it was. Another number gives the same batches, but other rounding.
        since: see `train`; time between the processes of one run does not count.
        console: see `train`.
    Returns: results of the last epoch.
    Raises: as `train`, and ValueError if the folder holds no run, another process trains it, or the data is not what
        it was.
    """
    since = time.monotonic() if since is None else since
    run = RunDir.open(path)
    settings = recipe.load(str(run.recipe))
    environment = run.read_json(run.environment)
    if data_root is None and environment["data_root"]:
        data_root = Path(environment["data_root"])
    fabric = hardware.runtime(
        device=device or environment["device"],
        devices=environment["devices"] if devices is None else devices,
        precision=environment.get("precision", settings.precision),
    )
    console = console or Console(stderr=True)
    with run.locked() if fabric.global_rank == 0 else nullcontext():
        with progress.counting("decoding images", console=console, shown=fabric.global_rank == 0) as tell:
            task = datamodule.load(settings, run=run, data_root=data_root, progress=tell)
        _plan(settings, task, build.method(settings, task.counts, fetch=False), fabric)
        saved = run.read_checkpoint()
        if saved is not None and not recipe.says(saved["recipe"], settings):
            raise ValueError(f"{run.recipe} was changed since {path} was started; train anew to use other settings")
        if fabric.world_size == 1:
            torch.set_num_threads(environment["threads"])  # another number would round differently
        if fabric.global_rank == 0:
            environment["resumed"].append(hardware.now())
            run.write_json(run.environment, environment)
        return _launch(fabric, settings, task, run, console, since)


def _launch(fabric: Fabric, settings: Recipe, task: Task, run: RunDir, console: Console, since: float) -> Summary:
    hardware.launch(fabric)
    if fabric.device.type == "cpu":
        in_chunks = settings.method.in_chunks
        hardware.return_memory() if in_chunks else hardware.keep_memory()
    try:
        with signals.flagged() as interrupted:
            summary = fit(fabric, settings, task, run, since=since, interrupted=interrupted, console=console)
    except (Exception, KeyboardInterrupt) as error:
        if fabric.world_size > 1:
            _end_together(error, fabric, run, console)
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if fabric.global_rank:
        sys.exit(0)  # only the first process goes back to the caller, who speaks to the user
    if summary is None:
        raise KeyboardInterrupt
    with _spared(run, run.report, console, again="report"):
        run.write_report(report.page([run.path]))
    return summary


@contextmanager
def _spared(run: RunDir, file: Path, console: Console, *, again: str) -> Iterator[None]:
    """Whatever goes wrong with what is only looked at, the finished run is there; one line says how to get it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  (libraries that draw maps and pictures raise what they like)
        _say(console, f"{file} was not written: {one_line(error)}; try longtail {again} {run.path}")


def _end_together(error: BaseException, fabric: Fabric, run: RunDir, console: Console) -> None:
    """After an error in one of several processes, let one line say so: the others only notice that it is gone."""
    ours = isinstance(error, (ValueError, OSError))
    if fabric.global_rank:
        if ours:
            _say(console, f"process {fabric.global_rank}: {error}")
        os._exit(1)  # at once: leaving in order would wait for the others
    if isinstance(error, RuntimeError):
        raise ValueError(
            f"another process has stopped, or cannot be reached; the last saved state is in {run.path} ({error})"
        ) from error


def _try(classifier: ImageClassifier, settings: Recipe, task: Task) -> None:
    """See that the network takes the images, in each of their sizes, with two of them."""
    whole = pixels = batches.stack(task.train, task.chosen[:2], size=settings.data.image_size)
    try:
        for size in (None, *(size for _, size in settings.augment.stages)):
            pixels = whole if size is None else shrink(whole.float(), size).byte()
            evaluate.predict(classifier, [pixels], settings.augment, device=torch.device("cpu"))
    except Exception as error:  # a network may fail in any way when images are too small for it, or of a fixed size
        _, _, height, width = pixels.shape
        raise ValueError(
            f"network {recipe.network_name(settings.network)} cannot take images of {width} x {height} pixels "
            f"({error}); choose another network, data.image_size or augment.stages"
        ) from error


def _plan(settings: Recipe, task: Task, method: methods.Method, fabric: Fabric) -> batches.Plan:
    return batches.Plan(
        task.labels,
        method.streams,
        settings.batch_size,
        seed=settings.seed,
        accumulate=settings.accumulate,
        rank=fabric.global_rank,
        world=fabric.world_size,
        pruning=build.pruning(settings, len(task.labels)),
    )


def fit(
    fabric: Fabric,
    settings: Recipe,
    task: Task,
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
        task: the data.
        run: the folder; its recipe is written.
        since: see `train`.
        interrupted: when set, the step at hand is finished and the state saved.
        console: where progress goes.
    Returns: results of the last epoch, or `None` if interrupted before.
    Raises: ValueError when a loss is not finite; the last saved state stays. TooShortError if the budget is gone before
        anything could be learnt.
    """
    saved = run.read_checkpoint()
    learner = Learner(settings, fabric, task.counts, fetch=saved is None)
    plan = _plan(settings, task, learner.method, fabric)
    images_a_step = settings.batch_size * sum(stream.views for stream in plan.streams)
    start, seconds = learner.restore(saved) if saved else (0, 0.0)
    if saved and plan.pruning is not None:
        plan.pruning.restore(saved["pruning"])
    began = saved_at = time.monotonic()
    first = fabric.global_rank == 0
    course = time_budget.Course(
        settings.budget,
        epochs=settings.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        evaluate_every=settings.evaluate_every,
        saved=saved["course"] if saved else None,
        device=fabric.device,
        say=partial(_say, console) if first else _silent,
        cost=_cost(settings, task),
    )
    journal = Journal(run, start, tensorboard=settings.tensorboard) if first else None
    if first:
        _say(console, _announcement(settings, task, learner, plan, course.count(start)))
    shown = evaluate.images(task, settings, fabric.device, rank=fabric.global_rank, world=fabric.world_size)

    def measure() -> tuple[np.ndarray, Summary]:
        distributed.share_buffers(learner.classifier)
        part = evaluate.predict(learner.classifier, shown(), settings.augment, device=fabric.device)
        logits = evaluate.joined(part, images=len(task.shown), world=fabric.world_size)
        return logits, evaluate.summarise(task, settings, logits, intervals=False)

    def trial(seconds: float) -> float:
        return evaluate.forecast(
            learner.classifier,
            shown(),
            task,
            settings,
            seconds=seconds,
            world=fabric.world_size,
            device=fabric.device,
        )

    result, stream = None, _batches(plan, task, settings, fabric, start, course.stop(start), course.progress)
    course.begin(since, start=start)
    with progress.Display(steps=course.pace.steps, done=start, console=console, silent=not first) as display:
        for step, micro_batches in enumerate(stream, start):
            clock, count = course.clock(step), course.count(step)
            rate = build.learning_rate(settings, clock)
            terms = learner.learn(micro_batches, plan, step, clock, rate=rate)
            done, last = step + 1, course.ends(step)
            if last:
                stream.close()  # workers may have begun to decode batches that will not be needed
            left = course.budget - course.spent() if course.budget is not None else None
            heavier = course.heavier(step) if left is None and settings.augment.stages else 1.0
            display.step(count, loss=float(terms["loss"]), images=images_a_step, heavier=heavier, left=left)
            if done % settings.log_every == 0 or last:
                values = distributed.means(terms)
                if journal:
                    elapsed = seconds + time.monotonic() - began
                    journal.write({"step": done, "epoch": count.epoch, "lr": rate, **values, "seconds": elapsed})
            course.stepped(step)
            measured = course.evaluates(step)
            if measured:
                result = measure()
                course.evaluated()
                display.evaluated(count, result[1])
                if journal:
                    journal.measured(done, count.epoch, task.split, result[1])
            if course.decides(step):
                decision = course.decide(step, trial)
                if journal:
                    journal.write(decision)
            stop = distributed.anywhere(interrupted.is_set(), fabric.device) and not last
            if first and (measured or stop or time.monotonic() - saved_at > _SECONDS_BETWEEN_CHECKPOINTS):
                state = learner.state(done, seconds + time.monotonic() - began)
                pruned = plan.pruning.state() if plan.pruning is not None else None
                run.write_checkpoint({**state, "course": course.state(), "pruning": pruned})
                saved_at = time.monotonic()
            if stop:
                fabric.barrier()
                if journal:
                    journal.close()
                return None
    # No result yet: the run was interrupted after its last step.
    logits, _ = result or measure()
    place = {"device": fabric.device, "rank": fabric.global_rank, "world": fabric.world_size}
    temperature = evaluate.temperature(learner.classifier, task, settings, logits, **place)
    summary = evaluate.summarise(task, settings, logits, temperature=temperature)
    if first:
        run.write_weights(learner.classifier.state_dict())
        run.write_json(run.model, _model(settings, task, learner.method, temperature))
        evaluate.save(run, task, logits, summary)
        with _spared(run, run.card, console, again="evaluate"):
            run.write_card(model_card.render(run))
        with _spared(run, run.gallery(), console, again="evaluate"):
            evaluate.show(run, task, settings, learner.classifier, logits, device=fabric.device)
    if journal:
        journal.close()
    fabric.barrier()
    if first and settings.budget is not None:
        _account(run, course, plan, console)
    return summary


def _cost(settings: Recipe, task: Task) -> Callable[[Clock], float]:
    """What a step costs by the size of its images, against one with whole images."""
    if not settings.augment.stages:
        return lambda _: 1.0
    side = min(batches.stack(task.train, task.chosen[:1], size=settings.data.image_size).shape[-2:])

    def cost(clock: Clock) -> float:
        part = min(1.0, (build.image_size(settings, clock) or side) / side)
        return _FIXED + (1 - _FIXED) * part**2

    return cost


def _account(run: RunDir, course: time_budget.Course, plan: batches.Plan, console: Console) -> None:
    """Tell and record what became of a budget."""
    assert course.budget is not None
    steps, spent = course.pace.steps, course.spent()
    epochs = steps / plan.steps_per_epoch
    about = {"budget": course.budget, "spent": spent, "steps": steps, "epochs": epochs}
    run.write_json(run.environment, {**run.read_json(run.environment), "time": about})
    took, given = duration(spent), duration(course.budget)
    _say(console, f"{steps:,} steps, {epochs:,.1f} epochs, in {took} of {given}")


def _say(console: Console, text: str) -> None:
    """Print a line as it is, however long."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _silent(_text: str) -> None:
    pass


def _announcement(settings: Recipe, task: Task, learner: Learner, plan: batches.Plan, clock: Clock) -> str:
    """What is about to happen, in one line."""
    return (
        f"{settings.name}: {len(task.chosen):,} images of {len(task.counts)} classes, {task.counts.max():,} to "
        f"{task.counts.min():,} a class; {recipe.network_name(settings.network)}, "
        f"{millions(learner.classifier):.2f} M parameters; "
        f"{settings.epochs} epoch{'s' * (settings.epochs > 1)} of {plan.steps_per_epoch} steps"
        + (f", fitted into {duration(settings.budget)}" if settings.budget else "")
        + (f"; going on after step {clock.step:,} of {clock.steps:,}" if clock.step else "")
    )


def _batches(
    plan: batches.Plan,
    task: Task,
    settings: Recipe,
    fabric: Fabric,
    start: int,
    stop: int,
    progress: Callable[[int], float],
) -> Generator[list[tuple[batches.Batch, ...]], None, None]:
    data = settings.data
    if data.in_memory:
        pixels = batches.stack(task.train, task.chosen, size=data.image_size).to(fabric.device)
        return batches.in_memory(plan, pixels, start=start, stop=stop, progress=progress)
    return batches.decoded(
        plan,
        task.train,
        task.chosen,
        size=data.image_size,
        area=settings.augment.resized_crop,
        workers=data.workers,
        pin_memory=fabric.device.type == "cuda",
        start=start,
        stop=stop,
    )


def _model(settings: Recipe, task: Task, method: methods.Method, temperature: float | None) -> dict[str, Any]:
    """All that somebody needs beside the weights to use the model."""
    size = settings.data.image_size
    return {
        "longtail": longtail.__version__,
        "recipe": settings.name,
        "network": settings.network.model_dump(),
        "head": settings.head.model_dump(),
        "class_names": list(task.class_names),
        "train_counts": task.counts.tolist(),
        "prior": method.assumed_prior(task.counts).tolist(),
        "temperature": temperature,
        "groups": settings.groups.model_dump(),
        "preprocessing": {
            "scale": 1 / 255,
            "mean": settings.augment.mean,
            "std": settings.augment.std,
            "shrink_shorter_side": custom_data.shrunk_side(settings.data),
            "resize_shorter_side": size and round(size * 8 / 7),
            "centre_crop": size,
        },
    }
