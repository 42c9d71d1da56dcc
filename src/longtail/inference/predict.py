"""Prediction: images in any state in, class probabilities or a reason for each image out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from longtail.inference import forward, preprocessing
from longtail.inference.inputs import Queries
from longtail.inference.model import Model


class PredictedBatch(NamedTuple):
    """The class probabilities of a batch of images, in their order.

    Args:
        names: of all n.
        probabilities: `(m, C)`, of those that could be predicted.
        reasons: why not, of the others, by their position.
    """

    names: Sequence[str]
    probabilities: Float[np.ndarray, "predicted classes"]
    reasons: Mapping[int, str]


def predict(
    model: Model,
    queries: Queries,
    *,
    batch: int = 64,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[PredictedBatch]:
    """Class probabilities of images, after the model's temperature.

    Args:
        model: see `model.load`.
        queries: the images.
        batch: images that are decoded, and go through the network, together; at least 1.
        workers: processes that decode; 0: this one; `None`: one for each core if there are many images.
        progress: is called with how many images are done, and of how many, if that is known.
    Yields: a batch at a time; an image that cannot be read, or that the network cannot take, has a reason instead of
        probabilities.
    """
    done = 0
    for decoded in preprocessing.batches(queries.inputs(), model.preprocessing, size=batch, workers=workers):
        scored = forward.score(model, decoded)
        yield PredictedBatch(scored.names, _probabilities(scored.logits, model.temperature), scored.reasons)
        done += len(scored.names)
        if progress:
            progress(done, queries.total)


def _probabilities(
    logits: Float[np.ndarray, "some classes"], temperature: float | None
) -> Float[np.ndarray, "some classes"]:
    return (torch.from_numpy(logits).double() / (temperature or 1.0)).softmax(1).float().numpy()
