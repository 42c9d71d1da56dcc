"""Advice: which recipe and which settings suit somebody's own images, and why."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
import numpy as np
import timm
import torch

from longtail import recipe
from longtail.data import sources
from longtail.data.audit.audit import Sizes, sizes_of
from longtail.data.decode import size_of
from longtail.data.source import PARTS, Listing
from longtail.data.worker_pool import cores
from longtail.recipe import Recipe
from longtail.runs import custom_data

SMALL, LARGE = "own/small", "own/large"

_SMALL = 96  # pixels of a shorter side up to which images are small
_LOOKED_AT = 2000  # images whose headers are read to know their sizes
_WEIGHTS = "model.safetensors"
_PATIENCE = 3.0  # seconds to wait for the server of weights
_WITHOUT_GPU = "resnet18"
_LEAST_BATCH = 16
_BATCHES = 8  # of an epoch at least, or the batch becomes smaller
_RECIPES = ("", ".yaml", ".yml")  # endings of files that are taken for recipes
# Somebody's own data is taken whole, whatever the template does with its own.
_OWN = ("data.name=own", "data.profile=natural", "data.n_max=null", "data.validation=null")
_IN_MEMORY = 2e9  # bytes of images that are kept in memory at most
_SIDES = (128, 160, 192, 224)  # that pretrained networks see well


@dataclass(frozen=True)
class Advice:
    """How to train.

    Args:
        recipe: the template.
        overrides: what to change in it, as `recipe.load` takes it.
        reasons: for the recipe and each override, a line each.
    """

    recipe: str
    overrides: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """The settings of a training.

    Args:
        settings: all of them.
        reasons: why they are what they are, in lines; none where a recipe says it all.
    """

    settings: Recipe
    reasons: tuple[str, ...] = ()


def choose(name: str, overrides: Sequence[str] = (), *, template: str | None = None) -> Chosen:
    """Settings by the name of a recipe, or by the path of somebody's own data.

    Args:
        name: a shipped recipe or the path of a YAML file, as `recipe.load` takes it; or a folder or another file, as
            `sources.read` takes it.
        overrides: what the user has decided; nothing is advised against it.
        template: for data, the recipe to start from; `None`: one that suits the images.
    Raises: ValueError or FileNotFoundError if there is neither, if both bear the name, if the data cannot be read, or
        if a setting is wrong.
    """
    path = Path(name).expanduser()
    kind = "folder" if path.is_dir() else "file"
    if path.exists() and name in recipe.shipped():
        raise ValueError(f"{name} is a shipped recipe, and a {kind} here; for the {kind} say ./{name}")
    is_run = (path / "recipe.yaml").is_file()
    if name and ((path.is_file() and path.suffix.lower() not in _RECIPES) or (path.is_dir() and not is_run)):
        return prepare(path, overrides, template=template)
    if template is not None:
        raise ValueError(f"--recipe is {template}, but {name} is no data; leave it out, or name your images first")
    return Chosen(recipe.load(name, recipe.parse_overrides(overrides)))


def prepare(path: Path, overrides: Sequence[str] = (), *, template: str | None = None) -> Chosen:
    """Read somebody's own data and choose the settings of a training on it.

    Args:
        path: of the data, as `sources.read` takes it.
        overrides: what the user has decided; nothing is advised against it.
        template: the recipe to start from; `None`: one that suits the images.
    Raises: ValueError or FileNotFoundError if the data cannot be read, or a setting is wrong.
    """
    listing = read(path, overrides)
    known = sizes(listing)
    if known is None:
        raise ValueError(f"{path}: none of the images that were tried can be read; longtail audit says why")
    advice = advise(listing, overrides, sizes=known, template=template)
    return Chosen(settled(path, advice, overrides), advice.reasons)


def read(path: Path, overrides: Sequence[str] = ()) -> Listing:
    """Read somebody's own data as the settings say; see `prepare`."""
    of_data = [each for each in overrides if each.strip().startswith("data.")]
    return custom_data.read(recipe.load(SMALL, recipe.parse_overrides([*_of(path), *of_data])).data)


