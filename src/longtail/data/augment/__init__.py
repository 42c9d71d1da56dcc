"""Augmentation: random changes of images, drawn by key and done on the device to a whole batch."""

from longtail.data.augment.pipeline import Augmentation, Jitter, Parameters, augment, draw, mixed, normalise, small

__all__ = ["Augmentation", "Jitter", "Parameters", "augment", "draw", "mixed", "normalise", "small"]
