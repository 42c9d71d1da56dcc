"""Backbones and classifiers: what every network here is."""

from jaxtyping import Float
from torch import Tensor, nn

Images = Float[Tensor, "batch 3 height width"]


class Backbone(nn.Module):
    """Turns images into one feature vector each; `dim` is the length of that vector."""

    dim: int

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        raise NotImplementedError


class ImageClassifier(nn.Module):
    """A backbone and a classifier: all that prediction needs.

    Args:
        backbone: images to features.
        head: features to logits.

    >>> import torch
    >>> from longtail.networks import LinearClassifier, ResNet32
    >>> ImageClassifier(ResNet32(), LinearClassifier(64, 10))(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Images) -> Float[Tensor, "batch classes"]:
        return self.head(self.backbone(images))


def initialise(module: nn.Module) -> None:
    """Draw the weights of all convolutions and linear layers from Kaiming's normal distribution, in place."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight)


def parameters_in_millions(module: nn.Module) -> float:
    """Number of trainable parameters, in millions.

    >>> from longtail.networks import LinearClassifier, ResNet32
    >>> parameters_in_millions(ImageClassifier(ResNet32(), LinearClassifier(64, 10)))
    0.464154
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad) / 1e6
