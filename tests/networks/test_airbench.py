"""Airbench, plain and mirrored: parameters, shapes, and forward passes written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from longtail import recipe
from longtail.networks import (
    Airbench,
    MirroredAirbench,
)
from longtail.networks.equivariant import MirroredConv3x3
from longtail.recipe import build
from support.layers import lived_in, multiply_adds, parameters, parts


def test_airbench_is_small_and_as_cheap_as_it_says():
    network = Airbench()
    assert parameters(network) == pytest.approx(1.2e6, rel=0.05)
    assert multiply_adds(network, torch.zeros(2, 3, 32, 32)) == pytest.approx(81e6, rel=0.01)
    assert [c.kernel_size for c in parts(network, nn.Conv2d)] == [(2, 2)] + [(3, 3)] * 6


def test_airbench_pools_before_it_normalises():
    network, x = lived_in(Airbench(4)), torch.randn(2, 24, 9, 8)
    first, second = parts(network.stages[0], nn.Conv2d)
    norms = parts(network.stages[0], nn.BatchNorm2d)
    y = F.relu(norms[0](F.max_pool2d(F.conv2d(x, first.weight, padding=1), 2)))
    y = F.relu(norms[1](F.conv2d(y, second.weight, padding=1)))
    assert y.shape == (2, 4, 4, 4)
    torch.testing.assert_close(network.stages[0](x), y)


def test_a_deep_airbench_has_a_shortcut_around_two_convolutions_of_each_stage():
    network, x = lived_in(Airbench(4, depth=3)), torch.randn(2, 24, 9, 8)
    convolutions = [c.weight for c in parts(network.stages[0], nn.Conv2d)]
    norms = parts(network.stages[0], nn.BatchNorm2d)
    assert len(convolutions) == len(norms) == 3
    y = F.relu(norms[0](F.max_pool2d(F.conv2d(x, convolutions[0], padding=1), 2)))
    branch = F.relu(norms[1](F.conv2d(y, convolutions[1], padding=1)))
    branch = norms[2](F.conv2d(branch, convolutions[2], padding=1))
    torch.testing.assert_close(network.stages[0](x), F.relu(y + branch))


@pytest.mark.parametrize(("depth", "convolutions"), [(2, 7), (3, 10)])
def test_a_recipe_chooses_the_depth_of_airbench(depth, convolutions):
    chosen = recipe.load("digits-lt/ce", recipe.parse_overrides(["network.kind=airbench", f"network.depth={depth}"]))
    network = build.classifier(chosen.network, chosen.head, classes=10)
    assert len(parts(network.backbone, nn.Conv2d)) == convolutions


def test_a_deep_airbench_is_as_large_and_as_dear_as_it_says():
    network = Airbench(depth=3)
    assert parameters(network) == pytest.approx(1.93e6, rel=0.01)
    assert multiply_adds(network, torch.zeros(2, 3, 32, 32)) == pytest.approx(109e6, rel=0.01)


def test_airbench_takes_the_maximum_of_each_channel():
    network, images = lived_in(Airbench(4)), torch.randn(2, 3, 16, 16)
    x = network.stages(F.relu(F.conv2d(F.pad(images, (1, 0, 1, 0)), network.stem.weight, network.stem.bias)))
    torch.testing.assert_close(network(images), x.flatten(2).max(2).values)


@pytest.mark.parametrize("width", [4, 64])
def test_airbench_widths(width):
    network = Airbench(width)
    assert [c.out_channels for c in parts(network, nn.Conv2d)] == [24] + [n * width for n in (1, 1, 2, 2, 4, 4)]
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, network.dim) == (2, 4 * width)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (37, 24), (24, 37)])
def test_a_mirrored_airbench_says_the_same_of_an_image_and_its_mirror_image(depth, train, size):
    images = torch.randn(4, 3, *size)
    for kind in (MirroredAirbench, Airbench):
        network = lived_in(kind(8, depth=depth)).train(train)
        features = network(images)
        same = torch.allclose(network(images.flip(3)), features, rtol=1e-4, atol=1e-4 * features.abs().max().item())
        assert same == (kind is MirroredAirbench and size[1] % 8 == 0)


def test_a_mirrored_airbench_has_half_of_the_weights_and_as_much_work():
    plain, mirrored = Airbench(), MirroredAirbench()
    assert parameters(mirrored) == pytest.approx(parameters(plain) / 2, rel=0.01)
    work = [multiply_adds(network, torch.zeros(2, 3, 32, 32)) for network in (plain, mirrored)]
    assert work[0] == pytest.approx(work[1], rel=0.01)


def test_a_recipe_chooses_a_mirrored_airbench():
    chosen = recipe.load("digits-lt/ce", {"network.kind": "airbench", "network.mirrored": True})
    network = build.classifier(chosen.network, chosen.head, classes=10)
    assert len(parts(network, MirroredConv3x3)) == 6


def test_weights_have_the_names_that_saved_networks_have():
    names = [*Airbench(4).state_dict()]
    assert names[:3] == ["stem.weight", "stem.bias", "stages.0.0.weight"]
    assert [name for name in names if name.startswith("stages.2.") and name.endswith(".weight")] == [
        "stages.2.0.weight",
        "stages.2.2.weight",
        "stages.2.4.weight",
        "stages.2.5.weight",
    ]
    deep = [name for name in MirroredAirbench(4, depth=3).state_dict() if name.endswith(".weight")]
    assert deep[:7] == [
        "stem.weight",
        "stages.0.0.weight",
        "stages.0.2.norm.weight",
        "stages.0.4.conv1.weight",
        "stages.0.4.norm1.norm.weight",
        "stages.0.4.conv2.weight",
        "stages.0.4.norm2.norm.weight",
    ]
