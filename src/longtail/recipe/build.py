"""The only place where settings become objects."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from longtail import methods, networks, recipe
from longtail.data import augment, class_counts
from longtail.data.infobatch import Pruning
from longtail.optim import schedules
from longtail.optim.muon import Muon
from longtail.optim.schedules import Clock


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
        case recipe.Airbench(width=width, depth=depth, mirrored=mirrored):
            backbone = networks.Airbench(width, depth=depth, mirrored=mirrored)
        case recipe.Timm(name=name, pretrained=pretrained, weights=weights):
            file = Path(weights) if weights is not None and fetch else None
            backbone = networks.TimmBackbone(name, pretrained=pretrained and fetch, weights=file)
    match head:
        case recipe.LinearHead():
            layer = networks.LinearClassifier(backbone.dim, classes)
        case recipe.CosineHead(scale=scale):
            layer = networks.CosineClassifier(backbone.dim, classes, scale=scale)
    return networks.ImageClassifier(backbone, layer)


def method(settings: recipe.Recipe, train_counts: class_counts.Counts, *, fetch: bool = True) -> methods.Method:
    """The method with fresh state.

    Args:
        settings: of the run.
        train_counts: `(C,)` training images per class.
        fetch: see `classifier`.
    """
    classes = len(train_counts)
    network = classifier(settings.network, settings.head, classes=classes, fetch=fetch)
    dim = network.backbone.dim
    match settings.method:
        case recipe.CrossEntropy(sampling=sampling, smoothing=smoothing):
            return methods.CrossEntropy(network, sampling=sampling, smoothing=smoothing)
        case recipe.LogitAdjustment(tau=tau, smoothing=smoothing):
            shares = torch.from_numpy(class_counts.priors(train_counts)).float()
            return methods.LogitAdjustment(network, prior=shares, tau=tau, smoothing=smoothing)
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


def pruning(settings: recipe.Recipe, images: int) -> Pruning | None:
    """What prunes the training images, with fresh state, if anything does."""
    on = settings.pruning
    return None if on is None else Pruning(images, share=on.share, until=on.until, seed=settings.seed)


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


def image_size(settings: recipe.Recipe, clock: Clock) -> int | None:
    """The shorter side of the images that a step learns from, in pixels; `None` is as they are."""
    return schedules.staged(clock, stages=settings.augment.stages)


def optimizer(settings: recipe.Optimizer, method: methods.Method) -> torch.optim.Optimizer:
    """The optimiser over all parameters; SGD has weight decay on all of them, as the CIFAR papers do it."""
    match settings:
        case recipe.SGD(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay):
            return torch.optim.SGD(method.parameters(), lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
        case recipe.Muon(lr=lr, factor=factor, momentum=momentum, weight_decay=decay, matrix_decay=matrix_decay):
            layers = (part for part in method.classifier.backbone.modules() if isinstance(part, (nn.Conv2d, nn.Linear)))
            matrices = [layer.weight for layer in layers]
            ours = {id(weight) for weight in matrices}
            return Muon(
                matrices,
                [parameter for parameter in method.parameters() if id(parameter) not in ours],
                lr=lr,
                factor=factor,
                momentum=momentum,
                weight_decay=decay,
                matrix_decay=matrix_decay,
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
        trivial_augment=a.trivial_augment,
        jitter=augment.Jitter(**a.jitter.model_dump()) if a.jitter else None,
        grayscale=a.grayscale,
        cutout=a.cutout,
        cutmix=a.cutmix,
    )


def groups(settings: recipe.Recipe) -> class_counts.Groups:
    """The bounds of many-, medium- and few-shot classes."""
    return class_counts.Groups(settings.groups.many, settings.groups.few)


def prior(settings: recipe.Recipe, train_counts: class_counts.Counts) -> Float[np.ndarray, " classes"]:
    """The distribution of classes that the classifier's probabilities assume: that of the images it was shown.

    Logit adjustment takes as much of it away again as `tau` says: all of it if that is 1.

    Args:
        settings: of the run.
        train_counts: `(C,)` training images per class.
    Returns: `(C,)` probabilities that sum to 1; 0 for a class without training images.

    >>> prior(recipe.load("digits-lt/hybrid-psc"), np.array([30, 10, 0])).tolist()
    [0.5, 0.5, 0.0]
    """
    match settings.method:
        case recipe.CrossEntropy(sampling="instance"):
            return class_counts.priors(train_counts)
        case recipe.LogitAdjustment(tau=tau):
            return _powers(class_counts.priors(train_counts), 1 - tau)
        case recipe.CrossEntropy() | recipe.HybridSC() | recipe.HybridPSC():
            return class_counts.priors((train_counts > 0).astype(np.int64))


def _powers(prior: Float[np.ndarray, " classes"], power: float) -> Float[np.ndarray, " classes"]:
    """A distribution with its shares raised to a power; a class without a share keeps none."""
    present = prior > 0
    logs = power * np.log(prior, out=np.zeros_like(prior), where=present)
    shares = np.where(present, np.exp(logs - logs[present].max()), 0)
    return shares / shares.sum()
