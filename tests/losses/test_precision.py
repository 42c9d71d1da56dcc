"""Losses compute in float32 or better."""

import pytest
import torch

from longtail.losses import at_least_float32


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_nothing_is_narrower_than_float32_and_nothing_is_narrowed(given: torch.dtype, computed: torch.dtype) -> None:
    tensor = torch.tensor([0.5, 2.0], dtype=given, requires_grad=True)
    wide = at_least_float32(tensor)
    assert wide.dtype == computed and wide.tolist() == [0.5, 2.0]
    wide.sum().backward()
    assert tensor.grad is not None and tensor.grad.dtype == given
