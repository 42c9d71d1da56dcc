"""Training: the loop, written out, from a recipe to a filled run folder."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from rich.console import Console
from torch import Tensor, nn

import longtail
from longtail import build, evaluate, methods, processes, progress, recipe
from longtail.data import augment, batches, sources
from longtail.metrics import Summary
from longtail.recipe import Recipe
from longtail.rundir import RunDir
from longtail.schedules import Clock

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
DEVICES = ("auto", "cpu", "cuda", "mps")


def train(
    settings: Recipe,
    out: Path,
    *,
    data_root: Path | None = None,
    download: bool = False,
    device: str = "auto",
    devices: int = 1,
    console: Console | None = None,
) -> Summary:
    """Train from a recipe into a new run folder.

    Args:
        settings: the recipe.
        out: the run folder; it must not hold a run yet.
        data_root: see `sources.load`.
        download: see `sources.load`.
        device: one of `DEVICES`; "auto" takes an accelerator if there is one.
        devices: processes, one device each. More than one starts this program again, so a script that calls this
            must do so under `if __name__ == "__main__"`.
        console: where progress goes; `None` is standard error.
    Returns: results of the last epoch.
    Raises: ValueError or FileNotFoundError for bad settings or data; KeyboardInterrupt after SIGINT or SIGTERM, when
        the state has been saved.
    """
    fabric = runtime(device=device, devices=devices, precision=settings.precision)
    # Other processes start when this one has made the folder: they take it as they find it.
    run = RunDir(out) if fabric.global_rank else RunDir.create(out)
    task = build.task(settings, data_root=data_root, download=download)
    _plan(settings, task, build.method(settings, classes=len(task.class_names)).streams, fabric)
    if fabric.global_rank == 0:
        run.write_json(run.split, _split(task))
        run.write_json(run.environment, _environment(data_root, device, devices))
        run.write_recipe(recipe.dump(settings))
    return _launch(fabric, settings, task, run, console)


def resume(
    path: Path,
    *,
    data_root: Path | None = None,
    device: str | None = None,
    devices: int | None = None,
    console: Console | None = None,
) -> Summary:
    """Continue a run that was interrupted, exactly as if it had not been.

    Args:
        path: the run folder.
        data_root: where the data is; `None` is where it was.
        device: see `train`; `None` is what it was.
        devices: see `train`; `None` is what it was. Another number gives the same batches, but other rounding.
        console: see `train`.
    Returns: results of the last epoch.
    Raises: as `train`, and ValueError if the folder holds no run or the data is not what it was.
    """
    run = RunDir.open(path)
    settings = recipe.load(str(run.recipe))
    environment = run.read_json(run.environment)
    if data_root is None and environment["data_root"]:
        data_root = Path(environment["data_root"])
    fabric = runtime(
        device=device or environment["device"], devices=devices or environment["devices"], precision=settings.precision
    )
    task = build.task(settings, data_root=data_root)
    if fabric.global_rank == 0:
        if run.read_json(run.split) != _split(task):
            raise ValueError(f"the data is not what it was when {path} was started: {run.split} differs from it")
        environment["resumed"] = [*environment["resumed"], _now()]
        run.write_json(run.environment, environment)
    return _launch(fabric, settings, task, run, console)


def runtime(*, device: str = "auto", devices: int = 1, precision: Literal["fp32", "bf16", "fp16"] = "fp32") -> Fabric:
    """Choose device, number of processes and precision.

    Args:
        device: one of `DEVICES`.
        devices: processes, at least 1.
        precision: as in a recipe.
    Raises: ValueError if this machine has no such device, or not so many.
    """
    present = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    allowed = ", ".join(name for name in DEVICES if present[name])
    if not present.get(device):
        reason = "not present on this machine" if device in DEVICES else "unknown"
        raise ValueError(f"device {device!r} is {reason}; allowed here: {allowed}")
    if devices < 1:
        raise ValueError(f"devices is {devices}; it must be at least 1")
    on_cuda = device == "cuda" or (device == "auto" and present["cuda"])
    if on_cuda and devices > torch.cuda.device_count():
        raise ValueError(f"devices is {devices}; this machine has {torch.cuda.device_count()} of kind cuda")
    kinds: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]]
    kinds = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    strategy = "ddp" if devices > 1 else "auto"
    return Fabric(accelerator=device, devices=devices, strategy=strategy, precision=kinds[precision])


def _launch(fabric: Fabric, settings: Recipe, task: build.Task, run: RunDir, console: Console | None) -> Summary:
    fabric.launch()
    with _interruptions() as interrupted:
        summary = fit(fabric, settings, task, run, interrupted=interrupted, console=console or Console(stderr=True))
    if summary is None:
        # Only the first process speaks to the user; the others must not look as if they had failed.
        if fabric.global_rank:
            sys.exit(0)
        raise KeyboardInterrupt
    return summary


def _plan(settings: Recipe, task: build.Task, streams: tuple[batches.Stream, ...], fabric: Fabric) -> batches.Plan:
    return batches.Plan(
        task.labels,
        streams,
        settings.batch_size,
        seed=settings.seed,
        accumulate=settings.accumulate,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )


def fit(
    fabric: Fabric, settings: Recipe, task: build.Task, run: RunDir, *, interrupted: threading.Event, console: Console
) -> Summary | None:
    """Train until the end, from the beginning or from where the run folder says.

    Args:
        fabric: launched.
        settings: the recipe.
        task: the data.
        run: the folder; its recipe is written.
        interrupted: when set, the step at hand is finished and the state saved.
        console: where progress goes.
    Returns: results of the last epoch, or `None` if interrupted before.
    Raises: ValueError when a loss is not finite; the last saved state stays.
    """
    saved = run.read_checkpoint()
    torch.manual_seed(settings.seed)
    method = build.method(settings, classes=len(task.class_names), fetch=saved is None)
    # A third faster than the default layout on CPUs, and no slower on GPUs.
    method.to(memory_format=cast(Any, torch.channels_last))
    if settings.sync_batchnorm and fabric.world_size > 1:
        processes.share_batchnorm(method, fabric.device)
    average = build.average(settings, method)
    if average is not None:
        average.to(fabric.device)
    wrapped, optimizer = fabric.setup(method, build.optimizer(settings.optimizer, method))
    plan = _plan(settings, task, method.streams, fabric)
    passes = settings.batch_size * sum(stream.views for stream in plan.streams)
    state = _State(method, optimizer, average, fabric)
    start, seconds = state.restore(saved) if saved else (0, 0.0)
    began = saved_at = time.monotonic()
    end = Clock.at(step=0, epochs=settings.epochs, steps_per_epoch=plan.steps_per_epoch).steps
    shown = evaluate.images(task, settings, fabric.device, rank=fabric.global_rank, world=fabric.world_size)
    augmentation = build.augmentation(settings)
    first = fabric.global_rank == 0
    logger = _Logger(run, start, tensorboard=settings.tensorboard) if first else None
    logits = None

    def measure() -> Float[np.ndarray, "images classes"]:
        network = cast(methods.Method, average.module if average is not None else method).classifier
        part = evaluate.predict(network, shown(), settings.augment, device=fabric.device, autocast=fabric.autocast)
        return evaluate.joined(part, images=len(task.shown), world=fabric.world_size)

    with progress.Display(steps=end, done=start, console=console, silent=not first) as display:
        for step, micro_batches in enumerate(_batches(plan, task, settings, fabric, start, end), start):
            clock = Clock.at(step=step, epochs=settings.epochs, steps_per_epoch=plan.steps_per_epoch)
            rate = build.learning_rate(settings, clock)
            for group in optimizer.param_groups:
                group["lr"] = rate
            # Layers that draw at random (dropout, stochastic depth) get fresh chance from the step, not from the past.
            torch.manual_seed(
                int(np.random.SeedSequence([settings.seed, batches.NETWORK, step, plan.rank]).generate_state(1)[0])
            )
            terms = _gradients(fabric, wrapped, micro_batches, augmentation, plan, clock)
            if settings.clip is not None:
                fabric.clip_gradients(wrapped, optimizer, max_norm=settings.clip)
            optimizer.step()
            optimizer.zero_grad()
            if average is not None:
                average.update_parameters(method)

            done, last = step + 1, step + 1 == end
            ends_epoch = done % plan.steps_per_epoch == 0
            display.step(clock, loss=float(terms["loss"]), images=passes)
            if done % settings.log_every == 0 or last:
                values = _means(terms)
                if logger:
                    elapsed = seconds + time.monotonic() - began
                    logger.write({"step": done, "epoch": clock.epoch, "lr": rate, **values, "seconds": elapsed})
            measured = ends_epoch and ((clock.epoch + 1) % settings.evaluate_every == 0 or last)
            if measured:
                logits = measure()
                summary = evaluate.summarise(task, settings, logits)
                display.evaluated(clock, summary)
                if logger:
                    logger.write({"step": done, "epoch": clock.epoch, "split": settings.split, **_headline(summary)})
            stop = _anywhere(interrupted.is_set()) and not last
            if first and (measured or stop or time.monotonic() - saved_at > _SECONDS_BETWEEN_CHECKPOINTS):
                run.write_checkpoint(state.take(done, seconds + time.monotonic() - began))
                saved_at = time.monotonic()
            if stop:
                fabric.barrier()
                return None
    logits = measure() if logits is None else logits
    summary = evaluate.summarise(task, settings, logits)
    if first:
        network = cast(methods.Method, average.module if average is not None else method).classifier
        run.write_weights(network.state_dict())
        run.write_json(run.model, _model(settings, task))
        evaluate.save(run, task, logits, summary)
    fabric.barrier()
    return summary


def _batches(
    plan: batches.Plan, task: build.Task, settings: Recipe, fabric: Fabric, start: int, end: int
) -> Iterator[list[tuple[batches.Batch, ...]]]:
    data = settings.data
    if data.in_memory:
        pixels = batches.stack(task.train, task.chosen, size=data.image_size).to(fabric.device)
        return batches.in_memory(plan, pixels, start=start, stop=end)
    return batches.decoded(
        plan,
        task.train,
        task.chosen,
        size=data.image_size,
        area=settings.augment.resized_crop,
        workers=data.workers,
        pin_memory=fabric.device.type == "cuda",
        start=start,
        stop=end,
    )


def _gradients(
    fabric: Fabric,
    method: _FabricModule,
    micro_batches: list[tuple[batches.Batch, ...]],
    augmentation: augment.Augmentation,
    plan: batches.Plan,
    clock: Clock,
) -> dict[str, Tensor]:
    """Run a step's micro-batches forward and backward; the loss and its terms, their mean over micro-batches."""
    every: list[dict[str, Tensor]] = []
    for share, micro in zip(plan.shares(), micro_batches, strict=True):
        views = _augmented(micro, share, augmentation, plan, clock.step, fabric.device)
        with fabric.no_backward_sync(method, enabled=len(every) + 1 < plan.accumulate):
            loss, terms = method(views, clock)
            every.append({"loss": loss.detach(), **terms})
            _check_finite(every[-1], clock)
            fabric.backward(loss / plan.accumulate)
    return {name: torch.stack([terms[name].float() for terms in every]).mean() for name in every[0]}


