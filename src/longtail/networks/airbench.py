"""Airbench: three short stages that pool before they normalise, plain or equivariant to reflection."""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.base import Backbone, Images, initialise
from longtail.networks.blocks import MIRRORED, PLAIN, BasicBlock, Layers
from longtail.networks.equivariant import Lifting, mean_of_copies

Depth = Literal[2, 3]
_STEM = 24  # channels of the first layer


def _stages(width: int, depth: Depth, layers: Layers) -> nn.Sequential:
    widths = (_STEM, width, 2 * width, 4 * width)
    return nn.Sequential(*(nn.Sequential(*_stage(a, b, depth, layers)) for a, b in pairwise(widths)))


def _stage(channels_in: int, channels_out: int, depth: Depth, layers: Layers) -> list[nn.Module]:
    # Pooled before the normalisation, which then has a quarter of the work.
    first = [layers.conv(channels_in, channels_out), nn.MaxPool2d(2), layers.norm(channels_out), nn.ReLU()]
    if depth == 3:
        return [*first, BasicBlock(channels_out, channels_out, layers=layers)]
    return [*first, layers.conv(channels_out, channels_out), layers.norm(channels_out), nn.ReLU()]


class Airbench(Backbone):
    """Three stages of two or three convolutions, which pool before they normalise, after one of 2 x 2.

    At the default width and depth 1.2 million parameters and 81 million multiply-adds at 32 x 32 pixels; with three
    convolutions a stage 1.9 million and 109 million. Images need at least 8 x 8 pixels.

    Args:
        width: channels of the first stage, at least 1; the others have 2 and 4 times that.
        depth: convolutions a stage, 2 or 3; with 3 there is a shortcut around the last two.
    Source: the networks of Keller Jordan's airbench, arXiv:2404.00498, sections 3.1 (depth 2) and 4 (depth 3). Here all
        of it is learned, the first layer and the scales of the normalisations too, with ReLU for GELU, Kaiming's
        initialisation, other widths, zeros above and on the left of the image and logits as they are.

    >>> import torch
    >>> Airbench()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 256])
    """

    def __init__(self, width: int = 64, *, depth: Depth = 2) -> None:
        super().__init__()
        self.dim = 4 * width
        self.stem = nn.Conv2d(3, _STEM, 2)
        self.stages = _stages(width, depth, PLAIN)
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        # Zeros above and left only, which keeps the size: pooling would drop what becomes of a row more, and rows of 33
        # pixels cost more than their part where a processor takes 16 or 32 at once.
        return self.stages(F.relu(self.stem(F.pad(images, (1, 0, 1, 0))))).amax((2, 3))


class MirroredAirbench(Backbone):
    """`Airbench` of layers that are equivariant to reflection: an image and its mirror image have the same features.

    It has half of the parameters and the same multiply-adds. It is for classes of which a mirror image, left to right,
    is as good an example, so not for letters and digits. The features are the same up to rounding, and if the width of
    images is a multiple of 8: of other widths, pooling drops columns on the right.

    Args:
        width: channels of the first stage, even; the others have 2 and 4 times that.
        depth: see `Airbench`.
    Source: see `Airbench` and `longtail.networks.equivariant`.

    >>> import torch
    >>> MirroredAirbench()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 128])
    """

    def __init__(self, width: int = 64, *, depth: Depth = 2) -> None:
        super().__init__()
        self.dim = 2 * width
        self.stem = Lifting(3, _STEM)
        self.stages = _stages(width, depth, MIRRORED)
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        return mean_of_copies(self.stages(F.relu(self.stem(images))).amax((2, 3)))
