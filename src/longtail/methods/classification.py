"""A classification loss alone: plain cross-entropy, and logit adjustment."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from longtail.data import class_counts
from longtail.data.batches import Batch, Sampling, Stream
from longtail.losses import adjusted_logits, at_least_float32, smoothed_cross_entropy
from longtail.methods.base import Method, Step, full_precision
from longtail.networks import ImageClassifier
from longtail.optim.schedules import Clock


class CrossEntropy(Method):
    """Plain training with cross-entropy: what every method for long tails is compared with.

    Args:
        classifier: the network.
        sampling: how images are drawn; "balanced" is class-balanced re-sampling.
        smoothing: share of the target that all classes have alike, in `[0, 1)`.
    """

    def __init__(self, classifier: ImageClassifier, *, sampling: Sampling = "instance", smoothing: float = 0.0) -> None:
        super().__init__((Stream(sampling),), classifier)
        self.smoothing = smoothing

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:  # noqa: ARG002  (this loss knows no time)
        (batch,) = batches
        logits = self.classifier(batch.images.flatten(0, 1))
        with full_precision(logits.device):
            even = logits.new_full((logits.shape[1],), 1 / logits.shape[1], dtype=torch.float32)
            return _cross_entropy(at_least_float32(logits), batch, even, self.smoothing)

    def assumed_prior(self, train_counts: class_counts.Counts) -> Float[np.ndarray, " classes"]:
        (stream,) = self.streams
        return (
            class_counts.priors(train_counts) if stream.sampling == "instance" else super().assumed_prior(train_counts)
        )


class LogitAdjustment(Method):
    """Training with logit adjustment: cross-entropy that takes the frequency of classes into account.

    Predicts by the logits as they are, so as if all classes were equally frequent. Of a class without training images
    nothing is learned: its logits at test are what the first weights make of the features.

    Args:
        classifier: the network.
        prior: `(C,)`, how frequent classes are in training, as shares.
        tau: how much that counts, above 0.
        smoothing: share of the target that classes have by `prior ** tau`, in `[0, 1)`: it pulls the logits
            that are predicted by to be equal.
    Source: Menon et al. 2021, arXiv:2007.07314; with `tau` 1 balanced softmax, Ren et al. 2020, arXiv:2007.10740.
    """

    prior: Tensor

    def __init__(
        self, classifier: ImageClassifier, *, prior: Float[Tensor, " classes"], tau: float, smoothing: float = 0.0
    ) -> None:
        super().__init__((Stream("instance"),), classifier)
        self.tau, self.smoothing = tau, smoothing
        self.register_buffer("prior", prior)

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:  # noqa: ARG002  (this loss knows no time)
        (batch,) = batches
        return self.step(self.classifier(batch.images.flatten(0, 1)), batch)

    def step(self, logits: Float[Tensor, "batch classes"], batch: Batch) -> Step:
        """What logits give.

        Args:
            logits: `(B, C)`, as they are predicted by.
            batch: what they are of, one view.
        """
        with full_precision(logits.device):
            adjusted = adjusted_logits(logits, self.prior, tau=self.tau)
            alike = adjusted_logits(torch.zeros_like(self.prior)[None], self.prior, tau=self.tau)[0].softmax(0)
            return _cross_entropy(adjusted, batch, alike, self.smoothing)

    def assumed_prior(self, train_counts: class_counts.Counts) -> Float[np.ndarray, " classes"]:
        # Takes as much of the frequencies away as tau says: all of it if that is 1, and more above.
        prior = class_counts.priors(train_counts)
        present = prior > 0
        logs = (1 - self.tau) * np.log(prior, out=np.zeros_like(prior), where=present)
        shares = np.where(present, np.exp(logs - logs[present].max()), 0)
        return shares / shares.sum()


def _cross_entropy(
    logits: Float[Tensor, "batch classes"], batch: Batch, toward: Float[Tensor, " classes"], smoothing: float
) -> Step:
    """The mean of a batch of one view, weighted; that of a mixed image counts both labels, by their share of it."""
    each = smoothed_cross_entropy(logits, batch.labels, toward, smoothing=smoothing)
    if batch.mixed is not None:
        other = smoothed_cross_entropy(logits, batch.mixed.labels, toward, smoothing=smoothing)
        each = each.lerp(other, batch.mixed.share.to(each.dtype))
    loss = (each if batch.weights is None else batch.weights.times(each)).mean()
    return Step(loss, {"cross_entropy": loss.detach()}, each.detach())
