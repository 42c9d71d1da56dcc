"""Heads: features to logits, or to the embeddings that a contrastive loss compares."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.networks.base import initialise


class CosineClassifier(nn.Module):
    """Logits are scaled cosines between features and one weight vector per class: no class wins by a longer vector.

    Args:
        dim: length of the features, at least 1.
        classes: number of classes C, at least 1.
        scale: of the cosine, above 0; logits lie in `[-scale, scale]`.
    Source: the normalised linear layer of LDAM (Cao et al. 2019), scale 30.

    >>> CosineClassifier(4, 3, scale=30.0)(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, dim: int, classes: int, *, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim))
        self.scale = scale

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch classes"]:
        return self.scale * F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).T


class LinearClassifier(nn.Linear):
    """One linear layer, initialised as the CIFAR networks of LDAM are (Kaiming normal weights).

    >>> LinearClassifier(4, 3)(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        initialise(self)


class ProjectionMLP(nn.Sequential):
    """From features to the space of the contrastive loss: one hidden layer with ReLU. The loss normalises.

    Args:
        dim: length of the features.
        hidden: width of the hidden layer.
        out: length of the embeddings, kept as `dim`.
    Source: Wang et al. 2021, arXiv:2103.14267, "an MLP with one hidden layer"; the widths are our choice.

    >>> ProjectionMLP(64, hidden=64, out=128)(torch.ones(2, 64)).shape
    torch.Size([2, 128])
    """

    def __init__(self, dim: int, *, hidden: int, out: int) -> None:
        super().__init__(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, out))
        self.dim = out
