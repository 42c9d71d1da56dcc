"""The basic block: what its shortcut keeps."""

import pytest
import torch
from torch import nn

from longtail.networks import (
    ResNet32,
)
from support.layers import parts


@pytest.mark.parametrize(("block", "channels", "rows"), [(0, 16, None), (5, 16, slice(8, 24)), (10, 32, slice(16, 48))])
def test_shortcut_has_no_parameters_and_keeps_every_second_pixel(block, channels, rows):
    layer = ResNet32().blocks[block].eval()
    kinds = [nn.Conv2d, nn.BatchNorm2d] * 2
    assert all(isinstance(part, kind) for part, kind in zip(layer.children(), kinds, strict=True))
    for convolution in parts(layer, nn.Conv2d):
        nn.init.zeros_(convolution.weight)
    x = torch.randn(2, channels, 8, 6)
    wanted = x
    if rows is not None:
        wanted = torch.zeros(2, 2 * channels, 4, 3)
        wanted[:, rows] = x[:, :, [0, 2, 4, 6]][..., [0, 2, 4]]
    assert torch.equal(layer(x), wanted.clamp(min=0))
