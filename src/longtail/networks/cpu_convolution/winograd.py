"""Convolutions of 3 x 3 for training on a processor, with a quarter of the multiplications (Winograd's algorithm).

An output tile of 4 x 4 pixels depends on 6 x 6 pixels of the input. With three small fixed transforms, one of the input
tile, one of the kernel and one of their product, it takes 36 multiplications for each pair of channels, not 144. The
transforms pay when there are many channels. Forward and backward pass are sums of products of matrices, so that PyTorch
does all of it with kernels it has. Results differ from those of a direct convolution by rounding: in float32 by about
1e-5 of the largest value.

Source: Lavin & Gray 2016, arXiv:1509.09308, F(4 x 4, 3 x 3), section 4.3; the gradients are those of the same sums.
"""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_INPUT = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]]
_INPUT += [[0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
_KERNEL = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]  # times 24
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
_CHANNELS = 96  # below, the transforms cost nearly all that they save (`benchmarks/convolutions-AVX2.md`)


def pays(channels_in: int, channels_out: int, height: int, width: int) -> bool:
    """Whether there are channels enough, and at least half of the tiles is image, for a processor with AVX2.

    A rule and not a measurement, so that a training repeats.

    >>> pays(96, 192, 16, 16), pays(64, 64, 16, 16), pays(384, 384, 2, 2)
    (True, False, False)
    """
    return min(channels_in, channels_out) >= _CHANNELS and height * width >= 8 * _tiles(height) * _tiles(width)


def convolve(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "c2 c 3 3"]) -> Float[Tensor, "b c2 h w"]:
    """As `torch.nn.functional.conv2d(x, kernel, padding=1)`, differentiable once.

    >>> x, kernel = torch.randn(1, 2, 5, 7, dtype=torch.float64), torch.randn(3, 2, 3, 3, dtype=torch.float64)
    >>> torch.allclose(convolve(x, kernel), F.conv2d(x, kernel, padding=1))
    True
    """
    return _Convolution.apply(x, kernel)


class _Convolution(torch.autograd.Function):
    """Tensors are laid out as image, pixels, channels; a tile is one of the products of many small matrices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        (images, channels, height, width), outputs = x.shape, len(kernel)
        rows, columns = _tiles(height), _tiles(width)
        of_input, of_kernel, of_output = _transforms(x.dtype)
        padding = (0, 0, 1, 4 * columns + 1 - width, 1, 4 * rows + 1 - height)
        tiles = F.pad(x.permute(0, 2, 3, 1), padding).unfold(1, 6, 4).unfold(2, 6, 4).permute(0, 1, 2, 4, 5, 3)
        inputs = _apply(of_input, tiles.reshape(images * rows * columns, 36, channels)).transpose(0, 1)
        kernels = (of_kernel @ kernel.permute(2, 3, 1, 0).reshape(9, -1)).view(36, channels, outputs)
        joined = _apply(of_output, (inputs @ kernels).transpose(0, 1))
        joined = joined.view(images, rows, columns, 4, 4, outputs).transpose(2, 3)
        joined = joined.reshape(images, 4 * rows, 4 * columns, outputs)
        ctx.save_for_backward(inputs, kernels)
        ctx.shape = x.shape
        return joined[:, :height, :width].contiguous().permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, kernels = ctx.saved_tensors
        (images, channels, height, width), outputs = ctx.shape, gradient.shape[1]
        rows, columns = _tiles(height), _tiles(width)
        of_input, of_kernel, of_output = _transforms(gradient.dtype)
        tiles = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, 4 * columns - width, 0, 4 * rows - height))
        tiles = tiles.reshape(images, rows, 4, columns, 4, outputs).transpose(2, 3)
        products = _apply(of_output.T.contiguous(), tiles.reshape(images * rows * columns, 16, outputs)).transpose(0, 1)
        for_x = for_kernel = None
        if ctx.needs_input_grad[1]:
            sums = (inputs.transpose(1, 2) @ products).view(36, channels * outputs)
            for_kernel = (of_kernel.T @ sums).view(3, 3, channels, outputs).permute(3, 2, 0, 1)
        if ctx.needs_input_grad[0]:
            parts = _apply(of_input.T.contiguous(), (products @ kernels.transpose(1, 2)).transpose(0, 1))
            added = _overlap(parts.view(images, rows, columns, 6, 6, channels))
            for_x = added[:, 1 : height + 1, 1 : width + 1].contiguous().permute(0, 3, 1, 2)
        return for_x, for_kernel


def _tiles(pixels: int) -> int:
    return -(-pixels // 4)


def _apply(transform: Float[Tensor, "to from_"], tiles: Float[Tensor, "t from_ c"]) -> Float[Tensor, "t to c"]:
    return torch.bmm(transform.expand(len(tiles), -1, -1), tiles)


def _overlap(tiles: Float[Tensor, "b r s 6 6 c"]) -> Float[Tensor, "b h w c"]:
    """Add tiles of 6 x 6 that lie four pixels apart."""
    images, rows, columns, _, _, channels = tiles.shape
    sums = tiles.new_empty(images, rows + 1, 4, columns + 1, 4, channels)
    tiles = tiles.transpose(2, 3)
    sums[:, :rows, :, :columns] = tiles[:, :, :4, :, :4]
    sums[:, rows] = 0
    sums[:, :rows, :, columns] = 0
    sums[:, 1:, :2, :columns] += tiles[:, :, 4:, :, :4]
    sums[:, :rows, :, 1:, :2] += tiles[:, :, :4, :, 4:]
    sums[:, 1:, :2, 1:, :2] += tiles[:, :, 4:, :, 4:]
    return sums.view(images, 4 * rows + 4, 4 * columns + 4, channels)


@cache
def _transforms(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Of input tiles (36 from 36), kernels (36 from 9) and output tiles (16 from 36): both directions at once."""
    at, g, b = (torch.tensor(rows, dtype=torch.float64) for rows in (_OUTPUT, _KERNEL, _INPUT))
    of_input, of_kernel, of_output = (torch.kron(one, one).to(dtype) for one in (b, g / 24, at))
    return of_input, of_kernel, of_output
