"""Convolutions by Winograd's algorithm and in strips against the direct one: values, gradients, where they are used."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from longtail.networks.cpu_convolution import conv3x3, image_strips, winograd
from longtail.networks.cpu_convolution.conv3x3 import Conv3x3

both = pytest.mark.parametrize("convolve", [winograd.convolve, image_strips.convolve])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def drawn(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, requires_grad=True)


@both
def test_a_hand_worked_value(convolve):
    # A kernel of ones on pixels of one: how many of the nine neighbours lie inside.
    got = convolve(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
    torch.testing.assert_close(got, torch.tensor([[[[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]]]))


@both
def test_the_sum_written_out(convolve):
    x, kernel = np.random.default_rng(0).normal(size=(6, 5)), np.arange(9.0).reshape(3, 3)
    padded = np.pad(x, 1)
    expected = [[(padded[i : i + 3, j : j + 3] * kernel).sum() for j in range(5)] for i in range(6)]
    got = convolve(torch.from_numpy(x)[None, None], torch.from_numpy(kernel)[None, None])
    np.testing.assert_allclose(got[0, 0], expected, atol=1e-12)


@both
@given(*(st.integers(1, 3),) * 3, *(st.integers(1, 10),) * 2, st.booleans())
def test_values_and_gradients_are_those_of_the_direct_one(
    convolve, images, channels, outputs, height, width, channels_last
):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, kernel = drawn(images, channels, height, width), drawn(outputs, channels, 3, 3)
    expected = F.conv2d(x, kernel, padding=1)
    gradient = torch.randn_like(expected)
    got = convolve(x.contiguous(memory_format=layout), kernel)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got, (x, kernel), gradient.contiguous(memory_format=layout)),
        torch.autograd.grad(expected, (x, kernel), gradient),
    )


@pytest.mark.parametrize(
    ("convolve", "kind", "error"),
    [
        (winograd.convolve, torch.float32, 2e-5),
        (image_strips.convolve, torch.float32, 2e-6),
        (image_strips.convolve, torch.bfloat16, 2**-8),  # half of the last bit, of the largest value
    ],
)
def test_rounding(convolve, kind, error):
    x, kernel = drawn(4, 128, 8, 8, dtype=kind), drawn(96, 128, 3, 3, dtype=kind)
    exact = F.conv2d(x.double(), kernel.double(), padding=1)
    assert (convolve(x, kernel) - exact).abs().max() < error * exact.abs().max()


@both
@pytest.mark.parametrize("needed", [0, 1])
def test_one_gradient_alone(convolve, needed):
    x, kernel = drawn(1, 2, 6, 6), drawn(3, 2, 3, 3)
    wanted, other = (x, kernel) if needed == 0 else (kernel, x)
    other.requires_grad_(False)
    convolve(x, kernel).sum().backward()
    expected = torch.autograd.grad(F.conv2d(x, kernel, padding=1).sum(), wanted)[0]
    torch.testing.assert_close(wanted.grad, expected)
    assert other.grad is None


@both
def test_no_images_at_all(convolve):
    assert convolve(torch.zeros(0, 2, 8, 8), torch.zeros(3, 2, 3, 3)).shape == (0, 3, 8, 8)


@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 3))
def test_many_images_fill_several_strips_and_a_part_of_one(images, height, width):
    x, kernel = drawn(images, 2, height, width), drawn(3, 2, 3, 3)
    expected = F.conv2d(x, kernel, padding=1)
    gradient = torch.randn_like(expected)
    got = image_strips.convolve(x, kernel)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got, (x, kernel), gradient), torch.autograd.grad(expected, (x, kernel), gradient)
    )


@both
def test_channels_last_stays(convolve):
    x = torch.randn(2, 96, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    got = convolve(x, torch.randn(96, 96, 3, 3))
    got.sum().backward()
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@both
def test_a_second_derivative_is_refused(convolve):
    x = drawn(1, 1, 4, 4)
    gradient = torch.autograd.grad(convolve(x, drawn(1, 1, 3, 3)).square().sum(), x, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.fixture
def calls(monkeypatch):
    """How a layer was computed on a processor that favours every way, where it was not PyTorch's."""
    seen = []
    monkeypatch.setattr(conv3x3, "WINOGRAD", True)
    monkeypatch.setattr(conv3x3, "STRIPS", True)

    def noted(way):
        convolve = way.convolve

        def note(x, kernel):
            seen.append(way)
            return convolve(x, kernel)

        monkeypatch.setattr(way, "convolve", note)

    noted(winograd)
    noted(image_strips)
    return seen


@pytest.mark.parametrize(
    ("channels", "size", "used"),
    [
        ((96, 96), (4, 4), True),
        ((95, 96), (8, 8), False),
        ((96, 95), (8, 8), False),
        ((96, 96), (3, 3), True),
        ((96, 96), (2, 2), False),
        ((96, 96), (2, 4), True),
        ((96, 96), (5, 5), False),
    ],
)
def test_winograds_algorithm_is_used_where_it_pays(calls, channels, size, used):
    layer = Conv3x3(*channels)
    x = torch.randn(1, channels[0], *size)
    got = layer(x)
    assert calls == [winograd] * used
    torch.testing.assert_close(got, F.conv2d(x, layer.weight, padding=1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("channels", "size", "used"),
    [
        ((64, 64), (8, 8), True),
        ((63, 64), (4, 4), False),
        ((64, 63), (4, 4), False),
        ((64, 64), (1, 1), True),
        ((64, 64), (1, 9), False),
        ((64, 64), (9, 1), True),
    ],
)
def test_strips_are_used_in_mixed_precision_where_it_pays(calls, channels, size, used):
    layer = Conv3x3(*channels)
    x = torch.randn(1, channels[0], *size)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer(x)
    assert calls == [image_strips] * used
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), F.conv2d(x, layer.weight, padding=1), atol=0.03, rtol=0.02)
    got.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_evaluation_is_direct(calls):
    layer, x = Conv3x3(96, 96).eval(), torch.randn(1, 96, 4, 4)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert not calls


def test_other_processors_are_left_to_pytorch(calls, monkeypatch):
    monkeypatch.setattr(conv3x3, "WINOGRAD", False)
    monkeypatch.setattr(conv3x3, "STRIPS", False)
    layer, x = Conv3x3(96, 96), torch.randn(1, 96, 4, 4)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert not calls


def test_half_precision_of_another_kind_is_left_to_pytorch(calls):
    layer = Conv3x3(96, 96)
    with torch.autocast("cpu", torch.float16):
        assert layer(torch.randn(1, 96, 4, 4)).dtype == torch.float16
    assert not calls
