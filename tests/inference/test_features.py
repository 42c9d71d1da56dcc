"""Features and thumbnails of examples: those of the right images, in the order of their rows."""

import io

import numpy as np
from PIL import Image

from longtail.inference import features, forward
from longtail.inference.preprocessing import Batch
from support import fake_datasets, untrained


def test_each_row_has_its_own_image():
    model = untrained.model()
    pictures = [fake_datasets.picture(n % 3, seed=n, height=160, width=120 + 20 * (n % 2)) for n in range(5)]
    batches = [
        Batch(["a", "b", "c"], [([0, 2], np.stack([pictures[0], pictures[2]])), ([1], pictures[1][None])], {}),
        Batch(["d", "e"], [([0], pictures[3][None]), ([1], pictures[4][None])], {}),
    ]
    kept = features.make(model, batches, [1, 4, 6, 7, 9], large=[4, 9])
    assert [*kept.rows] == [1, 4, 6, 7, 9]
    assert [max(Image.open(io.BytesIO(file)).size) for file in kept.pictures] == [40, 112, 40, 40, 112]
    alone = [forward.forward_pixels(model, each[None]).features[0].numpy() for each in pictures]
    assert kept.features.dtype == np.float16
    np.testing.assert_allclose(kept.features, np.stack(alone), atol=1e-2)


def test_features_beyond_half_precision_are_cut(monkeypatch):
    model = untrained.model()
    output = forward.forward_pixels(model, np.zeros((1, 16, 16, 3), np.uint8))
    monkeypatch.setattr(forward, "forward_pixels", lambda *_: output._replace(features=output.features * 0 + 1e9))
    kept = features.make(model, [Batch(["a"], [([0], np.zeros((1, 16, 16, 3), np.uint8))], {})], [0], large=[])
    assert np.isfinite(kept.features).all() and kept.features.max() == np.finfo(np.float16).max
