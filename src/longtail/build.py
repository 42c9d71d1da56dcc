"""The only place where settings become objects."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from longtail import counts, methods, networks, recipe, schedules
from longtail.data import augment, sources
from longtail.schedules import Clock


@dataclass(frozen=True)
class Task:
    """What there is to learn, and on what it is measured.

    Args:
        train: source of the training images.
        chosen: `(N,)` positions in `train` of the images to learn from.
        held: positions in `train` of the validation images, maybe none.
        measured: source of the images that are evaluated.
        shown: positions in `measured` of those images.
        counts: `(C,)` training images per class.
    """

    train: sources.Source
    chosen: Int[np.ndarray, " images"]
    held: Int[np.ndarray, " held"]
    measured: sources.Source
    shown: Int[np.ndarray, " shown"]
    counts: Int[np.ndarray, " classes"]

    def record(self) -> dict[str, Any]:
        """What a run remembers of its data, and by which another look notices that it has changed."""
        return {
            "fingerprint": sources.fingerprint(self.train),
            "class_names": list(self.class_names),
            "counts": self.counts.tolist(),
            "train": self.chosen.tolist(),
            "validation": self.held.tolist(),
        }

    @property
    def labels(self) -> Int[np.ndarray, " images"]:
        return self.train.labels[self.chosen]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.train.class_names


def task(
    settings: recipe.Recipe, *, split: str | None = None, data_root: Path | None = None, download: bool = False
) -> Task:
    """Open the data and choose the images.

    Args:
        settings: of the run.
        split: what to measure: "test", "validation" or "train"; `None` as the recipe says.
        data_root: see `sources.load`.
        download: see `sources.load`.
    Raises: ValueError or FileNotFoundError if the data is not there, damaged, or too small for the recipe.
    """
    data, split = settings.data, split or settings.split
    train = sources.load(data.name, "train", data_root=data_root, download=download)
    classes = len(train.class_names)
    available = counts.count(train.labels, classes)
    n_max = data.n_max or int(available.min() if data.profile != "natural" else available.max())
    # A tenth is held out for a recipe that measures on it; other recipes learn from every image they may.
    held_out = (
        data.validation if data.validation is not None else (max(1, n_max // 10) * (settings.split == "validation"))
    )
    wanted = available if data.profile == "natural" else _profile(data.profile)(n_max, classes, data.imbalance)
    if wanted.min() == 0 and available.min() > 0:
        raise ValueError(
            f"data.imbalance is {data.imbalance:g} and n_max {n_max}: {(wanted == 0).sum()} classes would have no "
            f"image; allowed: an imbalance of at most {n_max}"
        )
    chosen, held = counts.subset(train.labels, wanted, seed=data.seed, held_out=held_out, class_names=train.class_names)
    match split:
        case "test":
            measured = sources.load(data.name, "test", data_root=data_root, download=download)
            if measured.class_names != train.class_names:
                raise ValueError(f"{data.name}: the test split has other classes than the training split")
            shown = np.arange(len(measured.labels))
        case "validation":
            if not len(held):
                raise ValueError("this run held no validation images out; allowed splits: test, train")
            measured, shown = train, held
        case _:
            measured, shown = train, chosen
    return Task(train, chosen, held, measured, shown, counts.count(train.labels[chosen], classes))


def _profile(name: str) -> Callable[[int, int, float], counts.Counts]:
    return {"exponential": counts.exponential, "pareto": counts.pareto, "step": counts.step}[name]


def classifier(
    network: recipe.Network, head: recipe.Head, *, classes: int, fetch: bool = True
) -> networks.ImageClassifier:
    """The network that predicts, with random weights or timm's pretrained ones.

    Args:
        network: the backbone.
        head: the classifier on it.
        classes: number of classes.
        fetch: get pretrained weights, or those of a file, if the recipe says so; of no use before a checkpoint is
            loaded.
    """
    match network:
        case recipe.ResNet32():
            backbone = networks.ResNet32()
        case recipe.ResNet9(width=width):
            backbone = networks.ResNet9(width)
        case recipe.Timm(name=name, pretrained=pretrained, weights=weights):
            file = Path(weights) if weights is not None and fetch else None
            backbone = networks.TimmBackbone(name, pretrained=pretrained and fetch, weights=file)
    match head:
        case recipe.LinearHead():
            layer = networks.LinearClassifier(backbone.dim, classes)
        case recipe.CosineHead(scale=scale):
            layer = networks.CosineClassifier(backbone.dim, classes, scale=scale)
    return networks.ImageClassifier(backbone, layer)


def method(settings: recipe.Recipe, *, classes: int, fetch: bool = True) -> methods.Method:
    """The method with fresh state; see `classifier` for `fetch`."""
    network = classifier(settings.network, settings.head, classes=classes, fetch=fetch)
    dim = network.backbone.dim
    match settings.method:
        case recipe.CrossEntropy(sampling=sampling):
            return methods.CrossEntropy(network, sampling=sampling)
        case recipe.HybridSC(temperature=temperature, alpha=a, projection=p, chunk=chunk):
            return methods.HybridSC(network, _projection(p, dim), temperature=temperature, alpha=alpha(a), chunk=chunk)
        case recipe.HybridPSC(
            temperature=temperature, alpha=a, projection=p, prototypes_per_class=several, chunk=chunk
        ):
            return methods.HybridPSC(
                network,
                _projection(p, dim),
                classes=classes,
                dim=p.dim,
                temperature=temperature,
                alpha=alpha(a),
                prototypes_per_class=several,
                chunk=chunk,
            )


def _projection(settings: recipe.Projection, dim: int) -> nn.Module:
    return networks.ProjectionMLP(dim, hidden=settings.hidden or dim, out=settings.dim)


def alpha(settings: recipe.Alpha) -> Callable[[Clock], float]:
    """The weight of the feature branch as a function of time."""
    match settings:
        case recipe.Parabolic():
            return schedules.parabolic
        case recipe.Linear():
            return schedules.linear
        case recipe.Cosine():
            return schedules.cosine
        case recipe.Constant(value=value):
            return lambda _clock: value
        case recipe.Switch(at=at):
            return partial(schedules.switch, at=at)


def learning_rate(settings: recipe.Recipe, clock: Clock) -> float:
    """The learning rate of a step."""
    schedule = settings.schedule
    match schedule:
        case recipe.StepDecay(milestones=milestones, factor=factor):
            decay = schedules.step_decay(clock, milestones=milestones, factor=factor)
        case recipe.CosineDecay():
            decay = schedules.cosine_decay(clock, warmup=schedule.warmup)
        case recipe.OneCycle():
            decay = schedules.linear_decay(clock, warmup=schedule.warmup)
        case recipe.ConstantRate():
            decay = 1.0
    return settings.optimizer.lr * decay * schedules.warmup(clock, fraction=schedule.warmup)


def optimizer(settings: recipe.SGD, module: nn.Module) -> torch.optim.SGD:
    """The optimiser over all parameters; weight decay on all of them, as the CIFAR papers do it."""
    return torch.optim.SGD(
        module.parameters(),
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
    )


def average(settings: recipe.Recipe, module: nn.Module) -> torch.optim.swa_utils.AveragedModel | None:
    """A moving average of a module's weights and batch statistics, or nothing if the recipe wants none."""
    if settings.ema is None:
        return None
    decay = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema)
    return torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=decay, use_buffers=True)


def augmentation(settings: recipe.Recipe) -> augment.Augmentation:
    """What is done at random to batches on the device.

    A random resized crop of images that are decoded to another size in every step is done there, not here.
    """
    a = settings.augment
    return augment.Augmentation(
        mean=a.mean,
        std=a.std,
        crop_padding=a.crop_padding,
        resized_crop=a.resized_crop if settings.data.in_memory or settings.data.image_size is None else None,
        flip=a.flip,
        jitter=augment.Jitter(**a.jitter.model_dump()) if a.jitter else None,
        grayscale=a.grayscale,
        cutout=a.cutout,
    )


def groups(settings: recipe.Recipe) -> counts.Groups:
    """The bounds of many-, medium- and few-shot classes."""
    return counts.Groups(settings.groups.many, settings.groups.few)
