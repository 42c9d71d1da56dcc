"""ResNet-32 of the long-tail literature, and ResNet-9, which is fast on small images."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.base import Backbone, Images, initialise
from longtail.networks.blocks import BasicBlock
from longtail.networks.cpu_convolution.conv3x3 import Conv3x3


class ResNet32(Backbone):
    """The CIFAR ResNet-32 of the long-tail literature: 16, 32 and 64 channels, 5 blocks each, option-A shortcuts.

    0.46 million parameters with its classifier (464,154 for 10 classes). Papers that call a network of 64, 128 and
    256 channels "ResNet-32" are not comparable.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2; the variant and the initialisation (Kaiming normal) are
        those of LDAM (Cao et al. 2019) and BBN (Zhou et al. 2020).

    >>> import torch
    >>> ResNet32()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    """

    dim = 64

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = Conv3x3(3, 16), nn.BatchNorm2d(16)
        widths = [16] * 6 + [32] * 5 + [64] * 5
        self.blocks = nn.Sequential(*(BasicBlock(a, b, stride=b // a) for a, b in pairwise(widths)))
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        x = F.relu(self.norm(self.stem(images)))
        return self.blocks(x).mean((2, 3))


class _ConvNormReLU(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, *, pool: int = 1) -> None:
        layers = [Conv3x3(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.ReLU()]
        super().__init__(*layers, *([nn.MaxPool2d(pool)] if pool > 1 else []))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_ConvNormReLU(channels, channels), _ConvNormReLU(channels, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.branch(x)


class ResNet9(Backbone):
    """A wide, shallow residual network that is fast on small images: few, large convolutions.

    At the default width 1.6 million parameters and 96 million multiply-adds at 32 x 32 pixels: 1.4 times the work of
    ResNet-32 in a third of its layers. Images need at least 8 x 8 pixels.

    Args:
        width: channels of the first layer, at least 1; the others have 2, 4 and 8 times as many.
    Source: the DAWNBench residual network of David Page, "How to train your ResNet" (2018), half as wide.

    >>> import torch
    >>> ResNet9()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 256])
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.dim = 8 * width
        self.layers = nn.Sequential(
            _ConvNormReLU(3, width),
            _ConvNormReLU(width, 2 * width, pool=2),
            _Residual(2 * width),
            _ConvNormReLU(2 * width, 4 * width, pool=2),
            _ConvNormReLU(4 * width, 8 * width, pool=2),
            _Residual(8 * width),
        )
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        return self.layers(images).amax((2, 3))
