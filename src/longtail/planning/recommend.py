"""Recommendations: which recipe and which settings suit custom data, and why."""

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import huggingface_hub
import numpy as np
import timm
import torch

from longtail import recipe
from longtail.data import sources
from longtail.data.audit.audit import Sizes
from longtail.data.crops import resized_side
from longtail.data.source import PARTS, Listing
from longtail.data.worker_pool import cores
from longtail.recipe import Recipe
from longtail.recipe.data import TEST_SHARE

Value = TypeVar("Value")

SMALL, LARGE = "own/small", "own/large"
# Custom data is taken whole, whatever the template does with its own.
WHOLE: Mapping[str, object] = MappingProxyType(
    {"data.name": "own", "data.profile": "natural", "data.n_max": None, "data.validation": None}
)

_SMALL = 96  # pixels of a shorter side up to which images are small
_WEIGHTS = "model.safetensors"
_PATIENCE = 3.0  # seconds to wait for the server of weights
_WITHOUT_GPU = "resnet18"
_LEAST_BATCH = 16
_BATCHES = 8  # of an epoch at least, or the batch becomes smaller
_IN_MEMORY = 2e9  # bytes of images that are kept in memory at most
_SIDES = (128, 160, 192, 224)  # that pretrained networks see well


@dataclass(frozen=True)
class Choice(Generic[Value]):
    """The value of a setting, and the reason for it."""

    value: Value
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """How to train.

    Args:
        recipe: the template.
        choices: what to change in it, by the dotted names of settings.
    """

    recipe: Choice[str]
    choices: Mapping[str, Choice[Any]]

    @property
    def overrides(self) -> dict[str, object]:
        """The changes, as `recipe.load` takes them."""
        return {setting: choice.value for setting, choice in self.choices.items()}

    @property
    def reasons(self) -> tuple[str, ...]:
        """For the recipe and each change, a line."""
        lines = {"recipe": self.recipe, **self.choices}
        return tuple(f"{_assignment(setting, choice.value)}: {choice.reason}" for setting, choice in lines.items())

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values, for JSON; changes as the command line takes them."""
        changes = [_assignment(setting, value) for setting, value in self.overrides.items()]
        return {"recipe": self.recipe.value, "overrides": changes, "reasons": [*self.reasons]}


def _assignment(setting: str, value: object) -> str:
    return f"{setting}={value if isinstance(value, str) else json.dumps(value)}"


def weights_available(name: str) -> bool:
    """Whether pretrained weights of a model of timm's are in the cache, or can be fetched."""
    found = timm.get_pretrained_cfg(name)
    if found is None or not found.hf_hub_id:
        return False
    if huggingface_hub.try_to_load_from_cache(found.hf_hub_id, _WEIGHTS) is not None:
        return True
    try:
        url = huggingface_hub.hf_hub_url(found.hf_hub_id, _WEIGHTS)
        huggingface_hub.get_hf_file_metadata(url, timeout=_PATIENCE)
    except Exception:  # noqa: BLE001 - whatever the network raises means the same here
        return False
    return True


