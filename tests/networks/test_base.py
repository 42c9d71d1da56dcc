"""What every backbone does, and the classifier on it."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from longtail.networks import (
    Airbench,
    CosineClassifier,
    ImageClassifier,
    LinearClassifier,
    MirroredAirbench,
    ResNet9,
    ResNet32,
    parameters_in_millions,
)
from support.layers import lived_in, parts


@pytest.mark.parametrize("make", [ResNet32, ResNet9, Airbench, MirroredAirbench])
def test_weights_start_from_kaimings_normal_distribution(make):
    for convolution in parts(make(), nn.Conv2d):
        wanted = math.sqrt(2 / convolution.weight[0].numel())
        assert convolution.weight.std().item() == pytest.approx(wanted, rel=0.15)
        # A uniform distribution of this variance ends at 1.73 standard deviations.
        assert convolution.weight.abs().max() > 2.2 * wanted


@pytest.mark.parametrize("make", [ResNet32, ResNet9, Airbench, MirroredAirbench])
@pytest.mark.parametrize("size", [(32, 32), (8, 8), (40, 24)])
def test_one_feature_vector_an_image(make, size):
    network = make()
    features = network(torch.randn(2, 3, *size))
    assert features.shape == (2, network.dim)
    assert not torch.equal(features[0], features[1])


@pytest.mark.parametrize(
    "make",
    [
        ResNet32,
        lambda: ResNet9(8),
        lambda: Airbench(16),
        lambda: Airbench(8, depth=3),
        lambda: MirroredAirbench(16),
        lambda: MirroredAirbench(8, depth=3),
    ],
)
def test_every_parameter_learns(make):
    backbone = make()
    network = ImageClassifier(backbone, LinearClassifier(backbone.dim, 3))
    F.cross_entropy(network(torch.randn(8, 3, 16, 16)), torch.arange(8) % 3).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("make", [ResNet32, ResNet9, Airbench, MirroredAirbench])
def test_channels_last_changes_nothing(make):
    network, images = lived_in(make()), torch.randn(4, 3, 32, 32)
    before = network(images)
    after = network.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_image_classifier_is_head_after_backbone():
    backbone, head = ResNet9(4).eval(), CosineClassifier(32, 7, scale=1.0)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(ImageClassifier(backbone, head)(images), head(backbone(images)))


def test_parameters_in_millions_counts_what_is_trained():
    network = nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 10))
    network[0].requires_grad_(False)
    assert parameters_in_millions(network) == 1010 / 1e6
