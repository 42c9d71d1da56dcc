"""Preprocessing: pixels as the network takes them, worked by hand, from files and from sources alike."""

import numpy as np
import pytest
from PIL import Image

from longtail import recipe
from longtail.data.source import Source
from longtail.inference import preprocessing
from longtail.inference.preprocessing import Inputs, Normalisation, Preprocessing, read_file
from support import fake_datasets

COLOURS = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
AS_IT_IS = Preprocessing(COLOURS, shrunk_side=None, size=None)
SMALL = Preprocessing(COLOURS, shrunk_side=9, size=8)
PICTURES = [
    fake_datasets.picture(0, seed=n, height=height, width=width)
    for n, (height, width) in enumerate([(20, 30), (16, 16), (20, 30), (9, 12)])
]
ENCODED = [fake_datasets.encode(pixels) for pixels in PICTURES]
NAMES = [f"{n}.png" for n in range(len(PICTURES))]


def files(encoded=ENCODED):
    return Inputs([(f"{n}.png", each) for n, each in enumerate(encoded)], read_file, len(encoded))


def test_images_are_shrunk_then_cropped():
    pixels = np.asarray(Image.fromarray(PICTURES[0]).resize((14, 9), Image.Resampling.BILINEAR))  # 20 -> 9, 30 -> 13.5
    side = 8 * 9 / (8 * 8 / 7)  # of the square in the middle that becomes 8 pixels
    box = (7 - side / 2, 4.5 - side / 2, 7 + side / 2, 4.5 + side / 2)
    right = np.asarray(Image.fromarray(pixels).resize((8, 8), Image.Resampling.BILINEAR, box=box))
    np.testing.assert_array_equal(SMALL.crop(PICTURES[0]), right)
    np.testing.assert_array_equal(AS_IT_IS.crop(PICTURES[0]), PICTURES[0])


def test_shrinking_twice_changes_nothing():
    """So images from the cache, which are shrunk already, are prepared as their files are."""
    once = Preprocessing(COLOURS, shrunk_side=9, size=None).crop(PICTURES[0])
    np.testing.assert_array_equal(SMALL.crop(once), SMALL.crop(PICTURES[0]))


def test_images_of_one_size_are_together_and_broken_ones_have_a_reason():
    (batch,) = preprocessing.batches(files([*ENCODED, b"no image"]), AS_IT_IS, size=8, workers=0)
    assert batch.names == [*NAMES, "4.png"]
    assert [(positions, pixels.shape) for positions, pixels in batch.by_size] == [
        ([0, 2], (2, 20, 30, 3)),
        ([1], (1, 16, 16, 3)),
        ([3], (1, 9, 12, 3)),
    ]
    np.testing.assert_array_equal(batch.by_size[0][1], np.stack([PICTURES[0], PICTURES[2]]))
    assert [*batch.reasons] == [4]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_source_gives_what_its_files_give(workers):
    source = Source(np.zeros(4, np.int64), ("a",), lambda i: PICTURES[i], NAMES)
    one = list(preprocessing.batches(Inputs.of(source, np.arange(4)), SMALL, size=3, workers=workers))
    other = list(preprocessing.batches(files(), SMALL, size=3, workers=0))
    assert [len(batch.names) for batch in one] == [3, 1]
    for of_source, of_files in zip(one, other, strict=True):
        assert of_source.names == of_files.names
        np.testing.assert_array_equal(of_source.by_size[0][1], of_files.by_size[0][1])
    (picked,) = preprocessing.batches(Inputs.of(source, np.array([2, 1])), SMALL, size=3, workers=0)
    assert picked.names == ["2.png", "1.png"]


def test_few_images_need_no_workers(monkeypatch):
    asked = []
    monkeypatch.setattr(preprocessing, "by_workers", lambda _, __, *, workers: asked.append(workers) or iter(()))
    monkeypatch.setattr(preprocessing, "cores", lambda: 7)
    for total, size in ((4, 2), (5, 2), (None, 2)):
        list(preprocessing.batches(Inputs([], read_file, total), SMALL, size=size, workers=None))
    assert asked == [0, 7, 7]


def test_a_training_is_prepared_as_its_settings_say():
    settings = recipe.load("own/small", {"data.path": "/photos", "data.image_size": 224})
    of_settings = Preprocessing.of(settings)
    assert (of_settings.shrunk_side, of_settings.size) == (256, 224)
    assert of_settings.normalisation == (settings.augment.mean, settings.augment.std)
