"""Airbench: three short stages that pool before they normalise, plain or equivariant to reflection."""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.base import Backbone, Images, initialise
from longtail.networks.blocks import BasicBlock, conv, norm
from longtail.networks.equivariant import Lifting, mean_of_copies

_STEM = 24  # channels of the first layer


class _Stage(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, *, depth: Literal[2, 3], mirrored: bool) -> None:
        layers = [
            conv(channels_in, channels_out, mirrored=mirrored),
            nn.MaxPool2d(2),  # before the normalisation, which then has a quarter of the work
            norm(channels_out, mirrored=mirrored),
            nn.ReLU(),
        ]
        if depth == 2:
            layers += [
                conv(channels_out, channels_out, mirrored=mirrored),
                norm(channels_out, mirrored=mirrored),
                nn.ReLU(),
            ]
        else:
            layers.append(BasicBlock(channels_out, channels_out, stride=1, mirrored=mirrored))
        super().__init__(*layers)


class Airbench(Backbone):
    """Three stages of two or three convolutions, which pool before they normalise, after one of 2 x 2.

    At the default width and depth 1.2 million parameters and 81 million multiply-adds at 32 x 32 pixels; with three
    convolutions a stage 1.9 million and 109 million. If mirrored it has half of the parameters and the same
    multiply-adds. Images need at least 8 x 8 pixels. A mirrored network's features of an image and its mirror image are
    the same, up to rounding, if the width is a multiple of 8: of other widths, pooling drops columns on the right.

    Args:
        width: channels of the first stage, at least 1, an even number if mirrored; the others have 2 and 4 times that.
        depth: convolutions a stage, 2 or 3; with 3 there is a shortcut around the last two.
        mirrored: give an image and its mirror image the same features, by layers that are equivariant to reflection. It
            is for classes of which a mirror image, left to right, is as good an example, so not for letters and digits.
    Source: the networks of Keller Jordan's airbench, arXiv:2404.00498, sections 3.1 (depth 2) and 4 (depth 3). Here all
        of it is learned, the first layer and the scales of the normalisations too, with ReLU for GELU, Kaiming's
        initialisation, other widths, zeros above and on the left of the image and logits as they are. Mirrored: see
        `longtail.networks.equivariant`.

    >>> Airbench()(torch.zeros(2, 3, 32, 32)).shape, Airbench(mirrored=True)(torch.zeros(2, 3, 32, 32)).shape
    (torch.Size([2, 256]), torch.Size([2, 128]))
    """

    def __init__(self, width: int = 64, *, depth: Literal[2, 3] = 2, mirrored: bool = False) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.dim = 2 * width if mirrored else 4 * width
        self.stem = Lifting(3, _STEM) if mirrored else nn.Conv2d(3, _STEM, 2)
        widths = (_STEM, width, 2 * width, 4 * width)
        self.stages = nn.Sequential(*(_Stage(a, b, depth=depth, mirrored=mirrored) for a, b in pairwise(widths)))
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        if not self.mirrored:
            # Zeros above and left only, which keeps the size: pooling would drop what becomes of a row more, and rows
            # of 33 pixels cost more than their part where a processor takes 16 or 32 at once.
            images = F.pad(images, (1, 0, 1, 0))
        features = self.stages(F.relu(self.stem(images))).amax((2, 3))
        return mean_of_copies(features) if self.mirrored else features