def sizes(listing: Listing) -> Sizes | None:
    """How large the images are, by the headers of up to 2,000 of them; `None` if none of these can be read."""
    source = listing.source
    assert source.encoded
    looked_at = np.unique(np.linspace(0, len(source.labels) - 1, _LOOKED_AT).astype(np.int64))
    found = [size for i in looked_at.tolist() if (size := size_of(source.encoded(i))) is not None]
    return sizes_of(np.array(found)) if found else None


def settled(path: Path, advice: Advice, overrides: Sequence[str] = ()) -> Recipe:
    """All settings: those of the template, then what is advised, then what the user has decided."""
    return recipe.load(advice.recipe, recipe.parse_overrides([*_of(path), *advice.overrides, *overrides]))


def _of(path: Path) -> list[str]:
    whole = path.absolute()
    name = whole.name if whole.is_dir() else whole.stem
    # JSON is YAML, and quotes what is in a path.
    return [f"name={json.dumps(name)}", *_OWN, f"data.path={json.dumps(str(whole))}"]


def advise(listing: Listing, overrides: Sequence[str] = (), *, sizes: Sizes, template: str | None = None) -> Advice:
    """Choose a recipe, and the settings that depend on the images: how many there are, and how large.

    - Up to 96 pixels on the shorter side of half of the images, a small network learns from scratch (`own/small`); for
      larger ones, a network of timm's (`own/large`), from pretrained weights if they are at hand or can be fetched.
    - Without a GPU, the larger network is a ResNet-18.
    - An epoch has at least 8 batches, or a batch 16 images: where there are few images, the batch is smaller than the
      template's, and so is the learning rate.
    - There are as many epochs as make 4,000 steps, but at least 20 and at most 400; with pretrained weights as many as
      make 1,500 steps, between 5 and 100. These numbers are ours.

    Args:
        listing: the data.
        overrides: what the user has decided; it gets no advice.
        sizes: of the images.
        template: the recipe to start from; `None`: one that suits the images. Of a recipe that is not one of the two
            templates, only the batch is changed, if it is too large.
    Raises: ValueError if the template or an override is wrong.
    """
    small = sizes.median <= _SMALL
    chosen = template or (SMALL if small else LARGE)
    settings = recipe.load(chosen, recipe.parse_overrides([*_OWN, *overrides]))
    decided = {each.partition("=")[0].strip() for each in overrides}
    side = f"half of the images have a shorter side of {sizes.median:,} pixels or less"
    other = f"for the other one: --recipe {LARGE if small else SMALL}"
    choices = [_Choice("recipe", chosen, "as you wish" if template else f"{side}; {other}")]
    images = _training_images(listing, settings.data.test_share)
    if chosen in (SMALL, LARGE):
        choices += _size(chosen, sizes)
        choices += _storage(
            settings, decided, sizes, images=len(listing.source.labels), side=_side(choices, settings, decided)
        )
        choices += [*_network(settings, decided), *_batch(settings, images)]
        choices += _epochs(settings, choices, images)
    else:
        choices += _batch(settings, images)
    choices = [choice for choice in choices if choice.setting not in decided]
    return Advice(
        chosen,
        tuple(f"{choice.setting}={choice.value}" for choice in choices if choice.setting != "recipe"),
        tuple(f"{choice.setting}={choice.value}: {choice.reason}" for choice in choices),
    )


class _Choice(NamedTuple):
    setting: str
    value: str
    reason: str


def _training_images(listing: Listing, test_share: float | None) -> int:
    """About how many images there will be to learn from."""
    if listing.parts is None:
        return max(1, round(len(listing.source.labels) * (1 - (0.2 if test_share is None else test_share))))
    return int(np.isin(listing.parts, (-1, PARTS.index("train"))).sum())


def _size(chosen: str, sizes: Sizes) -> Iterator[_Choice]:
    width, height = sizes.usual
    if chosen == LARGE:
        side = max((side for side in _SIDES if side <= sizes.median), default=_SIDES[0])
        yield _Choice("data.image_size", f"{side}", "images are cropped and resized to this square; more sees more")
    elif sizes.kinds == 1 and max(width, height) <= _SMALL:
        yield _Choice("data.image_size", "null", f"all images have {width} x {height} pixels, and stay as they are")
    else:
        side = min(_SMALL, max(32, 8 * round(sizes.median / 8)))
        yield _Choice("data.image_size", f"{side}", f"images have {sizes.kinds:,} sizes, and are made this square")


