"""Losses: tensors in, a scalar out; no device, rank, epoch or recipe is known here."""

from longtail.losses.contrastive import anchors_without_positive, prototypical, supervised_contrastive

__all__ = ["anchors_without_positive", "prototypical", "supervised_contrastive"]
