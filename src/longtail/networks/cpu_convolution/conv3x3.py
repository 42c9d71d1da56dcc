"""A convolution of 3 x 3 that is trained on a processor in whichever of three ways is the fastest there."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.cpu_convolution import image_strips, winograd
from longtail.runtime.hardware import HAS_AMX

# Winograd's algorithm, where it has been measured to pay; with AVX-512 it does not, for PyTorch's own convolution gains
# more from that than its products of matrices do (`benchmarks/convolutions-AVX512.md`).
WINOGRAD = torch.backends.cpu.get_cpu_capability() == "AVX2"
STRIPS = HAS_AMX  # where it has been measured to pay (`benchmarks/convolutions-AMX.md`)


class Conv3x3(nn.Conv2d):
    """A convolution of 3 x 3 with stride 1, a border of one zero and no bias, which is faster to train on a processor.

    With AVX2 and without AVX-512, in float32, it is done by Winograd's algorithm; with AMX, in mixed precision with
    bfloat16, on images side by side in strips; each where there are enough channels for the size of the images.
    Everywhere else, in evaluation, in export, on accelerators and on other processors, it is PyTorch's convolution.

    Args:
        channels_in: of the input, at least 1.
        channels_out: of the output, at least 1.

    >>> Conv3x3(3, 8)(torch.zeros(2, 3, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, bias=False)

    def kernel(self) -> Float[Tensor, "c2 c 3 3"]:
        """What images are convolved with."""
        return self.weight

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kernel = self.kernel()
        if self.training and x.device.type == "cpu":
            (outputs, inputs), (height, width) = kernel.shape[:2], x.shape[2:]
            mixed = torch.is_autocast_enabled("cpu")
            if WINOGRAD and not mixed and winograd.pays(inputs, outputs, height, width):
                return winograd.convolve(x, kernel)
            bfloat16 = mixed and torch.get_autocast_dtype("cpu") == torch.bfloat16
            if STRIPS and bfloat16 and image_strips.pays(inputs, outputs, width):
                return image_strips.convolve(x.bfloat16(), kernel.bfloat16())
        return F.conv2d(x, kernel, padding=1)
