"""Cost: the time and the memory that a training will take, from a few of its steps."""

import time
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from longtail.data import augment
from longtail.data.batches import Batch
from longtail.optim.schedules import Clock
from longtail.recipe import Recipe, build
from longtail.runtime import hardware

_STEPS = 3  # that are timed at most, after one that is not
_FEW = 4  # images a stream to begin with, and the factor to the next try
_LONG = 0.5  # seconds a step above which no larger batch is tried, and no more steps
_PROGRAM = 0.5e9  # bytes of Python and its libraries


@dataclass(frozen=True)
class Cost:
    """What a training will take.

    Args:
        seconds: for all steps and evaluations, if decoding keeps up.
        bytes: of memory: program, images that are kept, and one step. On an accelerator, of its memory, without the
            program.
        steps: of the training.
        device: that was measured.
    """

    seconds: float
    bytes: int
    steps: int
    device: str

    def in_words(self) -> str:
        """A line for people.

        >>> Cost(5400, 2_100_000_000, 12_000, "cpu").in_words()
        'about 1.5 hours for 12,000 steps, and 2.1 GB of memory, on cpu'
        """
        return (
            f"about {_duration(self.seconds)} for {self.steps:,} step{'s' * (self.steps != 1)}, and "
            f"{self.bytes / 1e9:.1f} GB of memory, on {self.device}"
        )


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            number = seconds / length
            return f"{number:.0f} {unit}s" if number >= 10 else f"{number:.1f} {unit}s"
    return f"{max(1, seconds):.0f} second{'s' * (round(seconds) > 1)}"


def cost(
    settings: Recipe, *, images: int, measured: int, classes: int, size: tuple[int, int], device: str = "auto"
) -> Cost:
    """Take a few steps on random pixels and scale them up.

    Args:
        settings: of the training.
        images: to learn from, at least 1.
        measured: images that are evaluated.
        classes: number of classes.
        size: height and width of the images that the network sees.
        device: see `hardware.runtime`.
    Raises: ValueError if the network cannot take images of this size.
    """
    fabric = hardware.runtime(device=device, precision=settings.precision)
    probe = _Probe(settings, fabric, classes=classes, size=size)
    batch = settings.batch_size // settings.accumulate
    few, seconds, saved = 0, 0.0, 0
    while few < batch and seconds < _LONG:  # small batches cost more an image
        few = min(batch, max(1, few) * _FEW)
        saved, seconds = probe.measure(few)
    per_image = seconds / (few * probe.views)  # of one view, forward and backward
    step, evaluation = settings.batch_size * probe.views * per_image, measured * per_image / 3
    if settings.budget is None:
        steps = settings.epochs * max(1, images // settings.batch_size)
        seconds = steps * step + -(-settings.epochs // settings.evaluate_every) * evaluation
    else:
        steps, seconds = max(1, int((settings.budget - evaluation) / step)), settings.budget
    in_memory = 3 * size[0] * size[1] * (images + measured) if settings.data.in_memory else 0
    program = _PROGRAM if fabric.device.type == "cpu" else 0
    return Cost(
        seconds=seconds,
        bytes=int(program + in_memory + probe.state + saved * batch / few),
        steps=steps,
        device=str(fabric.device.type),
    )


class _Probe:
    """A training that sees nothing but noise."""

    def __init__(self, settings: Recipe, fabric: Fabric, *, classes: int, size: tuple[int, int]) -> None:
        self._fabric, self._size, self._classes = fabric, size, classes
        method = build.method(settings, np.ones(classes, np.int64), fetch=False)
        method.to(memory_format=cast(Any, torch.channels_last))
        self._method, self._optimizer = fabric.setup(method, build.optimizer(settings.optimizer, method))
        self._augmentation = build.augmentation(settings)
        self._streams = method.streams
        self.views = sum(stream.views for stream in self._streams)
        # Weights, gradients, momentum, and an average of the weights.
        copies = 4 if settings.ema else 3
        self.state = copies * sum(weight.numel() * weight.element_size() for weight in method.parameters())

    def measure(self, batch: int) -> tuple[int, float]:
        """Bytes that a forward pass keeps for the backward pass, and seconds of a step; so many images a stream."""
        saved = self._kept(batch)
        seconds = list[float]()
        while len(seconds) < _STEPS and sum(seconds) < _LONG:
            start = time.perf_counter()
            self._step(batch)
            if self._fabric.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return saved, min(seconds)  # the least disturbed one

    def _kept(self, batch: int) -> int:
        sizes: dict[int, int] = {}

        def count(kept: Tensor) -> Tensor:
            storage = kept.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return kept

        with saved_tensors_hooks(count, lambda kept: kept):
            self._step(batch)
        return sum(sizes.values())

    def _step(self, batch: int) -> None:
        views = tuple(self._noise(batch, stream.views, number) for number, stream in enumerate(self._streams))
        loss = self._method(views, Clock.at(step=0, epochs=1, steps_per_epoch=1)).loss
        self._fabric.backward(loss)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _noise(self, batch: int, views: int, number: int) -> Batch:
        height, width = self._size
        pixels = torch.randint(0, 256, (views, batch, 3, height, width), dtype=torch.uint8, device=self._fabric.device)
        drawn = augment.draw(
            self._augmentation, views=views, batch=batch, height=height, width=width, key=(0, 0, number, 0)
        )
        labels = torch.arange(batch, device=self._fabric.device) % self._classes
        return augment.mixed(augment.augment(pixels, drawn, self._augmentation), labels, drawn)
