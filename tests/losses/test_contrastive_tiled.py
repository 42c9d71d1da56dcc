"""The tiled loss is the written-out one, whatever the tiles."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from longtail.losses import contrastive_tiled, supervised_contrastive


def written_out(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The double sum, with a B x B mask."""
    z = F.normalize(embeddings, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    similarity = (z @ z.T / temperature).masked_fill(itself, -math.inf)
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels) & ~itself
    anchors = positive.any(1)
    sums = torch.where(positive, log_share, 0).sum(1)
    return -(sums[anchors] / positive.sum(1)[anchors]).mean()


def both(function, embeddings: Tensor, *arguments: object, **keywords: object) -> tuple[Tensor, Tensor]:
    x = embeddings.clone().requires_grad_()
    loss = function(x, *arguments, **keywords)
    (3 * loss).backward()
    assert x.grad is not None
    return loss.detach(), x.grad


@pytest.mark.parametrize("batch", [2, 15, 16, 17, 48, 100])
@pytest.mark.parametrize("kept", [0, 10_000])
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_any_number_of_tiles_kept_or_not(monkeypatch, batch, kept, temperature):
    monkeypatch.setattr(contrastive_tiled, "_TILE", 16)
    monkeypatch.setattr(contrastive_tiled, "_KEPT", kept)
    generator = torch.Generator().manual_seed(batch)
    embeddings = torch.randn(batch, 6, generator=generator, dtype=torch.float64)
    labels = torch.cat(
        [torch.zeros(2, dtype=torch.int64), torch.randint(0, 1 + batch // 3, (batch - 2,), generator=generator)]
    )
    loss, gradient = both(supervised_contrastive, embeddings, labels, temperature=temperature)
    expected, slope = both(written_out, embeddings, labels, temperature)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, slope)


def test_real_tiles_in_single_precision():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(1_300, 128, generator=generator)
    labels = torch.randint(0, 400, (1_300,), generator=generator)
    loss, gradient = both(supervised_contrastive, embeddings, labels, temperature=0.05)
    expected, slope = both(written_out, embeddings.double(), labels, 0.05)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-4, atol=1e-8)


def test_a_temperature_too_low_for_tiles_gives_the_same_loss():
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(60, 8, generator=generator), torch.arange(60) % 7
    lowest = contrastive_tiled.smallest_temperature(torch.float32)
    below, above = (supervised_contrastive(embeddings, labels, temperature=lowest * f) for f in (0.999999, 1.000001))
    torch.testing.assert_close(below, above, rtol=1e-4, atol=0)
    for temperature in (0.01, 0.001):
        loss, gradient = both(supervised_contrastive, embeddings, labels, temperature=temperature)
        expected, slope = both(written_out, embeddings.double(), labels, temperature)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
        torch.testing.assert_close(gradient.double(), slope, rtol=1e-3, atol=1e-3 * float(slope.abs().max()))


def test_opposite_embeddings_at_the_lowest_temperature_stay_finite():
    """The smallest exponential there is: everything else as far away as can be."""
    embeddings = torch.cat([torch.ones(1, 4), -torch.ones(3, 4)])
    loss, gradient = both(supervised_contrastive, embeddings, torch.tensor([0, 0, 1, 1]), temperature=0.023)
    expected, _ = both(written_out, embeddings.double(), torch.tensor([0, 0, 1, 1]), 0.023)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    assert gradient.isfinite().all()


def test_it_says_that_it_cannot_be_differentiated_twice():
    x = torch.eye(4, requires_grad=True)
    loss = supervised_contrastive(x, torch.tensor([0, 0, 1, 1]), temperature=0.1)
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.autograd.grad(loss, x, create_graph=True)


def test_repeating_it_gives_the_same_bits():
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(700, 16, generator=generator), torch.randint(0, 5, (700,), generator=generator)
    first, again = (both(supervised_contrastive, embeddings, labels, temperature=0.1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
