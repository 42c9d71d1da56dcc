"""What all methods share."""

import numpy as np
import pytest
import torch

from longtail.data.batches import Stream
from longtail.methods import Method
from longtail.methods.base import full_precision
from longtail.networks import ImageClassifier, LinearClassifier, ResNet9
from support.small_methods import CLASSES, HALF, batches, make


def plain() -> Method:
    return Method((Stream("instance"),), ImageClassifier(ResNet9(4), LinearClassifier(32, CLASSES)))


def test_a_method_that_says_nothing_assumes_that_classes_with_images_are_equally_frequent() -> None:
    assert plain().assumed_prior(np.array([9, 0, 1])).tolist() == [0.5, 0, 0.5]
    for kind in ("hybrid-sc", "hybrid-psc"):
        assert make(kind).assumed_prior(np.array([9, 0, 1])).tolist() == [0.5, 0, 0.5]


def test_a_method_predicts_by_its_classifier_and_must_say_what_it_minimises() -> None:
    method = plain().eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(method.predict(images), method.classifier(images))
    with pytest.raises(NotImplementedError):
        method(batches(method), HALF)


def test_losses_are_computed_outside_autocast() -> None:
    cpu = torch.device("cpu")
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        with full_precision(cpu):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
