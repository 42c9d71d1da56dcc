"""Convolutions of 3 x 3 of many small images that lie side by side in strips, one column of zeros between them.

PyTorch's own convolution is slow on rows of 8 pixels and less where a processor has matrix units (AMX), most of all in
finding the gradient of the kernel. A strip has long rows, and the zeros between two images are the border of both.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_CHANNELS, _WIDTH = 64, 8  # see `benchmarks/convolutions-AMX.md`
_IMAGES = 32  # in a strip, so that even images 2 pixels wide make rows of 96


def pays(channels_in: int, channels_out: int, width: int) -> bool:
    """Whether there are channels enough, and rows short enough, for a processor with AMX and bfloat16.

    A rule and not a measurement, so that a training repeats.

    >>> pays(384, 384, 4), pays(96, 192, 16), pays(32, 32, 4)
    (True, False, False)
    """
    return min(channels_in, channels_out) >= _CHANNELS and width <= _WIDTH


def convolve(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "c2 c 3 3"]) -> Float[Tensor, "b c2 h w"]:
    """As `torch.nn.functional.conv2d(x, kernel, padding=1)`, differentiable once.

    Args:
        x: images, in any layout of memory; the result has channels last.
        kernel: of the data type of the images.

    >>> x, kernel = torch.randn(5, 2, 5, 7, dtype=torch.float64), torch.randn(3, 2, 3, 3, dtype=torch.float64)
    >>> torch.allclose(convolve(x, kernel), F.conv2d(x, kernel, padding=1))
    True
    """
    return _Convolution.apply(x, kernel)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.images, ctx.width = len(x), x.shape[3]
        strips = _strips(x)
        ctx.save_for_backward(strips, kernel)
        return _images(F.conv2d(strips, kernel, padding=1), ctx.images, ctx.width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        strips, kernel = ctx.saved_tensors
        # Zeros between the images of the gradient too: what the forward pass had there is nobody's.
        for_x, for_kernel, _ = torch.ops.aten.convolution_backward(
            _strips(gradient),
            strips,
            kernel,
            bias_sizes=None,
            stride=[1, 1],
            padding=[1, 1],
            dilation=[1, 1],
            transposed=False,
            output_padding=[0, 0],
            groups=1,
            output_mask=[*ctx.needs_input_grad, False],
        )
        return None if for_x is None else _images(for_x, ctx.images, ctx.width), for_kernel


def _strips(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b2 c h w2"]:
    """Images side by side, each with a column of zeros on its right; the last strip is filled up with zeros."""
    images, channels, height, width = x.shape
    each = max(1, min(images, _IMAGES))
    full, left = divmod(images, each)
    strips = x.new_empty(full + (left > 0), height, each, width + 1, channels)
    strips[:, :, :, width] = 0
    rows = x.permute(0, 2, 3, 1)
    strips[:full, :, :, :width] = rows[: full * each].reshape(full, each, height, width, channels).transpose(1, 2)
    if left:
        strips[full, :, :left, :width] = rows[full * each :].transpose(0, 1)
        strips[full, :, left:, :width] = 0
    return strips.flatten(2, 3).permute(0, 3, 1, 2)


def _images(strips: Float[Tensor, "b2 c h w2"], images: int, width: int) -> Float[Tensor, "b c h w"]:
    """The images of strips, without what lies between them."""
    count, channels, height, columns = strips.shape
    each = columns // (width + 1)
    rows = strips.permute(0, 2, 3, 1).reshape(count, height, each, width + 1, channels)[:, :, :, :width]
    apart = rows.transpose(1, 2).reshape(count * each, height, width, channels)[:images]
    return apart.contiguous().permute(0, 3, 1, 2)
