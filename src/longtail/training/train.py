"""Training: from a recipe into a filled run folder, or on from where an interruption left it."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console

from longtail import recipe
from longtail.data import batches
from longtail.data.augment.pixels import shrink
from longtail.inference.forward import forward
from longtail.inference.preprocessing import Preprocessing
from longtail.metrics import Summary
from longtail.networks import ImageClassifier
from longtail.recipe import Recipe, build
from longtail.runs import custom_data, datamodule
from longtail.runs.datamodule import DataModule
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.runtime import hardware, signals
from longtail.training import loop, progress, time_budget
from longtail.training.processes import started


def train(
    settings: Recipe,
    out: Path,
    *,
    advice: Sequence[str] = (),
    data: Path | custom_data.Listed | None = None,
    device: str = "auto",
    devices: int = 1,
    since: float | None = None,
) -> Summary:
    """Train from a recipe into a new run folder.

    Args:
        settings: the recipe.
        out: the run folder; it must not hold a run yet.
        advice: why these settings, in lines that are reported and kept with the run; see `preflight.choose`.
        data: folder of the data, see `sources.load`; or custom data that was read already, see `preflight.choose`.
            `None`: where it usually is.
        device: see `hardware.runtime`.
        devices: see `hardware.runtime`. More than one starts this program again, so a script that calls this must do
            so under `if __name__ == "__main__"`.
        since: what `time.monotonic` showed when a budget of time began; `None` is now.
    Returns: results of the last epoch.
    Raises: ValueError or FileNotFoundError for bad settings or data; KeyboardInterrupt after SIGINT or SIGTERM, when
        the state has been saved.
    """
    since = time.monotonic() if since is None else since
    fabric = hardware.runtime(device=device, devices=devices, precision=settings.precision)
    first, run, console = fabric.global_rank == 0, RunDir(out), Console(stderr=True)
    if first:
        run.check_free()
    message = progress.messages(console, silent=not first)
    for line in advice:
        message(line)
    with progress.counting("decoding images", console=console, bar=first) as report:
        listed, data_root = (data, None) if isinstance(data, custom_data.Listed) else (None, data)
        images = datamodule.load(settings, listed=listed, data_root=data_root, log=message, progress=report)
    method = build.method(settings, images.counts)
    loop.batch_plan(settings, images, method, fabric)
    _try(method.classifier, settings, images)
    # What a user may have got wrong has been found by now: such a mistake leaves no folder behind.
    if not first:
        return _launch(fabric, settings, images, run, since)
    run.make()
    with run.locked():
        run.write_split(images.record(), images.quarantine)
        Environment(
            data_root=str(data_root.resolve()) if data_root else None,
            device=device,
            devices=devices,
            precision=hardware.precision(fabric),
            advice=tuple(advice),
            started=hardware.now(),
            resumed=(),
            **hardware.describe(),
        ).write(run.environment)
        run.write_recipe(recipe.dump(settings))
        try:
            return _launch(fabric, settings, images, run, since)
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
) -> Summary:
    """Continue a run that was interrupted, exactly as if it had not been.

    Args:
        path: the run folder.
        data_root: where the data is; `None` is where it was.
        device: see `train`; `None` is what it was.
        devices: see `train`; `None` is what it was. Another number gives the same batches, but other rounding.
        since: see `train`; time between the processes of one run does not count.
    Returns: results of the last epoch.
    Raises: as `train`, and ValueError if the folder holds no run, another process trains it, or the data is not what
        it was.
    """
    since = time.monotonic() if since is None else since
    run = RunDir.open(path)
    settings = recipe.load(str(run.recipe))
    environment = Environment.read(run.environment)
    if data_root is None and environment.data_root:
        data_root = Path(environment.data_root)
    fabric = hardware.runtime(
        device=device or environment.device,
        devices=environment.devices if devices is None else devices,
        precision=environment.precision or settings.precision,
    )
    console = Console(stderr=True)
    with run.locked() if fabric.global_rank == 0 else nullcontext():
        with progress.counting("decoding images", console=console, bar=fabric.global_rank == 0) as report:
            data = datamodule.load(settings, run=run, data_root=data_root, progress=report)
        loop.batch_plan(settings, data, build.method(settings, data.counts, fetch=False), fabric)
        saved = run.read_checkpoint()
        if saved is not None and not recipe.says(saved["recipe"], settings):
            raise ValueError(f"{run.recipe} was changed since {path} was started; train anew to use other settings")
        if fabric.world_size == 1 and environment.threads:
            torch.set_num_threads(environment.threads)  # another number would round differently
        if fabric.global_rank == 0:
            resumed = (*environment.resumed, hardware.now())
            environment.model_copy(update={"resumed": resumed}).write(run.environment)
        return _launch(fabric, settings, data, run, since)


def _launch(fabric: Fabric, settings: Recipe, data: DataModule, run: RunDir, since: float) -> Summary:
    console = Console(stderr=True)
    with started(fabric, run.path, progress.messages(console)), signals.flagged() as interrupted:
        if fabric.device.type == "cpu":
            # Who lets a method work in chunks is short of memory.
            hardware.return_memory() if settings.method.in_chunks else hardware.keep_memory()
        summary = loop.fit(fabric, settings, data, run, since=since, interrupted=interrupted, console=console)
    if summary is None:
        raise KeyboardInterrupt
    return summary


def _try(classifier: ImageClassifier, settings: Recipe, data: DataModule) -> None:
    """See that the network takes the images, in each of their sizes, with two of them."""
    whole = pixels = batches.stack(data.source, data.train_indices[:2], size=settings.data.image_size)
    try:
        for size in (None, *(size for _, size in settings.augment.stages)):
            pixels = whole if size is None else shrink(whole.float(), size).byte()
            forward(classifier, pixels, Preprocessing.of(settings).normalisation)
    except Exception as error:  # a network may fail in any way when images are too small for it, or of a fixed size
        _, _, height, width = pixels.shape
        raise ValueError(
            f"network {recipe.network_name(settings.network)} cannot take images of {width} x {height} pixels "
            f"({error}); choose another network, data.image_size or augment.stages"
        ) from error
