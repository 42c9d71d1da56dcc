"""Methods on five classes, and batches for them."""

from typing import Any

import numpy as np
import torch

from longtail import methods, recipe
from longtail.data.batches import Batch, Stream
from longtail.optim.schedules import Clock
from longtail.recipe import build

CLASSES, ROWS = 5, 12
COUNTS = np.array([40, 16, 6, 1, 1])
HALF = Clock(step=50, steps=100, epoch=5, epochs=10)


def make(kind: str, *overrides: str) -> Any:
    """A method of five classes; which attributes it has depends on the kind."""
    torch.manual_seed(0)
    settings = recipe.load(f"digits-lt/{kind}", recipe.parse_overrides(["network.width=4", *overrides]))
    return build.method(settings, COUNTS)


def batches(method: methods.Method, seed: int = 0) -> tuple[Batch, ...]:
    generator = torch.Generator().manual_seed(seed)

    def batch(stream: Stream) -> Batch:
        images = torch.randn(stream.views, ROWS, 3, 16, 16, generator=generator)
        return Batch(images, torch.randint(0, CLASSES, (ROWS,), generator=generator))

    return tuple(batch(stream) for stream in method.streams)