def _augmented(
    micro: tuple[batches.Batch, ...],
    share: slice,
    augmentation: augment.Augmentation,
    plan: batches.Plan,
    step: int,
    device: torch.device,
) -> tuple[batches.Batch, ...]:
    """Batches as the method wants them: on the device, changed at random, normalised."""
    ready = []
    for stream, batch in enumerate(micro):
        images = batch.images.to(device, non_blocking=True)
        views, _, _, height, width = images.shape
        # Chance is drawn for the rows of all processes, so that their number does not change what is seen.
        parameters = augment.draw(
            augmentation,
            views=views,
            batch=plan.batch_size,
            height=height,
            width=width,
            key=(plan.seed, batches.AUGMENT, stream, step),
        )
        changed = augment.augment(images, parameters.rows(share), augmentation)
        ready.append(batches.Batch(changed, batch.labels.to(device, non_blocking=True)))
    return tuple(ready)


class _State:
    """All that a training remembers from step to step."""

    def __init__(self, method: nn.Module, optimizer: Any, average: nn.Module | None, fabric: Fabric) -> None:
        self.method, self.optimizer, self.average, self.fabric = method, optimizer, average, fabric

    def take(self, step: int, seconds: float) -> dict[str, Any]:
        return {
            "step": step,
            "seconds": seconds,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> tuple[int, float]:
        self.method.load_state_dict(saved["method"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.fabric.strategy.precision.load_state_dict(saved["precision"])
        return saved["step"], saved["seconds"]


class _Logger:
    """Writes numbers to `metrics.jsonl` and, if wanted, to TensorBoard."""

    def __init__(self, run: RunDir, start: int, *, tensorboard: bool) -> None:
        self.run, self.writer = run, None
        run.rewind_log(start)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # a second of import

            self.writer = SummaryWriter(str(run.tensorboard), purge_step=start + 1)

    def write(self, record: dict[str, Any]) -> None:
        self.run.log(record)
        for name, value in record.items():
            if self.writer is not None and name not in ("step", "split") and value is not None:
                self.writer.add_scalar(name, value, record["step"])


def _means(terms: dict[str, Tensor]) -> dict[str, float]:
    """The mean of each term over all processes; every process must call it."""
    values = torch.stack([term.float() for term in terms.values()])
    mean = processes.gather(values.unsqueeze(0)).mean(0)
    return dict(zip(terms, mean.tolist(), strict=True))


def _anywhere(flag: bool) -> bool:
    """Whether a flag is set in any process; every process must call it."""
    return bool(processes.gather(torch.tensor([flag])).any()) if processes.several() else flag


def _check_finite(terms: dict[str, Tensor], clock: Clock) -> None:
    """Stop, in all processes at once, before a loss that is no number ruins the weights."""
    if not _anywhere(not bool(torch.isfinite(terms["loss"]))):
        return
    values = ", ".join(f"{name} {value:.4g}" for name, value in _means(terms).items())
    if processes.several() and torch.distributed.get_rank():
        sys.exit(0)
    raise ValueError(
        f"the loss is not finite at step {clock.step + 1} (epoch {clock.epoch + 1}): {values}; "
        "the last saved state is kept. Try a lower optimizer.lr, a longer schedule.warmup, clip, or precision fp32"
    )


@contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into a flag; a second one ends the program at once."""
    flag = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    if threading.current_thread() is not threading.main_thread():
        yield flag  # only the main thread may set handlers; then whoever owns it decides
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _headline(summary: Summary) -> dict[str, float | None]:
    names = (
        "top1",
        "top5",
        "balanced_accuracy",
        "macro_f1",
        "many",
        "medium",
        "few",
        "worst_class_recall",
        "ece",
        "nll",
    )
    return {name: getattr(summary, name) for name in names}


def _split(task: build.Task) -> dict[str, Any]:
    return {
        "fingerprint": sources.fingerprint(task.train),
        "class_names": list(task.class_names),
        "counts": task.counts.tolist(),
        "train": task.chosen.tolist(),
        "validation": task.held.tolist(),
    }


def _model(settings: Recipe, task: build.Task) -> dict[str, Any]:
    """All that somebody needs beside the weights to use the model."""
    size = settings.data.image_size
    return {
        "longtail": longtail.__version__,
        "recipe": settings.name,
        "network": settings.network.model_dump(),
        "head": settings.head.model_dump(),
        "class_names": list(task.class_names),
        "train_counts": task.counts.tolist(),
        "groups": settings.groups.model_dump(),
        "preprocessing": {
            "scale": 1 / 255,
            "mean": settings.augment.mean,
            "std": settings.augment.std,
            "resize_shorter_side": size and round(size * 8 / 7),
            "centre_crop": size,
        },
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _environment(data_root: Path | None, device: str, devices: int) -> dict[str, Any]:
    """Where and with what a run was made; `resume` reads the first three."""
    return {
        "data_root": str(data_root.resolve()) if data_root else None,
        "device": device,
        "devices": devices,
        "command": sys.argv,
        "started": _now(),
        "resumed": [],
        "longtail": longtail.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _commit() -> str | None:
    """The commit of a source checkout, with a mark if files were changed since; `None` for an installed package."""
    where = ["git", "-C", str(Path(__file__).parent)]
    try:
        if subprocess.run([*where, "ls-files", "--error-unmatch", __file__], capture_output=True).returncode:
            return None
        return subprocess.run(
            [*where, "describe", "--always", "--dirty"], capture_output=True, text=True
        ).stdout.strip()
    except OSError:
        return None
