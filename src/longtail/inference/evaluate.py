"""Evaluation: weights and a split give predictions, predictions a summary."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from longtail import metrics, recipe
from longtail.data import augment, batches
from longtail.inference import features
from longtail.metrics import Summary, scores
from longtail.networks import ImageClassifier
from longtail.recipe import build
from longtail.report import model_card
from longtail.runs import datamodule, examples
from longtail.runs.datamodule import Measured, Task
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment, ModelFile
from longtail.runtime import distributed

Decoded = Iterable[UInt8[Tensor, "batch 3 h w"]]
_BATCH, _BATCH_DECODED = 500, 64  # the second waits in shared memory, several times over, at 224 pixels a side


def images(
    task: Task, settings: recipe.Recipe, device: torch.device, *, rank: int = 0, world: int = 1
) -> Callable[[], Decoded]:
    """Prepare the images that are evaluated, so that they can be gone through again and again.

    Args:
        task: which images.
        settings: whether they stay in memory, and their size.
        device: that predicts.
        rank: of this process, which gets every `world`-th image; all processes get equally many.
        world: number of processes.
    Returns: a function that gives the batches of this process, in order.
    """
    share = np.resize(task.shown, -(-len(task.shown) // world) * world)[rank::world]
    if settings.data.in_memory:
        pixels = batches.stack(task.measured, share, size=settings.data.image_size).to(device)
        return lambda: pixels.split(_BATCH)
    return lambda: batches.in_order(
        task.measured, share, size=settings.data.image_size, workers=settings.data.workers, batch=_BATCH_DECODED
    )


@torch.no_grad()
def predict(
    classifier: nn.Module,
    shown: Decoded,
    settings: recipe.Augment,
    *,
    device: torch.device,
) -> Float[Tensor, "images classes"]:
    """Logits of images, from a network in evaluation mode and without autocast; the network's mode is put back.

    Whatever the precision of the training was, the same weights give the same numbers during and after it.

    Args:
        classifier: normalised images to logits.
        shown: batches of images.
        settings: how they are normalised.
        device: that predicts.
    Returns: `(n, C)` float32 on the device; in several processes, the images of each, in turn.
    """
    training = classifier.training
    classifier.eval()
    logits, kind = [], next(classifier.parameters()).dtype
    for batch in shown:
        views = augment.normalise(batch.to(device), settings.mean, settings.std).to(kind)
        logits.append(classifier(views.contiguous(memory_format=torch.channels_last)).float())
    classifier.train(training)
    return torch.cat(logits)


def forecast(
    classifier: nn.Module,
    shown: Decoded,
    task: Task,
    settings: recipe.Recipe,
    *,
    seconds: float,
    world: int,
    device: torch.device,
) -> float:
    """Seconds that an evaluation will take, from its first batches.

    Args:
        classifier: see `predict`.
        shown: batches of the images of this process.
        task: which images they are.
        settings: how they are normalised.
        seconds: that this may take, about; two batches are tried at least, if there are so many.
        world: number of processes.
        device: that predicts.
    """
    share, some, ends = -(-len(task.shown) // world), list[np.ndarray](), [time.monotonic()]
    for batch in shown:
        some.append(predict(classifier, [batch], settings.augment, device=device).cpu().numpy())
        ends.append(time.monotonic())
        if len(some) > 1 and ends[-1] - ends[0] > seconds:
            break
    first, done = len(some[0]), sum(map(len, some))
    # The first batch is slower: it starts the workers that decode, and whatever else has to warm up.
    predicting = ends[1] - ends[0] + (ends[-1] - ends[1]) * (share - first) / max(1, done - first)
    began = time.monotonic()
    logits = np.concatenate(some)
    summarise(task, settings, np.resize(logits, (len(task.shown), logits.shape[1])))
    return predicting + time.monotonic() - began


def joined(logits: Float[Tensor, "share classes"], *, images: int, world: int) -> Float[np.ndarray, "images classes"]:
    """Put the logits of all processes into the order of the images.

    Args:
        logits: `(n / world, C)` of this process's share, as `images` dealt it.
        images: how many there are, without those that were added to make shares equal.
        world: number of processes.
    """
    everyone = distributed.gather(logits).unflatten(0, (world, -1))  # (world, share, C)
    return everyone.transpose(0, 1).flatten(0, 1)[:images].cpu().numpy()


def temperature(
    classifier: nn.Module,
    task: Task,
    settings: recipe.Recipe,
    logits: Float[np.ndarray, "images classes"],
    *,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> float | None:
    """Fit a temperature on the validation images; see `metrics.fit_temperature`. Every process must call it.

    Args:
        classifier: trained.
        task: the data.
        settings: of the run.
        logits: of the images that were evaluated, which may be the validation images.
        device: that predicts.
        rank: of this process.
        world: number of processes.
    Returns: the temperature; `None` if no images were held out for validation.
    """
    if not len(task.held):
        return None
    if task.split != "validation":
        task = replace(task, measured=task.train, shown=task.held, split="validation")
        shown = images(task, settings, device, rank=rank, world=world)
        share = predict(classifier, shown(), settings.augment, device=device)
        logits = joined(share, images=len(task.shown), world=world)
    return metrics.fit_temperature(logits, task.measured.labels[task.shown])


def summarise(
    task: Task,
    settings: recipe.Recipe,
    logits: Float[np.ndarray, "images classes"],
    *,
    temperature: float | None = None,
    intervals: bool = True,
) -> Summary:
    """Compare logits with the labels of the images that are evaluated.

    Args:
        task: the data.
        settings: of the run.
        logits: of the images.
        temperature: that was fitted on validation images. On these themselves it proves nothing: there is no calibrated
            error of them.
        intervals: of means over classes, which take a second or two with many classes or images.
    """
    summary = metrics.summarise(
        logits,
        task.measured.labels[task.shown],
        train_counts=task.counts,
        class_names=task.class_names,
        groups=build.groups(settings),
        temperature=None if task.split == "validation" else temperature,
        resamples=1000 if intervals else 0,
    )
    return replace(summary, temperature=temperature)


def save(
    run: RunDir,
    task: Task,
    logits: Float[np.ndarray, "images classes"],
    summary: Summary,
    *,
    split: str | None = None,
) -> None:
    """Write predictions and results into the run folder."""
    run.write_predictions(
        [task.measured.ids[int(i)] for i in task.shown], task.measured.labels[task.shown], logits, split=split
    )
    run.write_summary(summary, split=split)


def show(
    run: RunDir,
    task: Task,
    settings: recipe.Recipe,
    classifier: ImageClassifier,
    logits: Float[np.ndarray, "images classes"],
    *,
    device: torch.device,
    split: str | None = None,
) -> None:
    """Write pictures and features of some images into the run folder, for whoever reports on it without the data."""
    labels, confidences = task.measured.labels[task.shown], scores.confidences_and_losses(logits, logits.argmax(1))[0]
    chosen = examples.choose(labels, logits.argmax(1), confidences, build.groups(settings).masks(task.counts))
    rows = sorted({*chosen.pictured, *chosen.mapped})
    shown = images(replace(task, shown=task.shown[rows]), settings, device)
    kept = features.make(classifier, shown(), rows, large=chosen.pictured, settings=settings.augment, device=device)
    run.write_gallery(kept, split=split)


def trained(
    run: RunDir,
    network: recipe.Network,
    head: recipe.Head,
    weights: Mapping[str, Tensor],
    *,
    classes: int,
    device: torch.device,
) -> ImageClassifier:
    """The network that a run has trained.

    Args:
        run: a finished run.
        network: its backbone.
        head: its classifier.
        weights: of both, as `RunDir.read_weights` gives them; their precision is that of the network.
        classes: number of classes.
        device: that predicts.
    Raises: ValueError if the weights are of another network.
    """
    classifier = build.classifier(network, head, classes=classes, fetch=False)
    try:
        classifier.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{run.weights} does not fit the network of {run.path}; was one of them changed?") from error
    classifier.to(device, next(weight.dtype for weight in weights.values() if weight.is_floating_point()))
    return classifier.to(memory_format=cast(Any, torch.channels_last))


def evaluate(
    run: RunDir, *, split: Measured | None = None, data_root: Path | None = None, device: torch.device
) -> Summary:
    """Measure a finished run again, or on another split, and write what comes out into its folder.

    Args:
        run: a finished run.
        split: "test", "validation" or "train"; `None` is the run's own.
        data_root: where the data is; `None` is where it was for training. Of own data it is the new path.
        device: that predicts.
    Raises: ValueError if the run has not finished, or has no such split.
    """
    settings = recipe.load(str(run.recipe))
    weights = run.read_weights()
    if data_root is None and (before := Environment.read(run.environment).data_root):
        data_root = Path(before)
    task = datamodule.load(settings, run=run, split=split, data_root=data_root)
    network = trained(run, settings.network, settings.head, weights, classes=len(task.class_names), device=device)
    shown = images(task, settings, device)
    logits = predict(network, shown(), settings.augment, device=device).cpu().numpy()
    summary = summarise(task, settings, logits, temperature=ModelFile.read(run.model).temperature)
    other = None if task.split == run.measured() else task.split
    save(run, task, logits, summary, split=other)
    show(run, task, settings, network, logits, device=device, split=other)
    run.write_card(model_card.render(run))
    return summary
