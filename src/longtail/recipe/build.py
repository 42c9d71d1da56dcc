"""The only place where settings become objects."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from longtail.data import augment, class_counts
from longtail.data.infobatch import InfoBatch
from longtail.data.sampler import Sampler
from longtail.methods.base import Method
from longtail.methods.classification import CrossEntropy, LogitAdjustment
from longtail.methods.hybrid import HybridPSC, HybridSC
from longtail.networks.airbench import Airbench, MirroredAirbench
from longtail.networks.base import Backbone, ImageClassifier
from longtail.networks.heads import CosineClassifier, LinearClassifier, ProjectionMLP
from longtail.networks.resnet import ResNet9, ResNet32
from longtail.networks.timm import TimmBackbone
from longtail.optim import muon, schedules
from longtail.optim.schedules import Clock
from longtail.recipe import model
from longtail.recipe.recipe import Recipe


def classifier(network: model.Network, head: model.Head, *, classes: int, fetch: bool = True) -> ImageClassifier:
    """The network that predicts, with random weights or timm's pretrained ones.

    Args:
        network: the backbone.
        head: the classifier on it.
        classes: number of classes.
        fetch: get pretrained weights, or those of a file, if the recipe says so; of no use before a checkpoint is
            loaded.
    """
    features = backbone(network, fetch=fetch)
    return ImageClassifier(features, _head(head, features.dim, classes))


def backbone(network: model.Network, *, fetch: bool = True) -> Backbone:
    """The network that turns images into features; see `classifier`."""
    match network:
        case model.ResNet32():
            return ResNet32()
        case model.ResNet9(width=width):
            return ResNet9(width)
        case model.Airbench(width=width, depth=depth, mirrored=True):
            return MirroredAirbench(width, depth=depth)
        case model.Airbench(width=width, depth=depth):
            return Airbench(width, depth=depth)
        case model.Timm(name=name, pretrained=pretrained, weights=weights):
            file = Path(weights) if weights is not None and fetch else None
            return TimmBackbone(name, pretrained=pretrained and fetch, weights=file)
        case other:
            assert_never(other)


def _head(head: model.Head, dim: int, classes: int) -> nn.Module:
    match head:
        case model.LinearHead():
            return LinearClassifier(dim, classes)
        case model.CosineHead(scale=scale):
            return CosineClassifier(dim, classes, scale=scale)
        case other:
            assert_never(other)


def method(settings: Recipe, train_counts: class_counts.Counts, *, fetch: bool = True) -> Method:
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
        case model.CrossEntropy(sampling=sampling, smoothing=smoothing):
            return CrossEntropy(network, sampling=sampling, smoothing=smoothing)
        case model.LogitAdjustment(tau=tau, smoothing=smoothing):
            shares = torch.from_numpy(class_counts.priors(train_counts)).float()
            return LogitAdjustment(network, prior=shares, tau=tau, smoothing=smoothing)
        case model.HybridSC(temperature=temperature, alpha=a, projection=p, chunk=chunk):
            return HybridSC(network, _projection(p, dim), temperature=temperature, alpha=alpha(a), chunk=chunk)
        case model.HybridPSC(temperature=temperature, alpha=a, projection=p, prototypes_per_class=several, chunk=chunk):
            return HybridPSC(
                network,
                _projection(p, dim),
                classes=classes,
                prototypes_per_class=several,
                temperature=temperature,
                alpha=alpha(a),
                chunk=chunk,
            )
        case other:
            assert_never(other)


def _projection(settings: model.Projection, dim: int) -> ProjectionMLP:
    return ProjectionMLP(dim, hidden=settings.hidden or dim, out=settings.dim)


def alpha(settings: model.Alpha) -> Callable[[Clock], float]:
    """The weight of the feature branch as a function of time."""
    match settings:
        case model.Parabolic():
            return schedules.parabolic
        case model.Linear():
            return schedules.linear
        case model.Cosine():
            return schedules.cosine
        case model.Constant(value=value):
            return lambda _clock: value
        case model.Switch(at=at):
            return partial(schedules.switch, at=at)
        case other:
            assert_never(other)


def sampler(settings: Recipe, images: int) -> Sampler | None:
    """What draws the training images by their losses, with fresh state; `None`: chance alone draws them."""
    on = settings.pruning
    if on is None:
        return None
    return InfoBatch(images, settings.batch_size, share=on.share, until=on.until, seed=settings.seed)


def learning_rate(settings: Recipe, clock: Clock) -> float:
    """The learning rate of a step."""
    schedule = settings.schedule
    match schedule:
        case model.StepDecay(milestones=milestones, factor=factor):
            decay = schedules.step_decay(clock, milestones=milestones, factor=factor)
        case model.CosineDecay():
            decay = schedules.cosine_decay(clock, warmup=schedule.warmup)
        case model.OneCycle():
            decay = schedules.linear_decay(clock, warmup=schedule.warmup)
        case model.ConstantRate():
            decay = 1.0
        case other:
            assert_never(other)
    return settings.optimizer.lr * decay * schedules.warmup(clock, fraction=schedule.warmup)


def image_size(settings: Recipe, clock: Clock) -> int | None:
    """The shorter side of the images that a step learns from, in pixels; `None` is as they are."""
    return schedules.staged(clock, stages=settings.augment.stages)


def optimizer(settings: model.Optimizer, method: Method) -> torch.optim.Optimizer:
    """The optimiser over all parameters; SGD has weight decay on all of them, as the CIFAR papers do it."""
    match settings:
        case model.SGD(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay):
            return torch.optim.SGD(method.parameters(), lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
        case model.Muon(lr=lr, factor=factor, momentum=momentum, weight_decay=decay, matrix_decay=matrix_decay):
            layers = (part for part in method.classifier.backbone.modules() if isinstance(part, (nn.Conv2d, nn.Linear)))
            matrices = [layer.weight for layer in layers]
            ours = {id(weight) for weight in matrices}
            return muon.Muon(
                matrices,
                [parameter for parameter in method.parameters() if id(parameter) not in ours],
                lr=lr,
                factor=factor,
                momentum=momentum,
                weight_decay=decay,
                matrix_decay=matrix_decay,
            )
        case other:
            assert_never(other)


def average(settings: Recipe, module: nn.Module) -> torch.optim.swa_utils.AveragedModel | None:
    """A moving average of a module's weights and batch statistics, or nothing if the recipe wants none."""
    if settings.ema is None:
        return None
    decay = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema)
    return torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=decay, use_buffers=True)


def augmentation(settings: Recipe) -> augment.Augmentation:
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


def groups(settings: Recipe) -> class_counts.Groups:
    """The bounds of many-, medium- and few-shot classes."""
    return class_counts.Groups(settings.groups.many, settings.groups.few)
