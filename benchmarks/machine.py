"""The speed of this machine right now, so that minutes measured on a faster or slower hour can be compared.

Usage: python benchmarks/machine.py   (20 seconds; prints images/s, and the factor from minutes to reference minutes)

The measure is ResNet-32 on one fixed batch of 256 images of 32 x 32 pixels: forward, cross-entropy, backward and
optimiser; eager, channels last, two threads, the C library's own way with memory. A reference minute is what a machine
of 250 such images/s does in a minute. A script that reports times measures right before and right after each run:

    before = machine.speed()
    ...
    minutes = machine.reference_minutes(seconds, before, machine.speed())
"""

import sys
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from longtail import recipe
from longtail.recipe import build
from measure import in_own_process, median

REFERENCE = 250.0  # images/s
_BATCH, _SECONDS, _THREADS = 256, 15.0, 2
_WARM_UP = 3  # steps that do not count


def speed() -> float:
    """Images/s, measured in a process of its own: threads and memory of the caller play no part."""
    return float(in_own_process(__file__, "--bare"))


def factor(*speeds: float) -> float:
    """Reference minutes a minute, from the mean of the speeds that were measured before and after.

    >>> factor(250.0, 500.0)
    1.5
    """
    return sum(speeds) / len(speeds) / REFERENCE


def reference_minutes(seconds: float, *speeds: float) -> float:
    """Reference minutes that a run took.

    Args:
        seconds: that it took here.
        speeds: measured right before and right after.

    >>> reference_minutes(600.0, 250.0, 500.0)
    15.0
    """
    return seconds / 60 * factor(*speeds)


def _bare() -> float:
    """Images/s of the step in the middle, here and now."""
    torch.set_num_threads(_THREADS)
    torch.manual_seed(0)
    settings = recipe.load("cifar100-lt-100/ce")
    layout: Any = torch.channels_last
    method = build.method(settings, np.ones(100, np.int64)).to(memory_format=layout)
    images = torch.randn(_BATCH, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.randint(0, 100, (_BATCH,))
    optimizer = build.optimizer(settings.optimizer, method)
    seconds: list[float] = []
    while sum(seconds) < _SECONDS:
        start = time.perf_counter()
        F.cross_entropy(method.classifier(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return _BATCH / median(seconds[_WARM_UP:] or seconds)


def main() -> None:
    if "--bare" in sys.argv[1:]:
        sys.stdout.write(f"{_bare()}\n")
        return
    measured = speed()
    sys.stdout.write(
        f"{measured:.0f} images/s; reference: {REFERENCE:.0f}; "
        f"a minute here is {factor(measured):.2f} reference minutes\n"
    )


if __name__ == "__main__":
    main()
