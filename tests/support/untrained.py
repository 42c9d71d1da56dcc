"""Models that have not learned anything, to predict with in tests."""

import numpy as np
import torch

from longtail import recipe
from longtail.inference.model import Model
from longtail.inference.preprocessing import Normalisation, Preprocessing
from longtail.recipe import build


def model(
    names: tuple[str, ...] = ("a", "b", "c"),
    *,
    size: int | None = None,
    shrunk_side: int | None = None,
    counts: tuple[int, ...] | None = None,
    assumed: tuple[float, ...] | None = None,
) -> Model:
    """The same random network each time, on the CPU."""
    torch.manual_seed(0)
    network = build.classifier(
        recipe.ResNet9(kind="resnet9", width=4), recipe.LinearHead(), classes=len(names), fetch=False
    )
    return Model(
        network,
        Preprocessing(Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), shrunk_side, size),
        names,
        np.ones(len(names), np.int64) if counts is None else np.array(counts),
        None if assumed is None else np.array(assumed),
    )
