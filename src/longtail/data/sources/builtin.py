"""Data sets by name: digits, CIFAR, iNaturalist 2018."""

import http.client
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from longtail.data.source import Pixels, Source
from longtail.data.sources.hf_parquet import check_complete, class_names_of, open_parquet, read_parquet
from longtail.data.sources.images import file_names, labelled, of_files
from longtail.text import one_line

Name = Literal["digits", "cifar10", "cifar100", "inaturalist2018"]
Split = Literal["train", "test"]

NAMES: tuple[Name, ...] = get_args(Name)


def load(name: Name, split: Split, *, data_root: Path | None = None, download: bool = False) -> Source:
    """Open one split of a data set by name.

    Args:
        name: one of `NAMES`.
        split: the official split; for iNaturalist, whose test labels are not public, "test" is the validation split.
        data_root: the folder that holds the data, or holds a folder with the data set's name; `None` looks into the
            environment variable `LONGTAIL_DATA` and then the cache folder.
        download: fetch CIFAR's official archive when it is not found, into a folder with the data set's name where
            `data_root` would be looked into.
    Raises: ValueError if the name is unknown, or a file is damaged; FileNotFoundError, naming the places looked at,
        if the data is not found.

    >>> source = load("digits", "test")
    >>> len(source.labels), source.image(0).shape
    (500, (16, 16, 3))
    """
    match name:
        case "digits":
            return _digits(split)
        case "cifar10" | "cifar100":
            return _cifar(name, split, data_root, download)
        case "inaturalist2018":
            return _inaturalist(split, data_root)
        case _:
            raise ValueError(f"data set {name!r} is unknown; allowed: {', '.join(NAMES)}")


def cache_folder() -> Path:
    """The folder into which data is downloaded when no other is named: `~/.cache/longtail`, or as XDG says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longtail"


def _places(name: Name, data_root: Path | None) -> list[Path]:
    """Folders that may hold a data set, best first. A folder named by the user is the only one looked into."""
    variable = os.environ.get("LONGTAIL_DATA")
    root = data_root or (Path(variable).expanduser() if variable else cache_folder())
    return [root / name, root]


def _not_found(name: Name, places: Sequence[Path], advice: str) -> FileNotFoundError:
    looked = ", ".join(str(place) for place in places)
    return FileNotFoundError(f"{name} not found; looked in {looked}; {advice}")


# --- scikit-learn's digits: 1,797 images of 8 x 8 pixels, part of an installed package --------------------------------


def _digits(split: Split) -> Source:
    """50 images of each digit are the test split, chosen once and for all; the other 124 to 133 are for training."""
    from sklearn.datasets import load_digits  # a second of import that nobody else should pay

    data: Any = load_digits()
    labels = data.target.astype(np.int64)
    rng = np.random.default_rng(0)
    test = np.concatenate([rng.permutation(np.flatnonzero(labels == digit))[:50] for digit in range(10)])
    chosen = np.sort(test if split == "test" else np.setdiff1d(np.arange(len(labels)), test))
    # Grey levels are 0 to 16; pixels are doubled so that a network may halve the size three times.
    pixels = np.round(data.images[chosen] * (255 / 16)).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    names = tuple(str(digit) for digit in range(10))
    return Source(labels[chosen], names, partial(_grey, pixels), [f"digits/{i}" for i in chosen])


def _grey(pixels: np.ndarray, index: int) -> Pixels:
    return pixels[index, :, :, None].repeat(3, axis=2)


# --- CIFAR: the Hub's parquet files, or the official archives ---------------------------------------------------------

# The column of labels, and by what the data set is told from others with a column of that name.
_LABEL_COLUMN = {"cifar10": "label", "cifar100": "fine_label"}
_CLASSES = {"cifar10": (10, "airplane"), "cifar100": (100, "apple")}


def _cifar(name: Literal["cifar10", "cifar100"], split: Split, data_root: Path | None, download: bool) -> Source:
    places = _places(name, data_root)
    files, others = _parquet_files(name, split, places)
    if files:
        return read_parquet(files, label_column=_LABEL_COLUMN[name])
    from torchvision import datasets  # heavy, and of use only when there is no parquet

    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    for place in places:
        if (place / kind.base_folder).is_dir() or (place / kind.filename).is_file():
            return _archive(kind, place, split, download=download)
    if download:
        return _archive(kind, places[0], split, download=True)
    raise _not_found(
        name,
        places,
        f"put there the parquet files of the Hub's uoft-cs/{name} or the official {kind.filename}, "
        "name another folder with --data-root or LONGTAIL_DATA, or let --download fetch the archive"
        + (f" (passed over, as it is not {name}: {', '.join(map(str, others))})" if others else ""),
    )


def _parquet_files(name: str, split: Split, places: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The parts of a split, from the first folder that holds this data set; and files of others, passed over."""
    others = []
    for folder in (f for place in places for f in [place, *sorted(place.glob("*/"))]):
        parts = {kind: sorted(folder.glob(f"{kind}-*.parquet")) for kind in ("train", "test")}
        first = next((file for files in parts.values() for file in files), None)
        if first is None:
            continue
        if not _is_of(first, name):
            others.append(first)
            continue
        if not parts[split]:
            raise FileNotFoundError(f"{folder} holds {first.name} of {name}, but no {split}-*.parquet")
        check_complete(parts[split])
        return parts[split], others
    return [], others


