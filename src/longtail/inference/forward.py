"""The forward pass: from images to features and logits, the one way for all that a network in evaluation mode does."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from longtail.data import augment
from longtail.inference.model import Model
from longtail.inference.preprocessing import Batch, Normalisation
from longtail.networks import ImageClassifier
from longtail.text import one_line

# That go through the network at once where images keep their sizes: some may be photographs.
_PIXELS = 4_000_000


class Output(NamedTuple):
    """What a network makes of B images, in float32.

    Args:
        features: `(B, D)`, of its backbone.
        logits: `(B, C)`.
    """

    features: Float[Tensor, "batch dim"]
    logits: Float[Tensor, "batch classes"]


@torch.no_grad()
def forward(network: ImageClassifier, images: UInt8[Tensor, "batch 3 h w"], normalisation: Normalisation) -> Output:
    """Features and logits of images, from a network in evaluation mode and without autocast; its mode is put back.

    Whatever the precision of the training was, the same weights give the same numbers during and after it.

    Args:
        network: on the device, and in the precision, in which it computes.
        images: 0..255, on any device.
        normalisation: of the training.
    """
    training, weight = network.training, next(network.parameters())
    network.eval()
    try:
        views = augment.normalise(images.to(weight.device), normalisation.mean, normalisation.std).to(weight.dtype)
        features = network.backbone(views.contiguous(memory_format=torch.channels_last))
        return Output(features.float(), network.head(features).float())
    finally:
        network.train(training)


def forward_pixels(model: Model, images: UInt8[np.ndarray, "some h w 3"]) -> Output:
    """Features and logits of images of one size, as many of them at once as memory allows.

    Args:
        model: whose network and normalisation it is.
        images: as `preprocessing.batches` gives them.
    """
    _, height, width, _ = images.shape
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    at_once = len(pixels) if model.preprocessing.size is not None else max(1, _PIXELS // (height * width))
    parts = [forward(model.network, part, model.preprocessing.normalisation) for part in pixels.split(at_once)]
    return Output(torch.cat([part.features for part in parts]), torch.cat([part.logits for part in parts]))


class ScoredBatch(NamedTuple):
    """The logits of a batch of images, in their order.

    Args:
        names: of all n.
        logits: `(m, C)`, of those that could be predicted.
        reasons: why not, of the others, by their position.
    """

    names: Sequence[str]
    logits: Float[np.ndarray, "predicted classes"]
    reasons: Mapping[int, str]


def score(model: Model, batch: Batch) -> ScoredBatch:
    """The logits of a decoded batch, without the model's temperature.

    An image that the network cannot take has a reason instead, where images keep their sizes.
    """
    logits = np.empty((len(batch.names), len(model.class_names)), np.float32)
    reasons = dict(batch.reasons)
    for positions, images in batch.by_size:
        try:
            logits[positions] = forward_pixels(model, images).logits.cpu().numpy()
        except Exception as error:  # a network may fail in any way when an image is too small for it
            if model.preprocessing.size is not None:
                raise
            _, height, width, _ = images.shape
            reason = f"has {width} x {height} pixels, which the network cannot take: {one_line(error)}"
            reasons |= dict.fromkeys(positions, reason)
    known = [position for position in range(len(batch.names)) if position not in reasons]
    return ScoredBatch(batch.names, logits[known], reasons)
