"""Convolutions of 3 x 3 as one product of matrices: what surrounds each pixel is copied into a row.

The copies cost time and memory. They pay on small images of many channels in bfloat16, where PyTorch's own convolution
leaves the matrix units of a processor (AMX) idle for most of the time and a product of matrices does not.

Source: Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for document processing",
    section 3; for the channels-last layout here, what surrounds a pixel is three pieces of memory.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_CHANNELS, _PIXELS = 96, 49  # see `benchmarks/convolutions-AMX.md`


def pays(channels_in: int, channels_out: int, height: int, width: int) -> bool:
    """Whether there are channels enough, and few enough pixels, for a processor with AMX and bfloat16.

    A rule and not a measurement, so that a training repeats.

    >>> pays(384, 384, 4, 4), pays(96, 192, 16, 16), pays(64, 64, 4, 4)
    (True, False, False)
    """
    return min(channels_in, channels_out) >= _CHANNELS and height * width <= _PIXELS


def convolve(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "c2 c 3 3"]) -> Float[Tensor, "b c2 h w"]:
    """As `torch.nn.functional.conv2d(x, kernel, padding=1)`, differentiable once.

    Args:
        x: images, in any layout of memory; the result has channels last.
        kernel: of the data type of the images.

    >>> x, kernel = torch.randn(1, 2, 5, 7, dtype=torch.float64), torch.randn(3, 2, 3, 3, dtype=torch.float64)
    >>> torch.allclose(convolve(x, kernel), F.conv2d(x, kernel, padding=1))
    True
    """
    return _Convolution.apply(x, kernel)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        (images, channels, height, width), outputs = x.shape, len(kernel)
        pixels = x.permute(0, 2, 3, 1).contiguous()
        weights = kernel.permute(0, 2, 3, 1).reshape(outputs, 9 * channels)
        ctx.save_for_backward(pixels, weights)
        return (_surroundings(pixels) @ weights.T).view(images, height, width, outputs).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        pixels, weights = ctx.saved_tensors
        (images, height, width, channels), outputs = pixels.shape, len(weights)
        # Both gradients come from what surrounds each pixel in the output, seen from the other side. So the ninefold
        # copy of the input need not be kept until here.
        around = _surroundings(gradient.permute(0, 2, 3, 1))
        for_x = for_kernel = None
        if ctx.needs_input_grad[0]:
            turned = weights.view(outputs, 3, 3, channels).flip(1, 2).permute(1, 2, 0, 3).reshape(9 * outputs, channels)
            for_x = (around @ turned).view(images, height, width, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            sums = pixels.view(images * height * width, channels).T @ around
            for_kernel = sums.view(channels, 3, 3, outputs).flip(1, 2).permute(3, 0, 1, 2)
        return for_x, for_kernel


def _surroundings(pixels: Float[Tensor, "b h w c"]) -> Float[Tensor, "rows columns"]:
    """The 3 x 3 pixels around each, zeros outside of the image, in one row."""
    images, height, width, channels = pixels.shape
    padded = F.pad(pixels, (0, 0, 1, 1, 1, 1)).contiguous()
    windows = padded.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 1, 2, 4, 5, 3)
    return windows.reshape(images * height * width, 9 * channels)
