"""Heads, by hand."""

import math

import pytest
import torch
from torch import nn

from longtail.networks import (
    CosineClassifier,
    LinearClassifier,
    ProjectionMLP,
)
from support.layers import parts


def test_linear_classifier_starts_from_kaimings_normal_distribution():
    weight = LinearClassifier(256, 100).weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.05)
    assert weight.abs().max() > 3 * math.sqrt(2 / 256)


def test_cosine_classifier_by_hand():
    head = CosineClassifier(2, 3, scale=30.0)
    head.weight.data = torch.tensor([[0.0, 2.0], [3.0, 4.0], [-0.1, 0.0]])
    torch.testing.assert_close(head(torch.tensor([[5.0, 0.0]])), torch.tensor([[0.0, 18.0, -30.0]]))


def test_cosine_classifier_knows_directions_only():
    head, features = CosineClassifier(8, 5, scale=30.0), torch.randn(64, 8)
    logits = head(features)
    assert logits.abs().max() <= 30 * (1 + 1e-6)
    torch.testing.assert_close(head(head.weight * 7).diagonal(), torch.full((5,), 30.0))
    lengths = torch.rand(64, 1) + 0.1
    torch.testing.assert_close(head(features * lengths * 100), logits)
    head.weight.data *= torch.tensor([[0.1], [1.0], [5.0], [50.0], [1e3]])
    torch.testing.assert_close(head(features), logits)
    assert torch.equal(head(torch.zeros(1, 8)), torch.zeros(1, 5))


def test_projection_is_one_hidden_layer():
    mlp, x = ProjectionMLP(4, hidden=6, out=3), torch.randn(5, 4)
    into, out = parts(mlp, nn.Linear)
    assert into.weight.shape == (6, 4) and out.weight.shape == (3, 6)
    hidden = (x @ into.weight.T + into.bias).clamp(min=0)
    torch.testing.assert_close(mlp(x), hidden @ out.weight.T + out.bias)
