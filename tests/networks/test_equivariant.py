"""Layers of networks that are mirrored: equivariance, values written out, and what they share between the copies."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from longtail.networks.cpu_convolution import conv3x3, image_strips, winograd
from longtail.networks.equivariant import Lifting, MirroredConv3x3, MirroredNorm, mean_of_copies


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def mirror(copies):
    """What copies become when the image is mirrored: each is mirrored, and they change places."""
    first, second = copies.flip(3).chunk(2, dim=1)
    return torch.cat((second, first), 1)


sizes = given(st.integers(1, 6), st.integers(1, 6))


@sizes
def test_lifting_a_mirrored_image_mirrors_the_copies(height, width):
    layer, images = Lifting(3, 8).double(), torch.randn(2, 3, height, width, dtype=torch.float64)
    assert layer(images).shape == (2, 8, height, width)
    torch.testing.assert_close(layer(images.flip(3)), mirror(layer(images)))


@sizes
def test_convolving_mirrored_copies_mirrors_what_comes_out(height, width):
    layer, x = MirroredConv3x3(4, 6).double(), torch.randn(2, 4, height, width, dtype=torch.float64)
    assert layer(x).shape == (2, 6, height, width)
    torch.testing.assert_close(layer(mirror(x)), mirror(layer(x)))


@sizes
@pytest.mark.parametrize("train", [False, True])
def test_normalising_mirrored_copies_mirrors_what_comes_out(train, height, width):
    layer, x = MirroredNorm(4).double().train(train), torch.randn(2, 4, height, width, dtype=torch.float64)
    for name in ("running_mean", "weight"):
        layer.norm.state_dict()[name].normal_()
    torch.testing.assert_close(layer(mirror(x)), mirror(layer(x)))


def test_lifting_by_hand():
    layer = Lifting(1, 2)
    layer.load_state_dict({"weight": torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]), "bias": torch.tensor([0.5])})
    first, second = layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))[0]
    # A pixel, what is on its left, and the same of the row above; then with what is on its right.
    assert first.tolist() == [[1000.5, 2100.5], [3010.5, 4321.5]]
    assert second.tolist() == [[1200.5, 2000.5], [3412.5, 4020.5]]


def test_the_first_copy_is_convolved_with_the_weights_as_they_are():
    layer, x = MirroredConv3x3(4, 6), torch.randn(2, 4, 5, 7)
    torch.testing.assert_close(layer(x)[:, :3], F.conv2d(x, layer.weight, padding=1))
    assert layer.weight.shape == (3, 4, 3, 3)


def test_a_channel_has_one_mean_and_one_variance_in_both_copies():
    layer, x = MirroredNorm(4), torch.randn(8, 4, 5, 7) * 3 + torch.arange(4.0).view(4, 1, 1)
    plain = nn.BatchNorm2d(2)
    expected = plain(torch.cat(x.chunk(2, dim=1))).chunk(2)  # more images instead of more channels
    torch.testing.assert_close(layer(x), torch.cat(expected, 1))
    torch.testing.assert_close(layer.norm.running_mean, plain.running_mean)
    torch.testing.assert_close(layer.norm.running_var, plain.running_var)


@pytest.mark.parametrize("layer", [Lifting(4, 6), MirroredConv3x3(4, 6), MirroredNorm(4)])
def test_channels_last_stays_and_changes_nothing(layer):
    x = torch.randn(2, 4, 5, 7)
    got = layer(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(got, layer(x))
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_normalising_copies_nothing_where_the_channels_are_last():
    layer, x = MirroredNorm(4), torch.randn(2, 4, 5, 7).contiguous(memory_format=torch.channels_last)
    seen = []
    layer.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].data_ptr()))
    layer.norm.register_forward_hook(lambda *args: seen.append(args[2].data_ptr()))
    got = layer(x)
    assert seen == [x.data_ptr(), got.data_ptr()]


@pytest.mark.parametrize(("way", "mixed", "error"), [(image_strips, True, 0.03), (winograd, False, 1e-4)])
def test_fast_convolutions_get_the_weights_of_both_copies(monkeypatch, way, mixed, error):
    shapes = []
    monkeypatch.setattr(conv3x3, "STRIPS", mixed)
    monkeypatch.setattr(conv3x3, "WINOGRAD", not mixed)
    convolve = way.convolve
    monkeypatch.setattr(way, "convolve", lambda x, kernel: shapes.append(kernel.shape) or convolve(x, kernel))
    layer, x = MirroredConv3x3(96, 96), torch.randn(2, 96, 4, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        got = layer(x)
    assert shapes == [(96, 96, 3, 3)]
    torch.testing.assert_close(got.float(), layer.eval()(x), atol=error, rtol=error)
    got.float().square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.shape == (48, 96, 3, 3)


def test_the_mean_of_copies():
    assert mean_of_copies(torch.tensor([[1.0, 2.0, 3.0, 6.0], [0.0, 0.0, 8.0, -2.0]])).tolist() == [[2, 4], [4, -1]]


@pytest.mark.parametrize(
    "make",
    [lambda: Lifting(3, 7), lambda: MirroredConv3x3(7, 4), lambda: MirroredConv3x3(4, 7), lambda: MirroredNorm(7)],
)
def test_copies_have_equally_many_channels(make):
    with pytest.raises(ValueError, match="7 channels are not two copies; allowed: an even number"):
        make()
