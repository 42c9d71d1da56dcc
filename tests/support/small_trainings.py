"""Small trainings for tests: a recipe of 40 steps that uses everything, and what of two runs must be equal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from longtail import recipe
from longtail.runs.folder import RunDir
from longtail.training import train
from support import fake_datasets

# Everything that has state or draws at random: moving average, momentum, every augmentation, M prototypes.
EVERYTHING = (
    "epochs=10",
    "tensorboard=false",
    "log_every=1",
    "ema=0.9",
    "clip=5",
    "network.width=4",
    "augment.flip=0.5",
    "augment.grayscale=0.2",
    "augment.cutout=4",
    "augment.jitter.brightness=0.2",
)
STEPS = 40  # 304 images, batch 64


def settings(name: str, *overrides: str) -> recipe.Recipe:
    return recipe.load(f"digits-lt/{name}", recipe.parse_overrides([*EVERYTHING, *overrides]))


def command(*arguments: str | Path, script: Path | None = None, **kwargs: Any) -> subprocess.Popen[str]:
    """Start the command line, or a script that ends in it, in a process of its own."""
    start = [str(script)] if script else ["-m", "longtail.cli"]
    return subprocess.Popen(
        [sys.executable, *start, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **kwargs,
    )


def finish(process: subprocess.Popen[str], *, code: int = 0) -> tuple[str, str]:
    """Wait for a command; its output and its messages."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def train_in_command(name: str, out: Path, *overrides: str, script: Path | None = None, devices: int = 1) -> Any:
    sets = [part for override in (*EVERYTHING, *overrides) for part in ("--set", override)]
    return command(
        "train", f"digits-lt/{name}", "--out", out, "--device", "cpu", "--devices", str(devices), *sets, script=script
    )


def log(path: Path) -> list[dict[str, Any]]:
    """The log of a run without what depends on the speed of the machine."""
    return [{k: v for k, v in record.items() if k != "seconds"} for record in RunDir.open(path).read_log()]


def assert_same(one: Path, other: Path) -> None:
    """Two runs ended in equal tensors, by an equal way, with equal predictions."""
    states = [RunDir.open(path).read_checkpoint() for path in (one, other)]
    # How images are decoded is part of the recipe, and may differ.
    a, b = ({k: v for k, v in (state or {}).items() if k not in ("seconds", "recipe")} for state in states)
    assert a["step"] == STEPS
    _equal(a, b, "")
    assert log(one) == log(other)
    for name in ("model.safetensors", "predictions.parquet", "summary.json", "split.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not list(one.glob("*.new")) + list(other.glob("*.new"))


def _equal(a: Any, b: Any, where: str) -> None:
    match a:
        case dict():
            assert a.keys() == b.keys(), where
            for key in a:
                _equal(a[key], b[key], f"{where}.{key}")
        case list():
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                _equal(x, y, f"{where}.{i}")
        case torch.Tensor():
            assert torch.equal(a, b), where
        case _:
            assert a == b, where


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


def train_on_folder(root: Path) -> tuple[Path, Path]:
    """Train a little on an image folder; the finished run and the folder."""
    data, run = root / "birds", root / "run"
    fake_datasets.write_folder(data, [12, 8, 6], sizes=(30, 80))  # smaller and larger than what they are shrunk to
    overrides = ["epochs=1", "network.width=4", "batch_size=8", "tensorboard=false", "method.kind=ce"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        train.train(
            recipe.load("own/small", recipe.parse_overrides([f"data.path={data}", *overrides])), run, device="cpu"
        )
    return run, data
