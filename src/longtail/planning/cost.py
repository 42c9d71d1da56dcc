"""Cost: the time and the memory that a training will take, from a few of its real steps on noise."""

import time
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from longtail.data import batches
from longtail.inference.forward import forward
from longtail.inference.preprocessing import Preprocessing
from longtail.optim.schedules import Clock
from longtail.recipe import Recipe, build
from longtail.runtime import hardware
from longtail.text import duration_about, quantity
from longtail.training.state import TrainState

_STEPS = 3  # that are timed at most, after one that is not
_FEW = 4  # images a stream to begin with, and the factor to the next try
_LONG = 0.5  # seconds a step above which no larger batch is tried, and no more steps
_EVALUATED = 64  # images a batch of an evaluation that is timed
_PROGRAM = 1.0e9  # bytes of Python and its libraries, the report at the end included (`benchmarks/forecast.md`)


@dataclass(frozen=True)
class Cost:
    """What a training will take.

    Args:
        seconds: for all steps and evaluations, if decoding keeps up.
        bytes: of memory: program, images that are kept, and one step. On an accelerator, of its memory, without the
            program.
        weights: bytes of the network that predicts, as they are saved.
        steps: of the training.
        device: on which it was timed.
    """

    seconds: float
    bytes: int
    weights: int
    steps: int
    device: str

    def in_words(self) -> str:
        """A line for people.

        >>> Cost(5400, 2_100_000_000, 1_900_000, 12_000, "cpu").in_words()
        'about 1.5 hours for 12,000 steps, and 2.1 GB of memory, on cpu'
        """
        return (
            f"about {duration_about(self.seconds)} for {quantity(self.steps, 'step')}, and "
            f"{self.bytes / 1e9:.1f} GB of memory, on {self.device}"
        )


