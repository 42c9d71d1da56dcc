"""Layers that several networks are built of: convolution, batch normalisation, the basic block."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.cpu_convolution.conv3x3 import Conv3x3
from longtail.networks.equivariant import MirroredConv3x3, MirroredNorm


def conv(channels_in: int, channels_out: int, *, stride: int = 1, mirrored: bool = False) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size (at stride 1), without bias: a normalisation follows it."""
    if mirrored:
        assert stride == 1
        return MirroredConv3x3(channels_in, channels_out)
    if stride == 1:
        return Conv3x3(channels_in, channels_out)
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)


def norm(channels: int, *, mirrored: bool) -> nn.Module:
    """Batch normalisation."""
    return MirroredNorm(channels) if mirrored else nn.BatchNorm2d(channels)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters (option A of He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, mirrored: bool = False) -> None:
        super().__init__()
        assert channels_in == channels_out or not mirrored, "zeros would come between the copies"
        self.conv1 = conv(channels_in, channels_out, stride=stride, mirrored=mirrored)
        self.norm1 = norm(channels_out, mirrored=mirrored)
        self.conv2 = conv(channels_out, channels_out, mirrored=mirrored)
        self.norm2 = norm(channels_out, mirrored=mirrored)
        self.stride, self.padding = stride, (channels_out - channels_in) // 2

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.padding:
            # Every second pixel, and zeros on both sides of the channels.
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(y + x)
