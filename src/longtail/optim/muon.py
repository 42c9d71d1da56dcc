"""Muon: gradient descent with orthogonalised momentum, for the weights of convolutions and linear layers.

`torch.optim.Muon` takes two-dimensional weights only, so none of convolutions, and `timm.optim.Muon` gives all others
to AdamW. Here the others have plain momentum, as in the recipes that this one is compared with.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Coefficients of an odd polynomial that lifts small singular values fast, and brings them near 1, not to 1.
_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315


def orthogonalised(matrix: Float[Tensor, "rows columns"], *, rounds: int = 4) -> Float[Tensor, "rows columns"]:
    """The nearest matrix with equal singular values, roughly: most end up between 0.7 and 1.2.

    Singular values far below the matrix's norm need more rounds: each makes them 3.4 times as large.

    Every round multiplies by a polynomial in the Gram matrix of the shorter side, so the rounds can do with that small
    square matrix, and the large one is read only twice.

    Args:
        matrix: `(R, C)`; its scale does not matter.
        rounds: of the iteration, at least 1; above 5 rounding errors of float32 grow.
    Returns: `(R, C)`; zeros stay zeros.
    Source: the quintic Newton-Schulz iteration of Keller Jordan et al. 2024, "Muon: An optimizer for hidden layers in
        neural networks", whose coefficients these are.

    >>> orthogonalised(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.5, 0.0]])).abs().sum(1) > 0.6
    tensor([True, True])
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + torch.finfo(wide.dtype).tiny)
    gram = wide @ wide.T
    product = factor = _polynomial(gram)
    for _ in range(rounds - 1):
        gram = factor @ gram @ factor
        factor = _polynomial(gram)
        product = factor @ product
    orthogonal = product @ wide
    return orthogonal if matrix.shape[0] <= matrix.shape[1] else orthogonal.T


def _polynomial(gram: Float[Tensor, "rows rows"]) -> Float[Tensor, "rows rows"]:
    """What a round multiplies by."""
    factor = torch.addmm(gram, gram, gram, beta=_CUBIC, alpha=_QUINTIC)
    factor.diagonal().add_(_LINEAR)
    return factor


class Muon(torch.optim.Optimizer):
    """Stochastic gradient descent with Nesterov momentum, orthogonalised for some of the parameters.

    A loop may set `lr` of all groups to one number: `factor` is what makes those of matrices others.

    Args:
        matrices: weights of convolutions and linear layers; what follows the first dimension is one side of a matrix.
        others: all other parameters, which get plain momentum: biases, normalisations, the classifier.
        lr: learning rate of the others.
        factor: of the learning rate, for matrices; a matrix of R rows and C columns moves by `lr * factor` times an
            orthogonal matrix, times the root of R / C if it has more rows than columns.
        momentum: in `[0, 1)`.
        weight_decay: of the others, added to their gradient.
        matrix_decay: of matrices, taken from them directly, times their learning rate.
    Source: Keller Jordan et al. 2024, "Muon"; weight decay as Liu et al. 2025, arXiv:2502.16982, add it.

    >>> layer = torch.nn.Linear(2, 2)
    >>> optimizer = Muon([layer.weight], [layer.bias], lr=0.1, factor=0.5, momentum=0.9)
    >>> [group["factor"] for group in optimizer.param_groups]
    [0.5, 1.0]
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        lr: float,
        factor: float,
        momentum: float,
        weight_decay: float = 0.0,
        matrix_decay: float = 0.0,
    ) -> None:
        groups: Sequence[dict[str, Any]] = (
            {"params": [*matrices], "matrices": True, "factor": factor, "weight_decay": matrix_decay},
            {"params": [*others], "matrices": False, "factor": 1.0, "weight_decay": weight_decay},
        )
        super().__init__([group for group in groups if group["params"]], {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move all parameters that have a gradient."""
        assert closure is None, "a gradient is computed once a step"
        for group in self.param_groups:
            rate, decay, momentum = group["lr"] * group["factor"], group["weight_decay"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad
                if group["matrices"]:
                    parameter.mul_(1 - rate * decay)
                    move = _as_a_matrix(self._nesterov(parameter, gradient, momentum))
                else:
                    move = self._nesterov(parameter, gradient.add(parameter, alpha=decay), momentum)
                parameter.sub_(move, alpha=rate)

    def _nesterov(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return gradient.add(state["momentum"].mul_(momentum).add_(gradient), alpha=momentum)


def _as_a_matrix(move: Tensor) -> Tensor:
    """Orthogonalise what moves a weight of any shape, `(R, ...)`."""
    # In one order of memory, whatever the layout of the network: otherwise rounding would depend on it.
    matrix = move.contiguous().flatten(1)
    rows, columns = matrix.shape
    return orthogonalised(matrix).mul(max(1.0, rows / columns) ** 0.5).view(move.shape)