def _side(choices: Sequence[_Choice], settings: Recipe, decided: set[str]) -> int | None:
    """The side of the square that the user wants, or that will be advised."""
    advised = next(choice.value for choice in choices if choice.setting == "data.image_size")
    if "data.image_size" in decided:
        return settings.data.image_size
    return None if advised == "null" else int(advised)


def _storage(settings: Recipe, decided: set[str], sizes: Sizes, *, images: int, side: int | None) -> Iterator[_Choice]:
    """Where decoded images are kept: in memory, in a file, or nowhere."""
    width, height = sizes.usual
    in_memory = settings.data.in_memory
    seen = 3 * images * (side**2 if side else width * height)
    if in_memory and seen > _IN_MEMORY and "data.in_memory" not in decided:
        in_memory = False
        yield _Choice("data.in_memory", "false", f"in memory, the images would take {seen / 1e9:.1f} GB")
    if not in_memory:
        yield _Choice("data.workers", f"{cores()}", "one process for each core of this machine decodes")
    shrunk = min(1.0, side * 8 / 7 / min(width, height)) if side else 1.0
    packed, room = 3 * images * width * height * shrunk**2, _free(sources.cache_folder())
    if packed > room / 2:
        yield _Choice(
            "data.packed",
            "false",
            f"decoded, the images would take {packed / 1e9:.1f} GB in the cache folder, where {room / 1e9:.1f} GB are "
            "free; each epoch decodes them anew",
        )


def _free(folder: Path) -> int:
    """Bytes that a folder can take, or will be able to when it is made."""
    return shutil.disk_usage(next(each for each in (folder, *folder.absolute().parents) if each.exists())).free


def _network(settings: Recipe, decided: set[str]) -> Iterator[_Choice]:
    network = settings.network
    if not isinstance(network, recipe.Timm):
        return
    name = network.name
    if "network.name" not in decided and not torch.cuda.is_available():
        name = _WITHOUT_GPU
        yield _Choice("network.name", name, f"there is no GPU here, and {network.name} would take much longer")
    if network.weights is None and _at_hand(name):
        yield _Choice("network.pretrained", "true", f"weights of {name} can be had; false: from scratch")
    elif network.weights is None:
        yield _Choice(
            "network.pretrained",
            "false",
            f"weights of {name} are neither in the cache nor within reach, so it learns from scratch; give a file with "
            "--set network.weights=FILE",
        )


def _at_hand(name: str) -> bool:
    """Whether pretrained weights of a model are in the cache, or can be fetched."""
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


def _batch(settings: Recipe, images: int) -> Iterator[_Choice]:
    """A power of 2: at most the recipe's own, and fewer images where there are few."""
    size = max(2, 2 ** int(math.log2(max(images / _BATCHES, min(images, _LEAST_BATCH)))))
    if size < settings.batch_size:
        rate = settings.optimizer.lr * size / settings.batch_size
        yield _Choice("batch_size", f"{size}", f"there are about {images:,} training images")
        yield _Choice("optimizer.lr", f"{rate:.3g}", f"that of the recipe, {settings.optimizer.lr:g}, as the batch")


def _epochs(settings: Recipe, choices: Sequence[_Choice], images: int) -> Iterator[_Choice]:
    values = {choice.setting: choice.value for choice in choices}
    batch = int(values.get("batch_size", settings.batch_size))
    known = isinstance(settings.network, recipe.Timm) and (
        settings.network.weights is not None or values.get("network.pretrained") == "true"
    )
    steps, least, most = (1500, 5, 100) if known else (4000, 20, 400)
    epochs = min(most, max(least, round(steps / max(1, images // batch))))
    start = "from pretrained weights" if known else "from scratch"
    reason = f"about {steps:,} steps {start}, and {least} to {most} epochs; fewer take less time"
    yield _Choice("epochs", f"{epochs}", reason)
