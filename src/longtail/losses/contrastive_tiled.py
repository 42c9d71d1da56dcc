"""Supervised contrastive loss in tiles: the same number and gradient without a batch-by-batch matrix."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Rows and columns of a tile: large enough for fast matrix products, small enough for the cache of a CPU.
_TILE = 512
# Up to so many embeddings all tiles are kept until the gradient is done (36 MiB in float32), then computed twice.
_KEPT = 4096

_Tile = tuple[slice, slice, Tensor]


def smallest_temperature(dtype: torch.dtype) -> float:
    """The temperature below which `exp(-2 / temperature)` is no longer a normal number of a type.

    >>> round(smallest_temperature(torch.float32), 4)
    0.0229
    """
    return -2 / torch.tensor(torch.finfo(dtype).tiny, dtype=torch.float64).log().item()


def tiled_supervised_contrastive(
    z: Float[Tensor, "batch dim"],
    sizes: Int[Tensor, " batch"],
    class_sums: Float[Tensor, "batch dim"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """The supervised contrastive loss from what is cheap to prepare for it.

    Similarities are symmetric, so half of the tiles are computed. They are at most 1, so no maximum has to be found
    before the exponential. The gradient is computed along with the loss; it cannot be differentiated again.

    Args:
        z: `(B, D)`, of length 1, float32 or float64.
        sizes: `(B,)`, how many embeddings of the same class there are, each one itself included.
        class_sums: `(B, D)`, their sum, each one itself included; taken as constant, its part of the gradient is not.
        temperature: at least `smallest_temperature`.
    Returns: mean over the anchors that have a positive, in nats, `()`.
    Source: the tiling with recomputation follows Dao et al. 2022, arXiv:2205.14135, and the constant in place of the
        running maximum the bound on cosine similarity.
    """
    return _Tiled.apply(z, sizes, class_sums, temperature)  # pyright: ignore[reportReturnType]


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, sizes: Tensor, class_sums: Tensor, temperature: float) -> Tensor:
        anchors = sizes > 1
        count = anchors.sum().clamp(min=1)
        positive = (class_sums - z).div_((sizes - 1).clamp(min=1).unsqueeze(1))  # mean of the positives, (B, D)
        kept = list(_tiles(z, temperature)) if len(z) <= _KEPT else None
        totals = _totals(z, kept or _tiles(z, temperature))
        losses = totals.log() + (1 - (z * positive).sum(1)) / temperature
        if ctx.needs_input_grad[0]:
            gradient = _pushes(z, torch.where(anchors, 1 / totals, 0), kept or _tiles(z, temperature))
            # A pair of positives pulls from both sides, hence the 2. In place: at this size B x D is not little.
            gradient.sub_(positive.masked_fill_(~anchors.unsqueeze(1), 0), alpha=2).div_(temperature * count)
            ctx.save_for_backward(gradient)
        return torch.where(anchors, losses, 0).sum() / count

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the supervised contrastive loss can be differentiated once, not twice (create_graph=True)"
            )
        (gradient,) = ctx.saved_tensors
        return outer[0] * gradient, None, None, None


def _tiles(z: Float[Tensor, "batch dim"], temperature: float) -> Iterator[_Tile]:
    """Tiles of `exp((z_i . z_j - 1) / temperature)` on and above the diagonal, which itself is 0."""
    scaled, shift = z / temperature, z.new_tensor(-1 / temperature)
    for top in range(0, len(z), _TILE):
        for left in range(top, len(z), _TILE):
            rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
            tile = torch.addmm(shift, scaled[rows], z[columns].T).exp_()
            yield rows, columns, tile.fill_diagonal_(0) if top == left else tile


def _totals(z: Float[Tensor, "batch dim"], tiles: Iterable[_Tile]) -> Float[Tensor, " batch"]:
    """Sum of each row of the whole matrix."""
    totals = z.new_zeros(len(z))
    for rows, columns, tile in tiles:
        totals[rows] += tile.sum(1)
        if rows != columns:
            totals[columns] += tile.sum(0)
    return totals


def _pushes(
    z: Float[Tensor, "batch dim"], weights: Float[Tensor, " batch"], tiles: Iterable[_Tile]
) -> Float[Tensor, "batch dim"]:
    """Gradient of `weights * totals` (weights constant), times the temperature; the tiles are used up."""
    gradient = torch.zeros_like(z)
    for rows, columns, tile in tiles:
        tile.mul_(weights[rows].unsqueeze(1) + weights[columns])
        gradient[rows].addmm_(tile, z[columns])
        if rows != columns:
            gradient[columns].addmm_(tile.T, z[rows])
    return gradient
