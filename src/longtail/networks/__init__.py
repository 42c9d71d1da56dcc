"""Networks: backbones that turn images into features, and heads on top of them."""

from longtail.networks.airbench import Airbench, MirroredAirbench
from longtail.networks.base import Backbone, ImageClassifier, Images, initialise, parameters_in_millions
from longtail.networks.heads import CosineClassifier, LinearClassifier, ProjectionMLP
from longtail.networks.resnet import ResNet9, ResNet32
from longtail.networks.timm import TimmBackbone

__all__ = [
    "Airbench",
    "Backbone",
    "CosineClassifier",
    "ImageClassifier",
    "Images",
    "LinearClassifier",
    "MirroredAirbench",
    "ProjectionMLP",
    "ResNet9",
    "ResNet32",
    "TimmBackbone",
    "initialise",
    "parameters_in_millions",
]
