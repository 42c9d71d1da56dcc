"""ResNet-32 and ResNet-9 against the papers: parameters, shapes, and forward passes written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from longtail.networks import (
    ImageClassifier,
    LinearClassifier,
    ResNet9,
    ResNet32,
)
from support.layers import lived_in, multiply_adds, parameters, parts


def test_resnet32_has_the_parameters_of_the_literature():
    def block(channels_in, channels_out):
        return 9 * (channels_in * channels_out + channels_out**2) + 2 * 2 * channels_out

    stem = 9 * 3 * 16 + 2 * 16
    stages = 5 * block(16, 16) + block(16, 32) + 4 * block(32, 32) + block(32, 64) + 4 * block(64, 64)
    network = ImageClassifier(ResNet32(), LinearClassifier(64, 10))
    assert parameters(network) == stem + stages + (64 + 1) * 10 == 464_154


def test_resnet32_has_32_layers():
    network = ImageClassifier(ResNet32(), LinearClassifier(64, 10))
    convolutions = parts(network, nn.Conv2d)
    assert len(convolutions) == 31 and len(parts(network, nn.Linear)) == 1
    assert all(c.kernel_size == (3, 3) and c.bias is None for c in convolutions)
    assert [c.out_channels for c in convolutions] == [16] * 11 + [32] * 10 + [64] * 10
    assert [i for i, c in enumerate(convolutions) if c.stride == (2, 2)] == [11, 21]


def test_resnet32_is_that_of_ldam():
    network = lived_in(ResNet32())
    layers = zip(parts(network, nn.Conv2d), parts(network, nn.BatchNorm2d), strict=True)

    def conv_norm(x, stride=1):
        conv, norm = next(layers)
        x = F.conv2d(x, conv.weight, stride=stride, padding=1)
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    images = torch.randn(3, 3, 32, 32)
    x = F.relu(conv_norm(images))
    for block in range(15):
        halves = block in (5, 10)
        y = conv_norm(F.relu(conv_norm(x, stride=2 if halves else 1)))
        if halves:
            zeros = torch.zeros(len(x), x.shape[1] // 2, x.shape[2] // 2, x.shape[3] // 2)
            x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
        x = F.relu(y + x)
    torch.testing.assert_close(network(images), F.avg_pool2d(x, 8).flatten(1))


def test_resnet9_is_wide_shallow_and_as_cheap_as_it_says():
    network = ResNet9()
    assert parameters(network) == pytest.approx(1.6e6, rel=0.05)
    assert len(parts(network, nn.Conv2d)) + 1 == 9
    nine, thirty_two = (multiply_adds(net, torch.zeros(2, 3, 32, 32)) for net in (network, ResNet32()))
    assert nine == pytest.approx(96e6, rel=0.01)
    assert nine / thirty_two == pytest.approx(1.4, abs=0.05)


def test_resnet9_residuals_add_to_what_they_got():
    network = lived_in(ResNet9(4))
    for place, channels in ((2, 8), (5, 32)):
        residual, x = network.layers[place], torch.randn(2, channels, 4, 4)
        y = x
        for convolution, norm in zip(parts(residual, nn.Conv2d), parts(residual, nn.BatchNorm2d), strict=True):
            y = F.relu(norm(F.conv2d(y, convolution.weight, padding=1)))
        torch.testing.assert_close(residual(x), x + y)


def test_resnet9_takes_the_maximum_of_each_channel():
    network = lived_in(ResNet9(4))
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(images), network.layers(images).flatten(2).max(2).values)


@pytest.mark.parametrize("width", [4, 32])
def test_resnet9_widths(width):
    network = ResNet9(width)
    assert [c.out_channels // width for c in parts(network, nn.Conv2d)] == [1, 2, 2, 2, 4, 8, 8, 8]
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, network.dim) == (2, 8 * width)
