"""Backbones of the timm library, from its pretrained weights or from a file."""

import difflib
from pathlib import Path
from typing import Any, cast

import timm
from jaxtyping import Float
from torch import Tensor

from longtail.networks.base import Backbone, Images


class TimmBackbone(Backbone):
    """Any image classification model of the `timm` library, without its classifier.

    Args:
        name: as in `timm.list_models()`.
        pretrained: start from the library's pretrained weights, which it fetches or finds in its cache.
        weights: start from a file of weights instead, named as the library's: safetensors, or a state dict of torch,
            maybe inside of a checkpoint. Those of its classifier are left out.
    Raises: ValueError if the name is unknown (the nearest are named), or the weights cannot be had or do not fit.

    >>> TimmBackbone("resnet10t", pretrained=False).dim
    512
    """

    def __init__(self, name: str, *, pretrained: bool, weights: Path | None = None) -> None:
        super().__init__()
        # A tag, as in "resnet50.a1_in1k", names one set of weights.
        if not timm.is_model(name) or ("." in name and not timm.is_model_pretrained(name)):
            nearest = difflib.get_close_matches(name, timm.list_models() + timm.list_models(pretrained=True))
            hint = f"did you mean {' or '.join(nearest)}?" if nearest else "see timm.list_models()"
            raise ValueError(f"unknown timm model {name!r}; {hint}")
        try:
            self.model = timm.create_model(name, pretrained=pretrained, num_classes=0)
        # The library and the clients below it raise whatever their network layer raises: all of it means the same here.
        except Exception as error:
            if not pretrained:
                raise
            raise ValueError(
                f"pretrained weights of {name!r} cannot be had ({type(error).__name__}); "
                "connect to the network, fill the cache that HF_HOME names, or set network.pretrained to false"
            ) from error
        # Not `num_features`, which some models (MobileNetV3, VGG, ...) widen once more before the classifier.
        self.dim = cast(int, self.model.head_hidden_size)
        if weights is not None:
            _load(self.model, weights, name)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        return self.model(images)


def _load(model: Any, file: Path, name: str) -> None:
    """Load weights into a model of timm's without its classifier: all that it has, and no others."""
    try:
        values = timm.models.load_state_dict(str(file))
    except Exception as error:  # torch and safetensors raise whatever they like for a file that is something else
        raise ValueError(f"{file} cannot be read as weights of a network ({type(error).__name__})") from error
    classifiers = model.pretrained_cfg["classifier"]
    for layer in (classifiers,) if isinstance(classifiers, str) else classifiers or ():
        values.pop(f"{layer}.weight", None)
        values.pop(f"{layer}.bias", None)
    try:
        missing, unknown = model.load_state_dict(values, strict=False)
    except RuntimeError as error:  # other shapes
        raise ValueError(f"{file} does not fit network {name}: {' '.join(str(error).split())}") from error
    for keys, fault in ((missing, "lacks"), (unknown, "has")):
        if keys:
            raise ValueError(f"{file} does not fit network {name}: it {fault} {keys[0]} ({len(keys)} such in all)")
