"""Networks: backbones that turn images into features, and heads on top of them."""

import difflib
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.convolution import Conv3x3
from longtail.mirrored import Lifting, MirroredConv3x3, MirroredNorm, mean_of_copies

Images = Float[Tensor, "batch 3 height width"]
_STEM = 24  # channels of airbench's first layer


class Backbone(nn.Module):
    """Turns images into one feature vector each; `dim` is the length of that vector."""

    dim: int

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        raise NotImplementedError


def conv(channels_in: int, channels_out: int, *, stride: int = 1, mirrored: bool = False) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size (at stride 1), without bias: a normalisation follows it."""
    if mirrored:
        assert stride == 1
        return MirroredConv3x3(channels_in, channels_out)
    if stride == 1:
        return Conv3x3(channels_in, channels_out)
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)


def norm(channels: int, *, mirrored: bool) -> nn.Module:
    """Batch normalisation."""
    return MirroredNorm(channels) if mirrored else nn.BatchNorm2d(channels)


class _BasicBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters (option A of He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, mirrored: bool = False) -> None:
        super().__init__()
        assert channels_in == channels_out or not mirrored, "zeros would come between the copies"
        self.conv1 = conv(channels_in, channels_out, stride=stride, mirrored=mirrored)
        self.norm1 = norm(channels_out, mirrored=mirrored)
        self.conv2 = conv(channels_out, channels_out, mirrored=mirrored)
        self.norm2 = norm(channels_out, mirrored=mirrored)
        self.stride, self.padding = stride, (channels_out - channels_in) // 2

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.padding:
            # Every second pixel, and zeros on both sides of the channels.
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(y + x)


class ResNet32(Backbone):
    """The CIFAR ResNet-32 of the long-tail literature: 16, 32 and 64 channels, 5 blocks each, option-A shortcuts.

    0.46 million parameters with its classifier (464,154 for 10 classes). Papers that call a network of 64, 128 and
    256 channels "ResNet-32" are not comparable.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2; the variant and the initialisation (Kaiming normal) are
        those of LDAM (Cao et al. 2019) and BBN (Zhou et al. 2020).

    >>> ResNet32()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    """

    dim = 64

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = conv(3, 16), nn.BatchNorm2d(16)
        widths = [16] * 6 + [32] * 5 + [64] * 5
        self.blocks = nn.Sequential(*(_BasicBlock(a, b, stride=b // a) for a, b in pairwise(widths)))
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        x = F.relu(self.norm(self.stem(images)))
        return self.blocks(x).mean((2, 3))


class _ConvNormReLU(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, *, pool: int = 1) -> None:
        layers = [conv(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.ReLU()]
        super().__init__(*layers, *([nn.MaxPool2d(pool)] if pool > 1 else []))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_ConvNormReLU(channels, channels), _ConvNormReLU(channels, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.branch(x)


class ResNet9(Backbone):
    """A wide, shallow residual network that is fast on small images: few, large convolutions.

    At the default width 1.6 million parameters and 96 million multiply-adds at 32 x 32 pixels: 1.4 times the work of
    ResNet-32 in a third of its layers. Images need at least 8 x 8 pixels.

    Args:
        width: channels of the first layer, at least 1; the others have 2, 4 and 8 times as many.
    Source: the DAWNBench residual network of David Page, "How to train your ResNet" (2018), half as wide.

    >>> ResNet9()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 256])
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.dim = 8 * width
        self.layers = nn.Sequential(
            _ConvNormReLU(3, width),
            _ConvNormReLU(width, 2 * width, pool=2),
            _Residual(2 * width),
            _ConvNormReLU(2 * width, 4 * width, pool=2),
            _ConvNormReLU(4 * width, 8 * width, pool=2),
            _Residual(8 * width),
        )
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        return self.layers(images).amax((2, 3))


class _Stage(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int, *, depth: Literal[2, 3], mirrored: bool) -> None:
        layers = [
            conv(channels_in, channels_out, mirrored=mirrored),
            nn.MaxPool2d(2),  # before the normalisation, which then has a quarter of the work
            norm(channels_out, mirrored=mirrored),
            nn.ReLU(),
        ]
        if depth == 2:
            layers += [
                conv(channels_out, channels_out, mirrored=mirrored),
                norm(channels_out, mirrored=mirrored),
                nn.ReLU(),
            ]
        else:
            layers.append(_BasicBlock(channels_out, channels_out, stride=1, mirrored=mirrored))
        super().__init__(*layers)


