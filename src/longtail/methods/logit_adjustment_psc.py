"""A classification loss and a contrastive one of the same images: one forward pass for both."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.data.batches import Batch
from longtail.losses import prototypical
from longtail.methods.base import Step, full_precision
from longtail.methods.classification import LogitAdjustment
from longtail.networks import ImageClassifier
from longtail.optim.schedules import Clock


class LogitAdjustmentPSC(LogitAdjustment):
    """Logit adjustment, and the prototypical contrastive loss of the same view of the same images added to it.

    A hybrid network shows its two branches three views an image, this method shows one. Its images are drawn as they
    come, so rare classes are rare in the contrastive loss, and the classifier keeps its full weight to the end.

    Args:
        classifier: the network that predicts.
        projection: features to embeddings of length `dim`.
        prior: `(C,)`, how frequent classes are in training, as shares; C is at least 2.
        tau: how much that counts, above 0.
        smoothing: share of the target that classes have by `prior ** tau`, in `[0, 1)`; not of the contrastive loss.
        dim: length of the embeddings.
        temperature: of the contrastive loss, above 0.
        weight: of the contrastive loss, times `alpha`; above 0.
        alpha: weight of the contrastive loss at a time.
    Source: the losses of Menon et al. 2021, arXiv:2007.07314, and Wang et al. 2021, arXiv:2103.14267; that they share
        a batch is ours.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projection: nn.Module,
        *,
        prior: Float[Tensor, " classes"],
        tau: float,
        smoothing: float = 0.0,
        dim: int,
        temperature: float,
        weight: float,
        alpha: Callable[[Clock], float],
    ) -> None:
        super().__init__(classifier, prior=prior, tau=tau, smoothing=smoothing)
        self.projection, self.temperature, self.weight, self.alpha = projection, temperature, weight, alpha
        self.prototypes = nn.Parameter(F.normalize(torch.randn(len(prior), dim), dim=1))

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:
        (batch,) = batches
        features = self.classifier.backbone(batch.images.flatten(0, 1))
        embeddings = self.projection(features)
        loss, terms, _ = self.step(self.classifier.head(features), batch)
        alpha = self.weight * self.alpha(clock)
        with full_precision(features.device):
            contrast = prototypical(embeddings, batch.labels, self.prototypes, temperature=self.temperature)
            loss = loss + alpha * contrast
        return Step(loss, terms | {"contrast": contrast.detach(), "alpha": loss.new_tensor(alpha)})
