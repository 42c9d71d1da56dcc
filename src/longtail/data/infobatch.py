"""InfoBatch: images with a loss below the mean are skipped with a probability, and weigh more when they are not."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from longtail.data.sampler import Sampler, Weights
from longtail.runtime.seeds import PRUNE


class InfoBatch(Sampler):
    """Dynamic data pruning that keeps the expected gradient.

    An image is easy while the last loss it had is below the mean over all images. A pass leaves each easy image out
    with a probability, and the others weigh as much more, so that the mean of the weighted losses stays an estimate of
    the mean over all images. Epochs keep their length: one pass follows another until it is full.

    What is easy is decided at the start of an epoch; images that were never drawn are not.

    Args:
        images: how many there are, at least `batch_size`.
        batch_size: images a step, over all processes; an epoch has as many steps as whole batches fit into it.
        share: probability that an easy image is left out of a pass, in `(0, 1)`.
        until: fraction of the training after which each epoch draws every image once again, in `[0, 1]`.
        seed: of the run, at least 0.
    Source: Qin et al. 2024, "InfoBatch: lossless training speed up by unbiased dynamic data pruning",
        arXiv:2303.04947. There an epoch is one pass and becomes shorter, and weights are not divided by their mean.

    >>> sampler = InfoBatch(4, 4, share=0.5, until=0.875, seed=0)
    >>> sampler.begin(0, progress=0.0)
    >>> rows = sampler.rows(0)
    >>> sampler.observe(rows, torch.tensor([0.1, 0.1, 0.1, 3.7]))
    >>> sampler.begin(1, progress=0.5)
    >>> sampler.weights(rows).values
    tensor([1.2500, 1.2500, 1.2500, 0.6250])
    """

    def __init__(self, images: int, batch_size: int, *, share: float, until: float, seed: int) -> None:
        self.share, self.until, self.seed, self.batch_size = share, until, seed, batch_size
        self.losses = np.full(images, np.nan, dtype=np.float32)
        self.easy = np.zeros(images, dtype=bool)
        self.order: Int[np.ndarray, " images"] = np.arange(images)
        self.epoch = -1

    def begin(self, step: int, *, progress: float) -> None:
        """Draw the epoch's order at its first step; only the progress of that one matters."""
        epoch, images = step // (len(self.losses) // self.batch_size), len(self.losses)
        if epoch == self.epoch:
            return
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, PRUNE, epoch])
        self.easy[:] = False
        if progress < self.until and not np.isnan(self.losses).all():
            self.easy[:] = self.losses < np.nanmean(self.losses)  # a comparison with NaN is false
        passes: list[np.ndarray] = []
        while sum(map(len, passes)) < images:
            drawn = rng.permutation(images)
            passes.append(drawn[~self.easy[drawn] | (rng.random(images) >= self.share)])
        self.order = np.concatenate(passes)[:images]

    def rows(self, step: int) -> Int[np.ndarray, " batch"]:
        epoch, position = divmod(step, len(self.losses) // self.batch_size)
        if epoch != self.epoch:
            raise ValueError(f"epoch {epoch} cannot be asked for: its images depend on losses; begun is {self.epoch}")
        return self.order[position * self.batch_size : (position + 1) * self.batch_size]

    def weights(self, rows: Int[np.ndarray, " batch"]) -> Weights:
        drawn = float(1 - self.share * self.easy.mean())  # share of the images that a pass draws
        values = np.where(self.easy[rows], drawn / (1 - self.share), drawn)
        return Weights(torch.from_numpy(values.astype(np.float32)))

    def observe(self, rows: Int[np.ndarray, " batch"], losses: Float[Tensor, " batch"]) -> None:
        self.losses[rows] = losses.float().cpu().numpy()

    def state_dict(self) -> dict[str, Tensor | int]:
        arrays = {"losses": self.losses, "easy": self.easy, "order": self.order}
        return {"epoch": self.epoch, **{name: torch.from_numpy(array.copy()) for name, array in arrays.items()}}

    def load_state_dict(self, saved: dict[str, Tensor | int]) -> None:
        self.epoch = int(saved["epoch"])
        self.losses, self.easy, self.order = (
            torch.as_tensor(saved[name]).numpy().copy() for name in ("losses", "easy", "order")
        )
