"""Losses: tensors in, a scalar out; no device, rank, epoch or recipe is known here."""

from longtail.losses.classification import adjusted_logits, logit_adjusted, smoothed_cross_entropy
from longtail.losses.contrastive import anchors_without_positive, prototypical, supervised_contrastive
from longtail.losses.precision import at_least_float32

__all__ = [
    "adjusted_logits",
    "anchors_without_positive",
    "at_least_float32",
    "logit_adjusted",
    "prototypical",
    "smoothed_cross_entropy",
    "supervised_contrastive",
]
