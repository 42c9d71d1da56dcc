"""What a method is: what it needs, what it minimises, how it predicts."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from longtail.data import class_counts
from longtail.data.batches import Batch, Stream
from longtail.networks import ImageClassifier, Images
from longtail.optim.schedules import Clock


class Step(NamedTuple):
    """What one forward pass gives.

    Args:
        loss: `()`, to be minimised.
        terms: parts of it for the log, `()` each, detached; the mean over processes is logged.
        each: `(B,)`, the loss of each image, detached and before weights; `None`: there is none, and no sampler can go
            by it.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    each: Tensor | None = None


class Method(nn.Module):
    """A way to learn.

    All that is trained or accumulated is a parameter or buffer here; what time it is comes as an argument.

    Args:
        streams: the batches it wants in each step.
        classifier: the network that predicts, and all that is kept after training.
    """

    def __init__(self, streams: tuple[Stream, ...], classifier: ImageClassifier) -> None:
        super().__init__()
        self.streams, self.classifier = streams, classifier

    def forward(self, batches: tuple[Batch, ...], clock: Clock) -> Step:
        """Compute the loss of one step, in a single call, so that a wrapper for several processes sees one forward."""
        raise NotImplementedError

    def predict(self, images: Images) -> Float[Tensor, "batch classes"]:
        """Logits of normalised images."""
        return self.classifier(images)

    def assumed_prior(self, train_counts: class_counts.Counts) -> Float[np.ndarray, " classes"]:
        """The distribution of classes that the predicted probabilities assume, by which another one can be put in.

        Uniform over the classes with training images, unless a method says otherwise: most draw classes equally often,
        or take their frequency into account, to that end.

        Args:
            train_counts: `(C,)` training images per class.
        Returns: `(C,)` probabilities that sum to 1; 0 for a class without training images.
        """
        return class_counts.priors((train_counts > 0).astype(np.int64))


def full_precision(device: torch.device) -> torch.autocast:
    """A context without autocast, for losses: see `losses.at_least_float32` for what it would cost them."""
    return torch.autocast(device.type, enabled=False)
