"""Convolutions in strips of several images: how many fit, and when it pays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from longtail.networks.cpu_convolution import image_strips


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


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


@pytest.mark.parametrize(
    ("channels", "width", "pays"),
    [((64, 64), 8, True), ((63, 64), 8, False), ((64, 63), 8, False), ((64, 64), 9, False)],
)
def test_it_pays_for_many_channels_and_small_images(channels, width, pays):
    inputs, outputs = channels
    assert image_strips.pays(inputs, outputs, width) == pays
