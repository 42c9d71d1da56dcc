"""Which images an epoch shows by what was lost on them: easy ones less often, and each of them for more."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from longtail.runtime.seeds import PRUNE


class Weights(NamedTuple):
    """How much the loss of each image of a batch counts, in a form that mixed precision does not round.

    Args:
        easy: `(B,)`, which images are.
        of_easy: weight of each of them.
        of_others: weight of each of the others.

    >>> Weights(torch.tensor([True, False]), 1.25, 0.625).times(torch.ones(2))
    tensor([1.2500, 0.6250])
    """

    easy: Bool[Tensor, " batch"]
    of_easy: float
    of_others: float

    def times(self, losses: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The losses, weighted."""
        return torch.where(self.easy, losses * self.of_easy, losses * self.of_others)

    def rows(self, index: slice) -> "Weights":
        """Those of some images."""
        return self._replace(easy=self.easy[index])

    def to(self, device: torch.device) -> "Weights":
        """The same on a device."""
        return self._replace(easy=self.easy.to(device, non_blocking=True))


class Pruning:
    """Dynamic data pruning that keeps the expected gradient: InfoBatch.

    An image is easy while the loss it had when it was last shown is below the mean over all images. A pass leaves each
    easy image out with a probability, and the others weigh as much more, so that the mean of the weighted losses stays
    an estimate of the mean over all images. Epochs keep their length: one pass follows another until it is full.

    What is easy is decided at the start of an epoch; images that were never shown are not.

    Args:
        images: how many there are, at least 1.
        share: probability that an easy image is left out of a pass, in `(0, 1)`.
        until: fraction of the training after which each epoch shows every image once again, in `[0, 1]`.
        seed: of the run, at least 0.
    Source: Qin et al. 2024, "InfoBatch: lossless training speed up by unbiased dynamic data pruning",
        arXiv:2303.04947. There an epoch is one pass and becomes shorter, and weights are not divided by their mean.

    >>> pruning = Pruning(4, share=0.5, until=0.875, seed=0)
    >>> pruning.begin(0, progress=0.0)
    >>> pruning.learned(pruning.order, torch.tensor([0.1, 0.1, 0.1, 3.7]))
    >>> hard = pruning.order[3]
    >>> pruning.begin(1, progress=0.5)
    >>> pruning.weights(np.array([hard])).of_others
    0.625
    """

    def __init__(self, images: int, *, share: float, until: float, seed: int) -> None:
        self.share, self.until, self.seed = share, until, seed
        self.losses = np.full(images, np.nan, dtype=np.float32)
        self.easy = np.zeros(images, dtype=bool)
        self.order: Int[np.ndarray, " images"] = np.arange(images)
        self.epoch = -1

    def begin(self, epoch: int, *, progress: float) -> None:
        """Draw which images an epoch shows, in `order`, unless that has been done.

        Args:
            epoch: from 0.
            progress: of the training, in `[0, 1]`, at the epoch's first step.
        """
        if epoch == self.epoch:
            return
        self.epoch, images = epoch, len(self.losses)
        rng = np.random.default_rng([self.seed, PRUNE, epoch])
        self.easy[:] = False
        if progress < self.until and not np.isnan(self.losses).all():
            self.easy[:] = self.losses < np.nanmean(self.losses)  # a comparison with NaN is false
        passes: list[np.ndarray] = []
        while sum(map(len, passes)) < images:
            shown = rng.permutation(images)
            passes.append(shown[~self.easy[shown] | (rng.random(images) >= self.share)])
        self.order = np.concatenate(passes)[:images]

    def weights(self, rows: Int[np.ndarray, " batch"]) -> Weights:
        """How much images count in this epoch: expected to be 1 on average over those that a pass shows."""
        shown = float(1 - self.share * self.easy.mean())  # share of the images that a pass shows
        return Weights(torch.from_numpy(self.easy[rows]), shown / (1 - self.share), shown)

    def learned(self, rows: Int[np.ndarray, " batch"], losses: Float[Tensor, " batch"]) -> None:
        """Remember what was lost on images, before weights.

        Args:
            rows: `(B,)`, which; if one is there twice, its last loss counts.
            losses: `(B,)`.
        """
        self.losses[rows] = losses.float().cpu().numpy()

    def state(self) -> dict[str, Tensor | int]:
        """What `restore` needs to go on."""
        arrays = {"losses": self.losses, "easy": self.easy, "order": self.order}
        return {"epoch": self.epoch, **{name: torch.from_numpy(array.copy()) for name, array in arrays.items()}}

    def restore(self, saved: dict[str, Tensor | int]) -> None:
        """Go back to a saved state."""
        self.epoch = int(saved["epoch"])
        self.losses, self.easy, self.order = (
            torch.as_tensor(saved[name]).numpy().copy() for name in ("losses", "easy", "order")
        )
