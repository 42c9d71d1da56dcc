"""One branch: a classifier and a classification loss, nothing else."""

from torch.nn import functional as F

from longtail.data.batches import Batch, Sampling, Stream
from longtail.losses import at_least_float32
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
            loss = F.cross_entropy(at_least_float32(logits), batch.labels)
        return Step(loss, {"cross_entropy": loss.detach()})
