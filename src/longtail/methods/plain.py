"""One branch: a classifier and a classification loss, nothing else."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from longtail.data.batches import Batch, Sampling, Stream
from longtail.losses import adjusted_logits, at_least_float32
from longtail.methods.base import Method, Step, full_precision
from longtail.networks import ImageClassifier
from longtail.schedules import Clock


class CrossEntropy(Method):
    """Plain training with cross-entropy: what every method for long tails is compared with.

    Args:
        classifier: the network.
        sampling: how images are drawn; "balanced" is class-balanced re-sampling.
    """

    def __init__(self, classifier: ImageClassifier, *, sampling: Sampling = "instance") -> None:
        super().__init__((Stream(sampling),), classifier)

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:  # noqa: ARG002  (this loss knows no time)
        (batch,) = batches
        logits = self.classifier(batch.images.flatten(0, 1))
        with full_precision(logits.device):
            return _cross_entropy(at_least_float32(logits), batch)


class LogitAdjustment(Method):
    """Training with logit adjustment: cross-entropy that takes the frequency of classes into account.

    Predicts by the logits as they are, so as if all classes were equally frequent. Of a class without training images
    nothing is learned: its logits at test are what the first weights make of the features.

    Args:
        classifier: the network.
        prior: `(C,)`, how frequent classes are in training, as shares.
        tau: how much that counts, above 0.
    Source: Menon et al. 2021, arXiv:2007.07314; with `tau` 1 balanced softmax, Ren et al. 2020, arXiv:2007.10740.
    """

    prior: Tensor

    def __init__(self, classifier: ImageClassifier, *, prior: Float[Tensor, " classes"], tau: float) -> None:
        super().__init__((Stream("instance"),), classifier)
        self.tau = tau
        self.register_buffer("prior", prior)

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:  # noqa: ARG002  (this loss knows no time)
        (batch,) = batches
        logits = self.classifier(batch.images.flatten(0, 1))
        with full_precision(logits.device):
            return _cross_entropy(adjusted_logits(logits, self.prior, tau=self.tau), batch)


def _cross_entropy(logits: Float[Tensor, "batch classes"], batch: Batch) -> Step:
    """The mean of a batch of one view, weighted; that of a mixed image counts both labels, by their share of it."""
    each = F.cross_entropy(logits, batch.labels, reduction="none")
    if batch.mixed is not None:
        other = F.cross_entropy(logits, batch.mixed.labels, reduction="none")
        each = each.lerp(other, batch.mixed.share.to(each.dtype))
    loss = (each if batch.weights is None else batch.weights.times(each)).mean()
    return Step(loss, {"cross_entropy": loss.detach()}, each.detach())
