"""Layers that are equivariant to reflection: a network of them gives an image and its mirror image the same answer.

Between such layers the channels are two copies of one set, one after the other. Mirroring the image mirrors both copies
and swaps them. Weights are learned for one copy and mirrored for the other, so a convolution of copies has the work of
an ordinary one and half of its weights.

Source: group equivariant convolutions, Cohen & Welling 2016, arXiv:1602.07576, for the group of the identity and a
    reflection left to right.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.cpu_convolution.conv3x3 import Conv3x3


class Lifting(nn.Conv2d):
    """A convolution of 2 x 2 from images to two copies, which keeps the size: zeros above, left and right of the image.

    It is done as one of 2 x 3, with zeros on one side for each copy. `out_channels` is of one copy.

    Args:
        channels_in: of the images, at least 1.
        channels_out: of both copies together, even.

    >>> Lifting(3, 24)(torch.zeros(2, 3, 5, 5)).shape
    torch.Size([2, 24, 5, 5])
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, _half(channels_out), 2)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert self.bias is not None
        # A pixel and the one on its left, and a pixel and the one on its right.
        both = torch.cat((F.pad(self.weight, (0, 1)), F.pad(self.weight.flip(3), (1, 0))))
        return F.conv2d(F.pad(images, (1, 1, 1, 0)), both, self.bias.repeat(2))


class MirroredConv3x3(Conv3x3):
    """A convolution of 3 x 3 from copies to copies, with stride 1, a border of one zero and no bias.

    `out_channels` is of one copy, as is what is learned; `kernel` has both.

    Args:
        channels_in: of both copies together, even.
        channels_out: of both copies together, even.

    >>> MirroredConv3x3(4, 8)(torch.zeros(2, 4, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(2 * _half(channels_in), _half(channels_out))

    def kernel(self) -> Float[Tensor, "c2 c 3 3"]:
        of_first, of_second = self.weight.flip(3).chunk(2, dim=1)
        return torch.cat((self.weight, torch.cat((of_second, of_first), dim=1)))


class MirroredNorm(nn.Module):
    """Batch normalisation of copies: a channel has one mean and one variance in both.

    Args:
        channels: of both copies together, even.

    >>> MirroredNorm(4)(torch.zeros(2, 4, 5, 5)).shape
    torch.Size([2, 4, 5, 5])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(_half(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        images, channels, height, width = x.shape
        # Where the channels are last, the copies of a row are as good as two rows side by side: nothing is moved.
        rows = x.permute(0, 2, 3, 1).reshape(images, height, 2 * width, channels // 2).permute(0, 3, 1, 2)
        return self.norm(rows).permute(0, 2, 3, 1).reshape(images, height, width, channels).permute(0, 3, 1, 2)


def mean_of_copies(features: Float[Tensor, "batch dim2"]) -> Float[Tensor, "batch dim"]:
    """What is the same for an image and its mirror image, up to rounding (group pooling).

    Args:
        features: of two copies.

    >>> mean_of_copies(torch.tensor([[1.0, 2.0, 3.0, 6.0]]))
    tensor([[2., 4.]])
    """
    return features.unflatten(1, (2, -1)).mean(1)


def _half(channels: int) -> int:
    if channels % 2:
        raise ValueError(f"{channels} channels are not two copies; allowed: an even number")
    return channels // 2
