"""Thumbnails and features of example images, which a run keeps so that a report needs neither data nor network."""

from collections.abc import Iterable, Sequence

import numpy as np

from longtail.data import thumbnails
from longtail.inference import forward
from longtail.inference.model import Model
from longtail.inference.preprocessing import Batch
from longtail.runs.examples import Gallery

_LARGE, _SMALL = 112, 40  # longest sides in pixels
_LARGEST = float(np.finfo(np.float16).max)


def make(model: Model, batches: Iterable[Batch], rows: Sequence[int], *, large: Sequence[int]) -> Gallery:
    """Keep a thumbnail and the features of images.

    Args:
        model: whose backbone it is.
        batches: of the images, all of which can be predicted.
        rows: of the predictions, which they are, in this order.
        large: those of them that are looked at one by one.
    """
    one_by_one = {*large}
    sides = [_LARGE if row in one_by_one else _SMALL for row in rows]
    files, features, start = [b""] * len(rows), dict[int, np.ndarray](), 0
    for batch in batches:
        for positions, images in batch.by_size:
            of_backbone = forward.forward_pixels(model, images).features.cpu().numpy()
            for position, pixels, feature in zip(positions, images, of_backbone, strict=True):
                files[start + position] = thumbnails.webp(pixels, sides[start + position])
                features[start + position] = feature
        start += len(batch.names)
    together = np.stack([features[number] for number in range(len(rows))])
    return Gallery(rows, files, together.clip(-_LARGEST, _LARGEST).astype(np.float16))
