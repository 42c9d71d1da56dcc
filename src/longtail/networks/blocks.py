"""What several networks are built of: convolution, batch normalisation, the basic block."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.cpu_convolution.conv3x3 import Conv3x3
from longtail.networks.equivariant import MirroredConv3x3, MirroredNorm


class Layers(NamedTuple):
    """The layers that a network's stages are built of.

    Args:
        conv: from channels in and channels out to a 3 x 3 convolution that keeps the size, without bias: a
            normalisation follows it.
        norm: from channels to a batch normalisation.
    """

    conv: Callable[[int, int], nn.Conv2d]
    norm: Callable[[int], nn.Module]


PLAIN = Layers(Conv3x3, nn.BatchNorm2d)
MIRRORED = Layers(MirroredConv3x3, MirroredNorm)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters (option A of He et al. 2016).

    Args:
        channels_in: at least 1.
        channels_out: as many, or twice as many.
        stride: of the first convolution; above 1 it is plain, whatever the layers.
        layers: what it is built of; mirrored ones keep the number of channels.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, layers: Layers = PLAIN) -> None:
        super().__init__()
        # Otherwise the zeros of the shortcut would come between the two copies.
        assert channels_in == channels_out or layers is PLAIN
        if stride == 1:
            self.conv1 = layers.conv(channels_in, channels_out)
        else:
            self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = layers.norm(channels_out)
        self.conv2 = layers.conv(channels_out, channels_out)
        self.norm2 = layers.norm(channels_out)
        self.stride, self.padding = stride, (channels_out - channels_in) // 2

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.padding:
            # Every second pixel, and zeros on both sides of the channels.
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(y + x)
