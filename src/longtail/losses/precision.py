"""Precision: losses compute in float32 or better."""

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_float32(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Widen half-precision tensors to float32; float32 and float64 stay what they are.

    At temperature 0.1 a contrastive loss in bfloat16 has gradients that are 10 % off.

    >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
