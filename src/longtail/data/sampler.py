"""Samplers: draw the images of a step by what the training has learned so far, and weigh them."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


class Weights:
    """How much the loss of each image of a batch counts.

    It is no tensor, and no tuple of them: mixed precision would round all of those that a network is given.

    Args:
        values: `(B,)`, 1 on average over what a sampler draws.

    >>> Weights(torch.tensor([1.25, 0.75])).times(torch.ones(2))
    tensor([1.2500, 0.7500])
    """

    def __init__(self, values: Float[Tensor, " batch"]) -> None:
        self.values = values

    def times(self, losses: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The losses, weighted."""
        return losses * self.values.to(losses.dtype)

    def rows(self, index: slice) -> "Weights":
        """Those of some images."""
        return Weights(self.values[index])

    def to(self, device: torch.device) -> "Weights":
        """The same on a device."""
        return Weights(self.values.to(device, non_blocking=True))


class Sampler(ABC):
    """Draws the images of the first stream instead of its `Plan`, by the losses that images had.

    So its state is a part of the training's, beside weights and optimiser. A training calls, for every step and in this
    order, `begin`, `rows`, `weights` and `observe`.
    """

    @abstractmethod
    def begin(self, step: int, *, progress: float) -> None:
        """Come to a step.

        Args:
            step: from 0.
            progress: of the training's schedule, in `[0, 1]`, at this step.
        """

    @abstractmethod
    def rows(self, step: int) -> Int[np.ndarray, " batch"]:
        """The images of the step that was begun, over all processes."""

    @abstractmethod
    def weights(self, rows: Int[np.ndarray, " batch"]) -> Weights:
        """How much the losses of these images count."""

    @abstractmethod
    def observe(self, rows: Int[np.ndarray, " batch"], losses: Float[Tensor, " batch"]) -> None:
        """Remember the losses of images, before weights; if one is there twice, its last loss counts."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor | int]:
        """What `load_state_dict` needs to go on."""

    @abstractmethod
    def load_state_dict(self, saved: dict[str, Tensor | int]) -> None:
        """Go back to a saved state."""
