"""The gallery of a run: small pictures and features of some of the images that it was measured on."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from longtail import recipe
from longtail.data import augment, thumbnails
from longtail.networks import ImageClassifier
from longtail.runs.examples import Gallery

_LARGE, _SMALL = 112, 40  # longest sides in pixels
_LARGEST = float(np.finfo(np.float16).max)


@torch.no_grad()
def make(
    classifier: ImageClassifier,
    shown: Iterable[UInt8[Tensor, "batch 3 h w"]],
    rows: Sequence[int],
    *,
    large: Sequence[int],
    settings: recipe.Augment,
    device: torch.device,
) -> Gallery:
    """Keep a picture and the features of images, from a network in evaluation mode, which is put back after.

    Args:
        classifier: whose backbone it is.
        shown: batches of the images.
        rows: which they are, in this order.
        large: those of them whose pictures are looked at one by one.
        settings: how images are normalised.
        device: that computes.
    """
    training, kind = classifier.training, next(classifier.parameters()).dtype
    classifier.eval()
    looked_at = {*large}
    sides = [_LARGE if row in looked_at else _SMALL for row in rows]
    files, features = list[bytes](), []
    for batch in shown:
        views = augment.normalise(batch.to(device), settings.mean, settings.std).to(kind)
        features.append(classifier.backbone(views.contiguous(memory_format=torch.channels_last)).float().cpu())
        pixels = batch.cpu().numpy().transpose(0, 2, 3, 1)
        files += [thumbnails.webp(each, sides[len(files) + i]) for i, each in enumerate(pixels)]
    classifier.train(training)
    halves = torch.cat(features).clamp(-_LARGEST, _LARGEST).numpy().astype(np.float16)
    return Gallery(rows, files, halves)
