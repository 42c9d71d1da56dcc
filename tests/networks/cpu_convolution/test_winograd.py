"""Convolutions by Winograd's algorithm, and in strips, against the direct one: values, gradients, rounding."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from longtail.networks.cpu_convolution import image_strips, winograd

both = pytest.mark.parametrize("convolve", [winograd.convolve, image_strips.convolve])


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
