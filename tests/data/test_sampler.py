"""Weights of images, and what a sampler must be able to do."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from longtail.data.sampler import Sampler, Weights


def test_weights_multiply_losses_and_follow_rows() -> None:
    weights = Weights(torch.tensor([1.5, 0.5, 1.0]))
    assert weights.times(torch.tensor([2.0, 2.0, 3.0])).tolist() == [3.0, 1.0, 3.0]
    assert weights.rows(slice(1, None)).to(torch.device("cpu")).values.tolist() == [0.5, 1.0]
    assert weights.times(torch.ones(3, dtype=torch.float64)).dtype == torch.float64


def test_mixed_precision_does_not_round_weights() -> None:
    class Keeps(nn.Module):
        def forward(self, weights: Weights) -> torch.Tensor:
            return weights.values

    kept = Fabric(accelerator="cpu", precision="bf16-mixed").setup_module(Keeps())
    assert kept(Weights(torch.tensor([1.3]))).item() == torch.tensor(1.3).item()  # 1.296875 in bfloat16


def test_a_sampler_must_say_all() -> None:
    with pytest.raises(TypeError, match=r"begin.*load_state_dict.*observe.*rows.*state_dict.*weights"):
        Sampler()  # type: ignore[abstract]
