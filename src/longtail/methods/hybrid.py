"""Hybrid networks: a contrastive branch learns the features, a cross-entropy branch the classifier."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.data.batches import Batch, Stream
from longtail.losses import anchors_without_positive, at_least_float32, prototypical, supervised_contrastive
from longtail.methods.base import Method, Step, full_precision
from longtail.methods.gradient_cache import in_chunks
from longtail.networks import ImageClassifier, ProjectionMLP
from longtail.optim.schedules import Clock
from longtail.runtime.distributed import gather

Alpha = Callable[[Clock], float]


class _Hybrid(Method):
    """Two branches on one backbone: `alpha * contrast + (1 - alpha) * cross-entropy`.

    The feature branch sees two views of naturally drawn images, the classifier branch one view of class-balanced
    ones; both go through the backbone in one pass, so batch statistics are shared.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projection: nn.Module,
        *,
        temperature: float,
        alpha: Alpha,
        chunk: int | None = None,
    ) -> None:
        super().__init__((Stream("instance", views=2), Stream("balanced")), classifier)
        self.projection, self.temperature, self.alpha, self.chunk = projection, temperature, alpha, chunk

    def contrast(
        self, embeddings: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The loss of the feature branch, and what else of it is worth a line in the log."""
        raise NotImplementedError

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:
        natural, balanced = batches
        views = natural.images.flatten(0, 1)  # (V * B, 3, H, W)
        features = in_chunks(self.classifier.backbone, torch.cat([views, balanced.images.flatten(0, 1)]), self.chunk)
        embeddings = self.projection(features[: len(views)])
        logits = self.classifier.head(features[len(views) :])
        alpha = self.alpha(clock)
        with full_precision(features.device):
            contrast, terms = self.contrast(embeddings, natural.labels.repeat(len(natural.images)))
            cross_entropy = F.cross_entropy(at_least_float32(logits), balanced.labels)
            loss = alpha * contrast + (1 - alpha) * cross_entropy
        terms = {"contrast": contrast.detach(), "cross_entropy": cross_entropy.detach(), **terms}
        return Step(loss, terms | {"alpha": loss.new_tensor(alpha)})


class HybridSC(_Hybrid):
    """Hybrid network with the supervised contrastive loss.

    Embeddings of all processes are compared with each other, so time grows with the square of the batch.

    Args:
        classifier: the network that predicts; the classifier branch.
        projection: features to embeddings; the feature branch.
        temperature: of the contrastive loss, above 0.
        alpha: weight of the feature branch at a time.
        chunk: images that go through the backbone at once, see `in_chunks`; `None` is all.
    Source: Wang et al. 2021, arXiv:2103.14267, Hybrid-SC.
    """

    def contrast(
        self, embeddings: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        embeddings, labels = gather(embeddings), gather(labels)
        loss = supervised_contrastive(embeddings, labels, temperature=self.temperature)
        return loss, {"anchors_without_positive": anchors_without_positive(labels)}


class HybridPSC(_Hybrid):
    """Hybrid network with the prototypical supervised contrastive loss.

    Embeddings are compared with class prototypes, so time and memory grow with the number of classes.

    Args:
        classifier: the network that predicts; the classifier branch.
        projection: features to embeddings of length D; the feature branch.
        classes: number of classes C, at least 2.
        temperature: of the contrastive loss, above 0.
        alpha: weight of the feature branch at a time.
        prototypes_per_class: M, at least 1.
        chunk: images that go through the backbone at once, see `in_chunks`; `None` is all.
    Source: Wang et al. 2021, arXiv:2103.14267, Hybrid-PSC; prototypes as a learned parameter are our reading.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projection: ProjectionMLP,
        *,
        classes: int,
        temperature: float,
        alpha: Alpha,
        prototypes_per_class: int = 1,
        chunk: int | None = None,
    ) -> None:
        super().__init__(classifier, projection, temperature=temperature, alpha=alpha, chunk=chunk)
        # Random directions; the length is 1 so that the first steps turn them as fast as weight decay and rate suggest.
        self.prototypes = nn.Parameter(F.normalize(torch.randn(classes, prototypes_per_class, projection.dim), dim=2))

    def contrast(
        self, embeddings: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        return prototypical(embeddings, labels, self.prototypes, temperature=self.temperature), {}
