"""Evaluation: a model and the images of a split give logits, logits a summary, and both go into the run folder."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from longtail import metrics, recipe
from longtail.data.source import Part, Source
from longtail.inference import features, forward, preprocessing
from longtail.inference import model as models
from longtail.inference.model import Model
from longtail.inference.preprocessing import Batch, Inputs
from longtail.metrics import Summary, scores
from longtail.runs import datamodule, examples
from longtail.runs.datamodule import DataModule
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.runtime import distributed
from longtail.runtime.distributed import Process

Logits = Float[np.ndarray, "_ classes"]
Positions = Int[np.ndarray, " _"]

_BATCH_IN_MEMORY, _BATCH = 500, 64  # the second waits in shared memory, several times over, at 224 pixels a side


@dataclass(frozen=True)
class Loading:
    """How images come to the network.

    Args:
        batch: images at a time.
        workers: processes that decode; 0: this one; `None`: one for each core if there are many images.
    """

    batch: int = _BATCH
    workers: int | None = None

    @classmethod
    def of(cls, data: recipe.Data) -> "Loading":
        """As a recipe says."""
        return cls(_BATCH_IN_MEMORY, 0) if data.in_memory else cls(_BATCH, data.workers)


@dataclass(frozen=True)
class Evaluated:
    """Images that went through a network.

    Args:
        indices: `(n,)` positions in their source of those that could be predicted, in order.
        logits: `(n, C)` of these.
        unreadable: the reason, by the position in the source, for each of the others.
    """

    indices: Positions
    logits: Logits
    unreadable: dict[int, str]


def predict(
    model: Model,
    source: Source,
    indices: Positions,
    *,
    loading: Loading,
    progress: Callable[[int, int | None], None] | None = None,
) -> Evaluated:
    """The logits of images of a source, whichever it is: a split of the run's own, or other data.

    Args:
        model: that predicts.
        source: the images.
        indices: positions of those that are evaluated.
        loading: how they come to the network.
        progress: is called with how many of how many images are done.
    """
    logits, unreadable, done = list[np.ndarray](), dict[int, str](), 0
    for batch in _batches(model, source, indices, loading):
        scored = forward.score(model, batch)
        logits.append(scored.logits)
        unreadable |= {int(indices[done + row]): reason for row, reason in scored.reasons.items()}
        done += len(scored.names)
        if progress:
            progress(done, len(indices))
    known = indices[~np.isin(indices, [*unreadable])]
    return Evaluated(known, np.concatenate(logits), unreadable)


def _batches(model: Model, source: Source, indices: Positions, loading: Loading) -> Iterable[Batch]:
    images = Inputs.of(source, indices)
    return preprocessing.batches(images, model.preprocessing, size=loading.batch, workers=loading.workers)


def split_batches(
    model: Model, source: Source, indices: Positions, data: recipe.Data, process: Process
) -> Callable[[], Iterable[Batch]]:
    """Prepare the images of a split to be predicted again and again while a training goes on.

    Args:
        model: that is trained.
        source: the images.
        indices: positions of those that are evaluated.
        data: whether they stay in memory, and how many processes decode them.
        process: this one; it gets every `world`-th image, and all processes get equally many.
    Returns: a function that gives the batches of this process, in order, each time it is called.
    """
    world = process.world
    share = np.resize(indices, -(-len(indices) // world) * world)[process.rank :: world]
    if data.in_memory:
        kept = [*_batches(model, source, share, Loading.of(data))]
        return lambda: kept
    return lambda: _batches(model, source, share, Loading.of(data))


def predict_batches(model: Model, batches: Iterable[Batch]) -> Logits:
    """The logits of images that must all be predicted.

    Raises: ValueError if one of them cannot be.
    """
    logits = list[np.ndarray]()
    for batch in batches:
        scored = forward.score(model, batch)
        for position, reason in scored.reasons.items():
            raise ValueError(f"{scored.names[position]} {reason}")
        logits.append(scored.logits)
    return np.concatenate(logits)


def joined(logits: Logits, *, images: int, process: Process) -> Logits:
    """Put the logits of all processes into the order of the images; every process must call it.

    Args:
        logits: `(n / world, C)` of this process's share, as `split_batches` deals it.
        images: how many there are, without those that were added to make shares equal.
        process: this one.
    """
    everyone = distributed.gather(torch.from_numpy(logits).to(process.device)).unflatten(0, (process.world, -1))
    return everyone.transpose(0, 1).flatten(0, 1)[:images].cpu().numpy()  # (world, share, C) before


def forecast(model: Model, batches: Iterable[Batch], labels: Positions, *, seconds: float, process: Process) -> float:
    """Seconds that an evaluation will take, from its first batches.

    Args:
        model: that predicts.
        batches: of the images of this process.
        labels: of all images that are evaluated.
        seconds: that this may take, about; two batches are tried at least, if there are so many.
        process: this one.
    """
    share, some, ends = -(-len(labels) // process.world), list[np.ndarray](), [time.monotonic()]
    for batch in batches:
        some.append(predict_batches(model, [batch]))
        ends.append(time.monotonic())
        if len(some) > 1 and ends[-1] - ends[0] > seconds:
            break
    first, done = len(some[0]), sum(map(len, some))
    # The first batch is slower: it starts the workers that decode, and whatever else has to warm up.
    predicting = ends[1] - ends[0] + (ends[-1] - ends[1]) * (share - first) / max(1, done - first)
    began = time.monotonic()
    logits = np.concatenate(some)
    summarise(model, labels, np.resize(logits, (len(labels), logits.shape[1])))
    return predicting + time.monotonic() - began


def temperature(
    model: Model, data: DataModule, settings: recipe.Recipe, logits: Logits, process: Process
) -> float | None:
    """Fit a temperature on the validation images; see `metrics.fit_temperature`. Every process must call it.

    Args:
        model: trained.
        data: of the training.
        settings: of the training.
        logits: of the split that is reported, which may be the validation images.
        process: this one.
    Returns: the temperature; `None` if no images were held out for validation.
    """
    if not len(data.val_indices):
        return None
    source, indices = data.split("validation")
    if data.reported != "validation":
        share = predict_batches(model, split_batches(model, source, indices, settings.data, process)())
        logits = joined(share, images=len(indices), process=process)
    return metrics.fit_temperature(logits, source.labels[indices])


def summarise(
    model: Model,
    labels: Positions,
    logits: Logits,
    *,
    calibrated: bool = True,
    intervals: bool = True,
) -> Summary:
    """Compare logits with the labels of the images.

    Args:
        model: whose classes, groups and temperature they are.
        labels: `(n,)`.
        logits: `(n, C)`.
        calibrated: whether to measure the calibration with the model's temperature as well. On the validation images,
            where it was fitted, that would prove nothing.
        intervals: of means over classes, which take a second or two with many classes or images.
    """
    summary = metrics.summarise(
        logits,
        labels,
        train_counts=model.train_counts,
        class_names=model.class_names,
        groups=model.groups,
        temperature=model.temperature if calibrated else None,
        resamples=1000 if intervals else 0,
    )
    return replace(summary, temperature=model.temperature)


def save(
    run: RunDir,
    source: Source,
    evaluated: Evaluated,
    summary: Summary,
    *,
    split: str | None = None,
) -> None:
    """Write predictions and results into the run folder.

    Args:
        run: the folder.
        source: the images.
        evaluated: those that were evaluated.
        summary: of these.
        split: by which the folder keeps them; `None`: they are the run's own.
    """
    indices = evaluated.indices
    names = [source.ids[int(i)] for i in indices]
    run.write_predictions(names, source.labels[indices], evaluated.logits, split=split)
    run.write_summary(summary, split=split)


def save_gallery(
    run: RunDir,
    model: Model,
    source: Source,
    evaluated: Evaluated,
    *,
    loading: Loading,
    split: str | None = None,
) -> None:
    """Write thumbnails and features of example images into the run folder, for reports that do without the data.

    Args:
        run: the folder.
        model: that predicted them.
        source: the images.
        evaluated: those that were evaluated.
        loading: how they come to the network.
        split: see `save`.
    """
    logits, labels = evaluated.logits, source.labels[evaluated.indices]
    confidences = scores.confidences_and_losses(logits, logits.argmax(1))[0]
    chosen = examples.choose(labels, logits.argmax(1), confidences, model.groups.masks(model.train_counts))
    rows = sorted({*chosen.pictured, *chosen.mapped})
    batches = _batches(model, source, evaluated.indices[rows], loading)
    run.write_gallery(features.make(model, batches, rows, large=chosen.pictured), split=split)


def evaluate(run: RunDir, *, split: Part | None = None, data_root: Path | None = None, device: torch.device) -> Summary:
    """Evaluate a finished run again, or on another of its splits, and write the results into its folder.

    Args:
        run: a finished run.
        split: "test", "validation" or "train"; `None` is the one that the run reports.
        data_root: where the data is; `None` is where it was for training. Of custom data it is the new path.
        device: that predicts.
    Raises: ValueError if the run has not finished, or has no such split.
    """
    settings = recipe.load(str(run.recipe))
    trained = models.load(run.path, device=device)
    if data_root is None and (before := Environment.read(run.environment).data_root):
        data_root = Path(before)
    data = datamodule.load(settings, run=run, data_root=data_root)
    name = split or data.reported
    source, indices = data.split(name)
    loading = Loading.of(settings.data)
    evaluated = predict(trained, source, indices, loading=loading)
    for position, reason in evaluated.unreadable.items():
        raise ValueError(f"{source.ids[position]} {reason}")
    labels, other = source.labels[indices], None if name == data.reported else name
    summary = summarise(trained, labels, evaluated.logits, calibrated=name != "validation")
    save(run, source, evaluated, summary, split=other)
    save_gallery(run, trained, source, evaluated, loading=loading, split=other)
    return summary