def cost(
    settings: Recipe, *, images: int, evaluated: int, classes: int, size: tuple[int, int], device: str = "auto"
) -> Cost:
    """Take a few steps on random pixels and scale them up.

    Args:
        settings: of the training.
        images: to learn from, at least 1.
        evaluated: images on which it is evaluated.
        classes: number of classes.
        size: height and width of the images that the network sees.
        device: see `hardware.runtime`.
    Raises: ValueError if the network cannot take images of this size.
    """
    fabric = hardware.runtime(device=device, precision=settings.precision)
    if fabric.device.type == "cpu":  # as a training does: it decides about the time of a step
        hardware.return_memory() if settings.method.in_chunks else hardware.keep_memory()
    noise = _Noise(settings, fabric, classes=classes, size=size)
    whole = settings.batch_size // settings.accumulate
    few, seconds, saved = 0, 0.0, 0
    while few < whole and seconds < _LONG:  # small batches cost more an image
        few = min(whole, max(1, few) * _FEW)
        saved, seconds = noise.step(few)
    step = whole / few * _over_stages(noise, settings, few, seconds)
    evaluation = evaluated * noise.evaluation() if evaluated else 0.0
    if settings.budget is None:
        steps = settings.epochs * max(1, images // settings.batch_size)
        seconds = steps * step + -(-settings.epochs // settings.evaluate_every) * evaluation
    else:
        steps, seconds = max(1, int((settings.budget - evaluation) / step)), settings.budget
    in_memory = 3 * size[0] * size[1] * (images + evaluated) if settings.data.in_memory else 0
    program = _PROGRAM if fabric.device.type == "cpu" else 0
    return Cost(
        seconds=seconds,
        bytes=int(program + in_memory + noise.state() + saved * whole / few),
        weights=noise.weights(),
        steps=steps,
        device=str(fabric.device.type),
    )


def _over_stages(noise: "_Noise", settings: Recipe, few: int, whole: float) -> float:
    """Mean seconds of a step over a training that begins with smaller images; `whole` is that of whole ones."""
    seconds, begun = 0.0, 0.0
    for end, _ in settings.augment.stages:
        seconds += (end - begun) * noise.step(few, progress=(begun + end) / 2)[1]
        begun = end
    return seconds + (1 - begun) * whole


class _Noise:
    """A training whose images are noise: its state, its batches and its evaluation are those of any training."""

    def __init__(self, settings: Recipe, fabric: Fabric, *, classes: int, size: tuple[int, int]) -> None:
        self._settings, self._fabric, self._classes, self._size = settings, fabric, classes, size
        self._state = TrainState(settings, fabric, np.ones(classes, np.int64), fetch=False)

    def step(self, few: int, *, progress: float = 1.0) -> tuple[int, float]:
        """Bytes that are kept for the backward pass, and seconds of a step, with `few` images a forward pass.

        Args:
            few: images a stream.
            progress: when in the training, in [0, 1].
        """
        settings, seconds = self._settings, list[float]()
        batch = few * settings.accumulate
        labels = np.arange((_STEPS + 1) * batch) % self._classes
        plan = batches.Plan(
            labels,
            self._state.method.streams,
            batch,
            seed=settings.seed,
            accumulate=settings.accumulate,
        )
        clock = Clock.part(progress, epochs=settings.epochs, steps_per_epoch=plan.steps_per_epoch)
        self._state.sampler = build.sampler(settings.model_copy(update={"batch_size": batch}), len(labels))
        pixels = self._images(len(labels))
        stream = batches.in_memory(plan, pixels, start=0, stop=_STEPS + 1, sampler=self._state.sampler)
        saved = _Saved(self._state.method.parameters())
        for step, micro_batches in enumerate(stream):
            start = time.perf_counter()
            # A rate of 0: noise teaches nothing, and may not make a loss infinite.
            if step:
                self._state.train_step(micro_batches, plan, step, clock, rate=0.0)
            else:
                with saved_tensors_hooks(saved.keep, saved.give):
                    self._state.train_step(micro_batches, plan, step, clock, rate=0.0)
            self._wait()
            if step:
                seconds.append(time.perf_counter() - start)
            if sum(seconds) > _LONG:
                break
        return saved.most, min(seconds)  # the least disturbed one

    def evaluation(self) -> float:
        """Seconds that evaluating an image takes."""
        pixels = self._images(_EVALUATED).contiguous()
        start = time.perf_counter()
        forward(self._state.classifier, pixels, Preprocessing.of(self._settings).normalisation)
        self._wait()
        return (time.perf_counter() - start) / _EVALUATED

    def weights(self) -> int:
        """Bytes of the network that predicts."""
        return _bytes(self._state.classifier.state_dict().values())

    def state(self) -> int:
        """Bytes of weights, their average, gradients and whatever the optimiser keeps."""
        state = self._state
        kept = [value for each in state.optimizer.state.values() for value in each.values()]
        gradients = _bytes(state.method.parameters())
        average = 0 if state.average is None else _bytes(state.average.parameters())
        weights = _bytes(state.method.state_dict().values())
        return weights + average + gradients + _bytes(each for each in kept if isinstance(each, Tensor))

    def _images(self, number: int) -> Tensor:
        """One image of noise, as often as it is wanted: what is in it does not matter."""
        one = torch.randint(0, 256, (1, 3, *self._size), dtype=torch.uint8, device=self._fabric.device)
        return one.expand(number, -1, -1, -1)

    def _wait(self) -> None:
        if self._fabric.device.type == "cuda":
            torch.cuda.synchronize()


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class _Saved:
    """How many bytes are kept for a backward pass, at most at one time: parts of a batch may follow each other.

    Args:
        parameters: whose own memory does not count.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.most, self._now, self._uses = 0, 0, Counter[int]()
        self._parameters = {parameter.untyped_storage().data_ptr() for parameter in parameters}

    def keep(self, tensor: Tensor) -> "_Holder":
        """For `saved_tensors_hooks`: called when a tensor is saved."""
        holder, storage = _Holder(tensor), tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place not in self._parameters:
            self._now += size * (not self._uses[place])
            self._uses[place] += 1
            self.most = max(self.most, self._now)
            weakref.finalize(holder, self._free, place, size)
        return holder

    @staticmethod
    def give(holder: "_Holder") -> Tensor:
        """For `saved_tensors_hooks`: called when it is needed."""
        return holder.tensor

    def _free(self, place: int, size: int) -> None:
        self._uses[place] -= 1
        self._now -= size * (not self._uses[place])


@dataclass(frozen=True, eq=False)
class _Holder:
    tensor: Tensor