def _is_of(file: Path, name: str) -> bool:
    """Tell a data set from others where a root folder holds it directly, or under another name."""
    with open_parquet(file) as parquet:
        schema, column = parquet.schema_arrow, _LABEL_COLUMN[name]
    classes = class_names_of(schema, column)
    return column in schema.names and (len(classes), *classes[:1]) == _CLASSES[name]


def _archive(kind: Any, place: Path, split: Split, *, download: bool) -> Source:
    """The official pickles, read and checksummed by torchvision; unpacked or fetched first if need be."""
    from torchvision.datasets.utils import check_integrity

    folder, file = place / kind.base_folder, place / kind.filename
    try:
        data = kind(str(place), train=split == "train")
    except (RuntimeError, OSError):  # missing, damaged, or not unpacked to the end
        # torchvision would fetch a damaged archive again; without the user's consent it must not.
        if not (download or check_integrity(str(file), kind.tgz_md5)):
            damaged = file if file.is_file() else folder
            raise ValueError(
                f"{damaged} is incomplete or damaged, or cannot be read; get it again, or let --download do so"
            ) from None
        try:
            place.mkdir(parents=True, exist_ok=True)
            data = kind(str(place), train=split == "train", download=True)
        except (RuntimeError, OSError, http.client.HTTPException) as error:
            raise ValueError(f"{file} cannot be fetched or unpacked: {one_line(error)}") from error
    ids = [f"{split}/{i}" for i in range(len(data.targets))]
    return Source(np.array(data.targets, dtype=np.int64), tuple(data.classes), partial(_colour, data.data), ids)


def _colour(pixels: np.ndarray, index: int) -> Pixels:
    return pixels[index]


# --- iNaturalist 2018: COCO-style JSON beside folders of JPEG files ---------------------------------------------------


def _inaturalist(split: Split, data_root: Path | None) -> Source:
    listing = {"train": "train2018.json", "test": "val2018.json"}[split]
    places = _places("inaturalist2018", data_root)
    root = next((place for place in places if (place / listing).is_file()), None)
    if root is None:
        raise _not_found(
            "inaturalist2018",
            places,
            f"put there {listing} and the folder train_val2018 from the iNaturalist 2018 competition, "
            "or name another folder with --data-root or LONGTAIL_DATA",
        )
    try:
        data = json.loads((root / listing).read_bytes())
        categories = sorted(data["categories"], key=lambda category: category["id"])
        index = {category["id"]: i for i, category in enumerate(categories)}
        label_of = {annotation["image_id"]: index[annotation["category_id"]] for annotation in data["annotations"]}
        names = file_names(image["file_name"] for image in data["images"])
        labels = np.array([label_of[image["id"]] for image in data["images"]], dtype=np.int64)
        class_names = tuple(str(category["name"]) for category in categories)
    except KeyError as error:
        raise ValueError(f"{root / listing} is not an iNaturalist listing: {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{root / listing} is not an iNaturalist listing: {one_line(error)}") from error
    return labelled(of_files(root, names), labels, class_names)
