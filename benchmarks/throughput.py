"""Throughput of the loop against the bare network, of layouts, and of augmentation against torchvision's.

Usage: python benchmarks/throughput.py --data-root DIR   (half an hour on two cores; writes benchmarks/throughput.md)
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision import transforms
from torchvision.transforms import v2

from longtail import recipe
from longtail.data import augment
from longtail.data.batches import Batch
from longtail.optim.schedules import Clock
from longtail.recipe import build
from longtail.runs import datamodule
from longtail.runtime import hardware
from longtail.training import loop
from longtail.training.state import TrainState
from longtail.training.time_budget import Schedule, TimeBudget
from measure import HERE, about, alternate, extra_memory, in_own_process, median, ratio, table

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class Loop:
    """Steps of the real loop, on real data: look up, augment, forward, loss, backward, optimiser, log values."""

    def __init__(self, name: str, data_root: Path, *overrides: str) -> None:
        settings = recipe.load(name, recipe.parse_overrides(["epochs=1000", "tensorboard=false", *overrides]))
        data = datamodule.load(settings, data_root=data_root)
        fabric = Fabric(accelerator="cpu", devices=1)
        self.state = TrainState(settings, fabric, data.counts, fetch=False)
        self.plan = loop.batch_plan(settings, data, self.state.method, fabric)
        schedule = Schedule(1000, self.plan.steps_per_epoch, evaluate_every=1000)
        budget = TimeBudget(None, schedule, saved=None, device=fabric.device)
        self.steps = enumerate(loop.step_batches(self.state, data, self.plan, budget, 0))
        self.settings = settings
        self.images = settings.batch_size * sum(stream.views for stream in self.plan.streams)

    def step(self) -> None:
        step, micro_batches = next(self.steps)
        clock = Clock.at(step=step, epochs=1000, steps_per_epoch=self.plan.steps_per_epoch)
        terms = self.state.train_step(
            micro_batches, self.plan, step, clock, rate=build.learning_rate(self.settings, clock)
        )
        float(terms["loss"])


class Bare:
    """Forward, cross-entropy, backward and optimiser of the same network on one fixed batch."""

    def __init__(self, name: str, images: int, *overrides: str, channels_last: bool = True) -> None:
        settings = recipe.load(name, recipe.parse_overrides(overrides))
        method = build.method(settings, np.ones(100, np.int64))
        self.network: Callable[[Tensor], Tensor] = method.classifier
        self.images, self.labels = torch.randn(images, 3, 32, 32), torch.randint(0, 100, (images,))
        if channels_last:
            layout: Any = torch.channels_last
            method.to(memory_format=layout)
            self.images = self.images.contiguous(memory_format=layout)
        self.optimizer = build.optimizer(settings.optimizer, method)

    def step(self) -> None:
        F.cross_entropy(self.network(self.images), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def loop_against_bare(data_root: Path, rounds: int) -> str:
    rows: list[list[object]] = []
    for network in ("resnet32", "resnet9"):
        for method in ("ce", "hybrid-sc", "hybrid-psc"):
            name = f"cifar100-lt-100/{method}"
            change = (f"network.kind={network}", f"batch_size={512 if method == 'ce' else 170}")
            loop = Loop(name, data_root, *change)
            bare = Bare(name, loop.images, *change)
            seconds = alternate({"bare": bare.step, "loop": loop.step}, rounds=rounds)
            speeds = [loop.images / median(seconds[kind]) for kind in ("bare", "loop")]
            rows.append([network, method, loop.images, *map(round, speeds), ratio(seconds, "bare", "loop")])
    return table(["network", "method", "images a step", "bare, images/s", "loop, images/s", "loop / bare"], rows)


def layouts(rounds: int) -> str:
    rows: list[list[object]] = []
    for network in ("resnet32", "resnet9"):
        change = (f"network.kind={network}",)
        pair = {
            kind: Bare("cifar100-lt-100/ce", 256, *change, channels_last=kind == "last") for kind in ("first", "last")
        }
        seconds = alternate({kind: bare.step for kind, bare in pair.items()}, rounds=rounds)
        speeds = [256 / median(seconds[kind]) for kind in ("first", "last")]
        rows.append([network, *map(round, speeds), ratio(seconds, "first", "last")])
    return table(["network", "NCHW, images/s", "channels last, images/s", "ratio"], rows)


def augmentation(rounds: int) -> str:
    """Two views of 512 images: crop (padding 4), flip, grayscale 0.2, normalisation."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (512, 3, 32, 32), dtype=np.uint8))
    pil = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pixels]
    settings = augment.Augmentation(mean=MEAN, std=STD, crop_padding=4, flip=0.5, grayscale=0.2)

    def ours() -> None:
        drawn = augment.draw(settings, views=2, batch=512, height=32, width=32, key=(0, 0, 0))
        augment.augment(pixels.expand(2, -1, -1, -1, -1), drawn, settings)

    def on(images: list[Any] | Tensor, pipeline: Any) -> Tensor:
        return torch.stack([torch.stack([pipeline(image) for image in images]) for _ in range(2)])

    one = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.RandomGrayscale(0.2),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    two = v2.Compose(
        [
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.RandomGrayscale(0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    candidates = {"longtail": ours, "torchvision, PIL": lambda: on(pil, one), "torchvision v2": lambda: on(pixels, two)}
    seconds = alternate(candidates, rounds=rounds)
    rows: list[list[object]] = [
        [name, f"{1024 / median(seconds[name]):,.0f}", ratio(seconds, name, "longtail")] for name in candidates
    ]
    return table(["pipeline", "images/s", "longtail is faster by"], rows)


def kept_memory(rounds: int) -> str:
    """Steps of the bare network in processes of their own, in turns: what the C library does cannot be undone."""
    rows: list[list[object]] = []
    for images in (256, 768, 1536):
        speeds: dict[str, list[float]] = {"returned": [], "kept": []}
        for _ in range(rounds):
            for kind, measured in speeds.items():
                measured.append(float(in_own_process(__file__, "--bare", kind, str(images))))
        gain = median([kept / returned for returned, kept in zip(*speeds.values(), strict=True)])
        rows.append([images, *(round(median(each)) for each in speeds.values()), gain])
    return table(["images a step", "returned, images/s", "kept, images/s", "ratio"], rows)


def one_bare(kind: str, images: int) -> float:
    if kind == "kept":
        hardware.keep_memory()
    bare = Bare("cifar100-lt-100/ce", images)
    seconds = alternate({"bare": bare.step}, rounds=3)["bare"]
    return images / median(seconds)


def large_batches() -> str:
    """One step of Hybrid-SC in a process of its own; images that the network sees are part of the memory."""
    rows: list[list[object]] = []
    for batch, chunk in ((256, None), (1024, None), (4096, 256)):
        for kind in ("kept", "returned"):
            found = in_own_process(__file__, "--large", kind, str(batch), str(chunk or 0))
            memory, seconds = map(float, found.split())
            rows.append([batch, chunk or "-", kind, memory, seconds, 3 * batch / seconds])
    columns = ["images a stream", "method.chunk", "freed memory is", "extra memory, MiB", "seconds a step", "images/s"]
    return table(columns, rows)


def one_large(kind: str, batch: int, chunk: int) -> tuple[float, float]:
    if kind == "kept":
        hardware.keep_memory()
    else:
        hardware.return_memory()
    torch.manual_seed(0)
    settings = recipe.load("cifar100-lt-100/hybrid-sc", recipe.parse_overrides([f"method.chunk={chunk or 'null'}"]))
    layout: Any = torch.channels_last
    method = build.method(settings, np.ones(100, np.int64)).to(memory_format=layout)
    clock, spent = Clock.at(step=50, epochs=1, steps_per_epoch=100), list[float]()

    def step() -> None:
        labels = torch.randint(0, 100, (batch,))
        shown = (Batch(torch.randn(views, batch, 3, 32, 32), labels) for views in (2, 1))
        start = time.perf_counter()
        method(tuple(shown), clock).loss.backward()
        spent.append(time.perf_counter() - start)

    return extra_memory(step), spent[0]


def tried(rounds: int) -> str:
    """Two ways to a faster step that PyTorch offers, on the bare ResNet-32, batch 256."""
    candidates = {kind: Bare("cifar100-lt-100/ce", 256) for kind in ("eager", "fused optimiser", "compiled")}
    for kind in ("fused optimiser", "compiled"):
        for group in candidates[kind].optimizer.param_groups:
            group["foreach"], group["fused"] = False, True
    compiled, start = candidates["compiled"], time.perf_counter()
    compiled.network = torch.compile(compiled.network)
    compiled.step()
    compiling = time.perf_counter() - start
    seconds = alternate({kind: bare.step for kind, bare in candidates.items()}, rounds=rounds)
    rows: list[list[object]] = [
        [
            kind,
            round(256 / median(seconds[kind])),
            ratio(seconds, "eager", kind),
            compiling if bare is compiled else "-",
        ]
        for kind, bare in candidates.items()
    ]
    return table(["way", "images/s", "times as fast as eager", "seconds until the first step"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, default=Path())
    parser.add_argument("--bare", nargs=2, metavar=("kept|returned", "IMAGES"))
    parser.add_argument("--large", nargs=3, metavar=("kept|returned", "IMAGES", "CHUNK"))
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    if options.bare:
        sys.stdout.write(f"{one_bare(options.bare[0], int(options.bare[1]))}\n")
        return
    if options.large:
        kind, batch, chunk = options.large
        sys.stdout.write("{} {}\n".format(*one_large(kind, int(batch), int(chunk))))
        return
    memory, large = kept_memory(3), large_batches()
    hardware.keep_memory()  # as training does
    text = f"""# Throughput

Every row was measured in turns within one run; ratios are medians of the ratios within a turn.

## The loop against the bare network

The loop is all that a training step does: looking images up, two streams, augmentation, forward, losses, backward,
optimiser, reading the loss. The bare network does forward, cross-entropy, backward and optimiser on one fixed batch of
as many images, in the same layout. The goal is a ratio of 0.9.

{loop_against_bare(options.data_root, options.rounds)}

## Layout

Batch 256, forward, backward and optimiser, eager. `longtail` trains with channels last. The goal is 1.15 for ResNet-32.

{layouts(options.rounds)}

## Memory

`longtail` asks the C library to keep freed memory (`hardware.keep_memory`); by default glibc returns every tensor above
32 MiB to the operating system, which clears its pages again in the next step. ResNet-32, channels last, forward,
backward and optimiser; the paper's recipe has 1,536 images a step.

{memory}

## Large contrastive batches

One step, forward and backward, of Hybrid-SC with ResNet-32; three views of so many images a step, which are in the
memory too. With `method.chunk` the network keeps what lies between its layers for so many views at a time, and computes
it again for the gradient (`methods/chunks.py`). Training then returns freed memory (`hardware.return_memory`), since
kept in parts it is full of holes; without chunks it keeps it.

{large}

## Tried, and not built in

{tried(options.rounds)}

A compiled network takes that long to start in every run; where it is faster, it pays in long trainings only.

## Augmentation

Two views of 512 images of 32 x 32 pixels: crop, flip, grayscale, normalisation.

{augmentation(options.rounds)}

By `python benchmarks/{Path(__file__).name} --data-root DIR --rounds {options.rounds}`. {about()}
"""
    (HERE / "throughput.md").write_text(text)


if __name__ == "__main__":
    main()
