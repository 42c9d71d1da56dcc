"""What a training will cost, from a few of its steps."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.autograd.graph import saved_tensors_hooks

from longtail import recipe
from longtail.planning.cost import Cost, _Saved, cost
from longtail.runs import datamodule
from longtail.training import train
from longtail.training.state import TrainState

TINY = ("network.width=4", "batch_size=16", "epochs=10")


def of(*overrides, images=160, evaluated=0, size=(8, 8)):
    settings = recipe.load("digits-lt/hybrid-psc", recipe.parse_overrides([*TINY, *overrides]))
    return cost(settings, images=images, evaluated=evaluated, classes=10, size=size, device="cpu")


def test_steps_are_those_of_the_training():
    assert of().steps == 100
    assert of("epochs=3", images=100).steps == 18


def test_a_budget_is_what_it_costs():
    large, small = of("budget=1h"), of("budget=1s", "epochs=1000")
    assert (large.seconds, small.seconds) == (3600, 1)
    assert large.steps > small.steps >= 1


def test_twice_the_network_takes_more_memory_and_larger_images_too():
    small = of()
    assert of("network.width=32").bytes > small.bytes
    assert of(size=(32, 32)).bytes > small.bytes
    assert of("ema=0.9").bytes > small.bytes
    assert small.seconds > 0
    assert small.device == "cpu"


def test_images_are_kept_in_memory_or_not():
    kept = of(images=1_000_000).bytes - of(images=160).bytes
    assert kept == 3 * 8 * 8 * (1_000_000 - 160)
    assert of("data.in_memory=false", images=1_000_000).bytes == of("data.in_memory=false").bytes


def test_a_long_step_is_timed_with_few_images():
    settings = recipe.load("digits-lt/ce", {"network.width": 8, "batch_size": 1000000})
    large = cost(settings, images=2_000_000, evaluated=0, classes=10, size=(64, 64), device="cpu")
    assert large.steps == 2 * settings.epochs
    assert large.bytes > 100e9  # what nobody could have tried


def test_a_line_for_people():
    line = Cost(100, 10**9, 400_000, 1, "cpu").in_words()
    assert line == "about 1.7 minutes for 1 step, and 1.0 GB of memory, on cpu"


@pytest.mark.parametrize(
    "override",
    ["clip=1.0", "ema=0.9", "accumulate=2", "method.chunk=8", "augment.stages=[[0.5, 8]]", "precision=bf16"],
)
def test_whatever_a_step_does_is_timed(override):
    found = of(override, size=(16, 16))
    assert found.seconds > 0 and found.steps == 100


def test_what_a_backward_pass_needs_is_counted_while_it_is_kept():
    weight, x = torch.ones(1000, requires_grad=True), torch.ones(1000)
    saved = _Saved([weight])
    with saved_tensors_hooks(saved.keep, saved.give):
        for _ in range(3):  # one after the other: no more than one at a time
            ((weight * x).exp()).sum().backward()
    assert saved.most == 2 * 4000, "x, and what exp() gave; not the weight"
    with saved_tensors_hooks(saved.keep, saved.give):
        torch.stack([(weight * x).exp().sum() for _ in range(3)]).sum().backward()
    assert saved.most == 4 * 4000, "x once, and what exp() gave three times"


def test_a_real_training_takes_what_was_forecast(monkeypatch, tmp_path):
    """In processor time, so that whatever else the machine does changes nothing."""
    monkeypatch.setattr("longtail.planning.cost.time", SimpleNamespace(perf_counter=time.process_time))
    settings = recipe.load(
        "digits-lt/hybrid-psc",
        {"network.width": 4, "epochs": 8, "evaluate_every": 8, "ema": 0.9, "clip": 1.0, "tensorboard": False},
    )
    counts = datamodule.load(settings).counts
    steps = list[float]()

    class Timed(TrainState):
        def train_step(self, *args, **kwargs):
            start = time.process_time()
            terms = super().train_step(*args, **kwargs)
            steps.append(time.process_time() - start)
            return terms

    monkeypatch.setattr("longtail.training.loop.TrainState", Timed)
    train.train(settings, tmp_path / "run", device="cpu")
    forecast = cost(settings, images=int(counts.sum()), evaluated=0, classes=len(counts), size=(8, 8), device="cpu")
    assert forecast.steps == len(steps)
    with safe_open(tmp_path / "run/model.safetensors", "pt") as weights:
        assert forecast.weights == sum(weights.get_tensor(name).nbytes for name in weights.keys())  # noqa: SIM118
    assert 0.5 < forecast.seconds / (np.median(steps) * len(steps)) < 2