def recommend(
    listing: Listing,
    overrides: Mapping[str, object] = MappingProxyType({}),
    *,
    sizes: Sizes,
    template: str | None = None,
    available: Callable[[str], bool] = weights_available,
) -> Recommendation:
    """Choose a recipe, and the settings that depend on the images: how many there are, and how large.

    - Up to 96 pixels on the shorter side of half of the images, a small network learns from scratch (`own/small`); for
      larger ones, a network of timm's (`own/large`), from pretrained weights if they are in the cache or can be
      fetched.
    - Without a GPU, the larger network is a ResNet-18.
    - An epoch has at least 8 batches, or a batch 16 images: where there are few images, the batch is smaller than the
      template's, and so is the learning rate.
    - There are as many epochs as make 4,000 steps, but at least 20 and at most 400; with pretrained weights as many as
      make 1,500 steps, between 5 and 100. These numbers are ours.

    Args:
        listing: the data.
        overrides: what the user has decided; nothing is recommended for it.
        sizes: of the images.
        template: the recipe to start from; `None`: one that suits the images. Of a recipe that is not one of the two
            templates, only the batch is changed, if it is too large.
        available: whether pretrained weights of a network can be had, by its name.
    Raises: ValueError if the template or an override is wrong.
    """
    small = sizes.median <= _SMALL
    chosen = template or (SMALL if small else LARGE)
    settings = recipe.load(chosen, {**WHOLE, **overrides})
    if template:
        reason = "as you wish"
    else:
        side = f"half of the images have a shorter side of {sizes.median:,} pixels or less"
        reason = f"{side}; for the other one: --recipe {LARGE if small else SMALL}"
    images = _training_images(listing, settings.data.test_share)
    choices = dict[str, Choice[Any]]()
    if chosen in (SMALL, LARGE):
        choices["data.image_size"] = size = _image_size(chosen, sizes)
        side = settings.data.image_size if "data.image_size" in overrides else size.value
        choices.update(_storage(settings, overrides, sizes, images=len(listing.source.labels), side=side))
        network = dict(_network(settings, overrides, available))
        batch = dict(_batch(settings, images))
        choices |= network | batch
        pretrained = settings.network.weights is not None if isinstance(settings.network, recipe.Timm) else False
        pretrained = network["network.pretrained"].value if "network.pretrained" in network else pretrained
        size_of_batch = batch["batch_size"].value if batch else settings.batch_size
        choices["epochs"] = _epochs(max(1, images // size_of_batch), pretrained=pretrained)
    else:
        choices.update(_batch(settings, images))
    return Recommendation(
        Choice(chosen, reason),
        {setting: choice for setting, choice in choices.items() if setting not in overrides},
    )


def _training_images(listing: Listing, test_share: float | None) -> int:
    """About how many images there will be to learn from."""
    if listing.parts is None:
        return max(1, round(len(listing.source.labels) * (1 - (TEST_SHARE if test_share is None else test_share))))
    return int(np.isin(listing.parts, (-1, PARTS.index("train"))).sum())


def _image_size(chosen: str, sizes: Sizes) -> Choice[int | None]:
    width, height = sizes.usual
    if chosen == LARGE:
        side = max((side for side in _SIDES if side <= sizes.median), default=_SIDES[0])
        return Choice(side, "images are cropped and resized to this square; more sees more")
    if sizes.kinds == 1 and max(width, height) <= _SMALL:
        return Choice(None, f"all images have {width} x {height} pixels, and stay as they are")
    side = min(_SMALL, max(32, 8 * round(sizes.median / 8)))
    return Choice(side, f"images have {sizes.kinds:,} sizes, and are made this square")


def _storage(
    settings: Recipe, decided: Mapping[str, object], sizes: Sizes, *, images: int, side: int | None
) -> Iterator[tuple[str, Choice[Any]]]:
    """Where decoded images are kept: in memory, in a file, or nowhere."""
    width, height = sizes.usual
    in_memory = settings.data.in_memory
    needed = 3 * images * (side**2 if side else width * height)
    if in_memory and needed > _IN_MEMORY and "data.in_memory" not in decided:
        in_memory = False
        yield "data.in_memory", Choice(False, f"in memory, the images would take {needed / 1e9:.1f} GB")
    if not in_memory:
        yield "data.workers", Choice(cores(), "one process for each core of this machine decodes")
    shrunk = min(1.0, resized_side(side) / min(width, height)) if side else 1.0
    cached, room = 3 * images * width * height * shrunk**2, _free(sources.cache_folder())
    if cached > room / 2:
        yield (
            "data.packed",
            Choice(
                False,
                f"decoded, the images would take {cached / 1e9:.1f} GB in the cache folder, where {room / 1e9:.1f} GB "
                "are free; each epoch decodes them anew",
            ),
        )


def _free(folder: Path) -> int:
    """Bytes that a folder can take, or will be able to when it is made."""
    return shutil.disk_usage(next(each for each in (folder, *folder.absolute().parents) if each.exists())).free


def _network(
    settings: Recipe, decided: Mapping[str, object], available: Callable[[str], bool]
) -> Iterator[tuple[str, Choice[Any]]]:
    network = settings.network
    if not isinstance(network, recipe.Timm):
        return
    name = network.name
    if "network.name" not in decided and not torch.cuda.is_available():
        name = _WITHOUT_GPU
        yield "network.name", Choice(name, f"there is no GPU here, and {network.name} would take much longer")
    if network.weights is not None:
        return
    if available(name):
        yield "network.pretrained", Choice(True, f"weights of {name} can be had; false: from scratch")
    else:
        yield (
            "network.pretrained",
            Choice(
                False,
                f"weights of {name} are neither in the cache nor within reach, so it learns from scratch; give a file "
                "with --set network.weights=FILE",
            ),
        )


def _batch(settings: Recipe, images: int) -> Iterator[tuple[str, Choice[Any]]]:
    """A power of 2: at most the recipe's own, and fewer images where there are few."""
    size = max(2, 2 ** int(math.log2(max(images / _BATCHES, min(images, _LEAST_BATCH)))))
    if size < settings.batch_size:
        own = settings.optimizer.lr
        yield "batch_size", Choice(size, f"there are about {images:,} training images")
        rate = float(f"{own * size / settings.batch_size:.3g}")  # three digits are what a person would write
        yield "optimizer.lr", Choice(rate, f"that of the recipe, {own:g}, as the batch")


def _epochs(steps_per_epoch: int, *, pretrained: bool) -> Choice[int]:
    steps, least, most = (1500, 5, 100) if pretrained else (4000, 20, 400)
    start = "from pretrained weights" if pretrained else "from scratch"
    return Choice(
        min(most, max(least, round(steps / steps_per_epoch))),
        f"about {steps:,} steps {start}, and {least} to {most} epochs; fewer take less time",
    )