class Airbench(Backbone):
    """Three stages of two or three convolutions, which pool before they normalise, after one of 2 x 2.

    At the default width and depth 1.2 million parameters and 81 million multiply-adds at 32 x 32 pixels; with three
    convolutions a stage 1.9 million and 109 million. If mirrored it has half of the parameters and the same
    multiply-adds. Images need at least 8 x 8 pixels. A mirrored network's features of an image and its mirror image are
    the same, up to rounding, if the width is a multiple of 8: of other widths, pooling drops columns on the right.

    Args:
        width: channels of the first stage, at least 1, an even number if mirrored; the others have 2 and 4 times that.
        depth: convolutions a stage, 2 or 3; with 3 there is a shortcut around the last two.
        mirrored: give an image and its mirror image the same features, by layers that are equivariant to reflection. It
            is for classes of which a mirror image, left to right, is as good an example, so not for letters and digits.
    Source: the networks of Keller Jordan's airbench, arXiv:2404.00498, sections 3.1 (depth 2) and 4 (depth 3). Here all
        of it is learned, the first layer and the scales of the normalisations too, with ReLU for GELU, Kaiming's
        initialisation, other widths, zeros above and on the left of the image and logits as they are. Mirrored: see
        `longtail.mirrored`.

    >>> Airbench()(torch.zeros(2, 3, 32, 32)).shape, Airbench(mirrored=True)(torch.zeros(2, 3, 32, 32)).shape
    (torch.Size([2, 256]), torch.Size([2, 128]))
    """

    def __init__(self, width: int = 64, *, depth: Literal[2, 3] = 2, mirrored: bool = False) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.dim = 2 * width if mirrored else 4 * width
        self.stem = Lifting(3, _STEM) if mirrored else nn.Conv2d(3, _STEM, 2)
        widths = (_STEM, width, 2 * width, 4 * width)
        self.stages = nn.Sequential(*(_Stage(a, b, depth=depth, mirrored=mirrored) for a, b in pairwise(widths)))
        initialise(self)

    def forward(self, images: Images) -> Float[Tensor, "batch dim"]:
        if not self.mirrored:
            # Zeros above and left only, which keeps the size: pooling would drop what becomes of a row more, and rows
            # of 33 pixels cost more than their part where a processor takes 16 or 32 at once.
            images = F.pad(images, (1, 0, 1, 0))
        features = self.stages(F.relu(self.stem(images))).amax((2, 3))
        return mean_of_copies(features) if self.mirrored else features


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


class CosineClassifier(nn.Module):
    """Logits are scaled cosines between features and one weight vector per class: no class wins by a longer vector.

    Args:
        dim: length of the features, at least 1.
        classes: number of classes C, at least 1.
        scale: of the cosine, above 0; logits lie in `[-scale, scale]`.
    Source: the normalised linear layer of LDAM (Cao et al. 2019), scale 30.

    >>> CosineClassifier(4, 3, scale=30.0)(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, dim: int, classes: int, *, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim))
        self.scale = scale

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch classes"]:
        return self.scale * F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).T


class LinearClassifier(nn.Linear):
    """One linear layer, initialised as the CIFAR networks of LDAM are (Kaiming normal weights).

    >>> LinearClassifier(4, 3)(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        initialise(self)


class ProjectionMLP(nn.Sequential):
    """From features to the space of the contrastive loss: one hidden layer with ReLU. The loss normalises.

    Args:
        dim: length of the features.
        hidden: width of the hidden layer.
        out: length of the embeddings.
    Source: Wang et al. 2021, arXiv:2103.14267, "an MLP with one hidden layer"; the widths are our choice.

    >>> ProjectionMLP(64, hidden=64, out=128)(torch.ones(2, 64)).shape
    torch.Size([2, 128])
    """

    def __init__(self, dim: int, *, hidden: int, out: int) -> None:
        super().__init__(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, out))


class ImageClassifier(nn.Module):
    """A backbone and a classifier: all that prediction needs.

    Args:
        backbone: images to features.
        head: features to logits.

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

    >>> parameters_in_millions(ImageClassifier(ResNet32(), LinearClassifier(64, 10)))
    0.464154
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad) / 1e6
