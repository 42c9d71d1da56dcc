"""Winograd's convolution against the direct one, in values, gradients and where it is used."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from longtail import winograd
from longtail.winograd import Conv3x3, convolve


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def drawn(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def test_a_hand_worked_value():
    # A kernel of ones on pixels of one: how many of the nine neighbours lie inside.
    got = convolve(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
    torch.testing.assert_close(got, torch.tensor([[[[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]]]))


def test_the_sum_written_out():
    x, kernel = np.random.default_rng(0).normal(size=(6, 5)), np.arange(9.0).reshape(3, 3)
    padded = np.pad(x, 1)
    expected = [[(padded[i : i + 3, j : j + 3] * kernel).sum() for j in range(5)] for i in range(6)]
    got = convolve(torch.from_numpy(x)[None, None], torch.from_numpy(kernel)[None, None])
    np.testing.assert_allclose(got[0, 0], expected, atol=1e-12)


@given(*(st.integers(1, 3),) * 3, *(st.integers(1, 10),) * 2)
def test_values_and_gradients_are_those_of_the_direct_one(images, channels, outputs, height, width):
    x, kernel = drawn(images, channels, height, width), drawn(outputs, channels, 3, 3)
    expected = F.conv2d(x, kernel, padding=1)
    gradient = torch.randn_like(expected)
    got = convolve(x, kernel)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got, (x, kernel), gradient), torch.autograd.grad(expected, (x, kernel), gradient)
    )


def test_rounding_in_single_precision():
    x, kernel = drawn(4, 128, 8, 8, dtype=torch.float32), drawn(96, 128, 3, 3, dtype=torch.float32)
    exact = F.conv2d(x.double(), kernel.double(), padding=1)
    assert (convolve(x, kernel) - exact).abs().max() < 2e-5 * exact.abs().max()


@pytest.mark.parametrize("needed", [0, 1])
def test_one_gradient_alone(needed):
    x, kernel = drawn(1, 2, 6, 6), drawn(3, 2, 3, 3)
    wanted, other = (x, kernel) if needed == 0 else (kernel, x)
    other.requires_grad_(False)
    convolve(x, kernel).sum().backward()
    expected = torch.autograd.grad(F.conv2d(x, kernel, padding=1).sum(), wanted)[0]
    torch.testing.assert_close(wanted.grad, expected)
    assert other.grad is None


def test_no_images_at_all():
    assert convolve(torch.zeros(0, 2, 8, 8), torch.zeros(3, 2, 3, 3)).shape == (0, 3, 8, 8)


@pytest.fixture
def calls(monkeypatch):
    """What was convolved with Winograd's algorithm, as on a processor with AVX2."""
    seen = []
    monkeypatch.setattr(winograd, "_FAVOURABLE", True)

    def note(x, kernel):
        seen.append(x.shape)
        return convolve(x, kernel)

    monkeypatch.setattr(winograd, "convolve", note)
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
def test_it_is_used_where_it_pays(calls, channels, size, used):
    layer = Conv3x3(*channels)
    x = torch.randn(1, channels[0], *size)
    got = layer(x)
    assert bool(calls) == used
    torch.testing.assert_close(got, F.conv2d(x, layer.weight, padding=1), atol=1e-4, rtol=1e-4)


def test_evaluation_is_direct(calls):
    layer, x = Conv3x3(96, 96).eval(), torch.randn(1, 96, 8, 8)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, padding=1)) and not calls


def test_processors_with_faster_convolutions_are_left_to_pytorch(calls, monkeypatch):
    monkeypatch.setattr(winograd, "_FAVOURABLE", False)
    layer, x = Conv3x3(96, 96), torch.randn(1, 96, 8, 8)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, padding=1)) and not calls


def test_mixed_precision_is_left_to_pytorch(calls):
    with torch.autocast("cpu", torch.bfloat16):
        assert Conv3x3(96, 96)(torch.randn(1, 96, 8, 8)).dtype == torch.bfloat16
    assert not calls


def test_channels_last_stays():
    x = torch.randn(2, 96, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    got = Conv3x3(96, 96)(x)
    got.sum().backward()
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_a_second_derivative_is_refused():
    x = drawn(1, 1, 4, 4)
    gradient = torch.autograd.grad(convolve(x, drawn(1, 1, 3, 3)).square().sum(), x, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
