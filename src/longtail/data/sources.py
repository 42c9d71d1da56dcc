"""Sources: where labelled images come from, and how one is decoded."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow
import pyarrow.parquet
from jaxtyping import Int
from PIL import Image

Name = Literal["digits", "cifar10", "cifar100", "inaturalist2018"]
Split = Literal["train", "test"]

NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True)
class Source:
    """A split of a data set: labels at hand, images decoded one by one when asked for.

    Args:
        labels: `(N,)`, in `[0, C)`.
        class_names: C names.
        image: decodes image `i`, in `[0, N)`, to RGB.
        ids: N names by which a person finds an image again.
    """

    labels: Int[np.ndarray, " images"]
    class_names: tuple[str, ...]
    image: Callable[[int], Image.Image]
    ids: Sequence[str]


def load(name: Name, split: Split, *, data_root: Path | None = None, download: bool = False) -> Source:
    """Open one split of a data set by name.

    Args:
        name: one of `NAMES`.
        split: the official split; for iNaturalist, whose test labels are not public, "test" is the validation split.
        data_root: the folder that holds the data, or holds a folder with the data set's name; `None` looks into the
            environment variable `LONGTAIL_DATA` and then the cache folder.
        download: fetch CIFAR's official archive into the cache folder (or `data_root`) when it is not found.
    Raises: ValueError if the name is unknown, or a file is damaged; FileNotFoundError, naming the places looked at,
        if the data is not found.

    >>> source = load("digits", "test")
    >>> len(source.labels), source.image(0).size
    (500, (16, 16))
    """
    match name:
        case "digits":
            return _digits(split)
        case "cifar10" | "cifar100":
            return _cifar(name, split, data_root, download)
        case "inaturalist2018":
            return _inaturalist(split, data_root)


def cache_folder() -> Path:
    """The folder into which data is downloaded when no other is named: `~/.cache/longtail`, or as XDG says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longtail"


def _places(name: Name, data_root: Path | None) -> list[Path]:
    """Folders that may hold a data set, best first. A folder named by the user is the only one looked into."""
    named = data_root or (Path(os.environ["LONGTAIL_DATA"]) if os.environ.get("LONGTAIL_DATA") else None)
    roots = [named] if named else [cache_folder()]
    return [place for root in roots for place in (root / name, root)]


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


def _grey(pixels: np.ndarray, index: int) -> Image.Image:
    return Image.fromarray(pixels[index]).convert("RGB")


# --- CIFAR: the Hub's parquet files, or the official archives ---------------------------------------------------------

_LABEL_COLUMN = {"cifar10": "label", "cifar100": "fine_label"}


def _cifar(name: Literal["cifar10", "cifar100"], split: Split, data_root: Path | None, download: bool) -> Source:
    places = _places(name, data_root)
    for place in places:
        for pattern in (f"{split}-*.parquet", f"*/{split}-*.parquet"):
            files = sorted(place.glob(pattern)) if place.is_dir() else []
            if files and _is_of(files[0], name):
                return read_parquet(files, label_column=_LABEL_COLUMN[name])
    from torchvision import datasets  # heavy, and of use only when there is no parquet

    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    for place in places:
        if (place / kind.base_folder).is_dir():
            return _archive(kind, place, split)
        if (place / kind.filename).is_file():
            return _archive(kind, place, split, unpack=True)
    if download:
        target = (data_root or cache_folder()) / name
        target.mkdir(parents=True, exist_ok=True)
        return _archive(kind, target, split, unpack=True)
    raise _not_found(
        name,
        places,
        f"put there the parquet files of the Hub's uoft-cs/{name} or the official {kind.filename}, "
        "name another folder with --data-root or LONGTAIL_DATA, or let --download fetch the archive",
    )


def _is_of(file: Path, name: str) -> bool:
    """Tell CIFAR-10 from CIFAR-100 where a root folder holds one of them directly."""
    return _LABEL_COLUMN[name] in _schema(file).names


def _schema(file: Path) -> pyarrow.Schema:
    try:
        return pyarrow.parquet.read_schema(file)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} is not a complete parquet file: {error}") from error


def read_parquet(files: Sequence[Path], *, label_column: str) -> Source:
    """Read images and labels in the Hub's layout: a struct column `img` or `image` (`bytes`, `path`) and class labels.

    Args:
        files: parts of one split, in order.
        label_column: the integer column; its class names stand in the schema's `huggingface` metadata.
    Raises: ValueError if a file is damaged or has another layout.
    """
    schema = _schema(files[0])
    try:
        columns = [column for column in ("img", "image") if column in schema.names]
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        class_names = tuple(features[label_column]["names"])
        tables = [pyarrow.parquet.read_table(file, columns=[columns[0], label_column]) for file in files]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{files[0]} has columns {schema.names}; need img or image, {label_column}, and class names in the metadata"
        ) from error
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{', '.join(map(str, files))}: not a complete parquet file: {error}") from error
    table = pyarrow.concat_tables(tables)
    # One chunk, so that looking up image i is not a search; Arrow keeps the bytes out of the reach of Python's
    # reference counts, so loader workers share them instead of copying.
    encoded = pyarrow.chunked_array(table[columns[0]]).combine_chunks().field("bytes")
    labels = table[label_column].to_numpy().astype(np.int64)
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(class_names)):
        raise ValueError(
            f"{files[0]}: labels reach from {labels.min()} to {labels.max()}; allowed: 0 to {len(class_names) - 1}"
        )
    stem = files[0].name.split("-")[0]
    return Source(
        labels, class_names, partial(_encoded, encoded, files[0]), [f"{stem}/{i}" for i in range(len(labels))]
    )


def _encoded(images: pyarrow.Array, file: Path, index: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(images[index].as_py())).convert("RGB")
    except (OSError, TypeError) as error:
        raise ValueError(f"{file}: image {index} cannot be decoded: {error}") from error


def _archive(kind: type, place: Path, split: Split, *, unpack: bool = False) -> Source:
    """The official pickles, read and checksummed by torchvision; `unpack` fetches and unpacks what is missing."""
    try:
        data = kind(str(place), train=split == "train", download=unpack)
    except (RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"{place / kind.filename}: cannot be fetched or is damaged: {error}") from error
    ids = [f"{split}/{i}" for i in range(len(data.targets))]
    return Source(np.array(data.targets, dtype=np.int64), tuple(data.classes), partial(_colour, data.data), ids)


def _colour(pixels: np.ndarray, index: int) -> Image.Image:
    return Image.fromarray(pixels[index])


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
        data = json.loads((root / listing).read_text())
        categories = sorted(data["categories"], key=lambda category: category["id"])
        index = {category["id"]: i for i, category in enumerate(categories)}
        label_of = {annotation["image_id"]: index[annotation["category_id"]] for annotation in data["annotations"]}
        names = [image["file_name"] for image in data["images"]]
        labels = np.array([label_of[image["id"]] for image in data["images"]], dtype=np.int64)
        class_names = tuple(str(category["name"]) for category in categories)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{root / listing} is not an iNaturalist listing: {type(error).__name__} {error}") from error
    # A numpy array of text, not a list: forked workers would copy a list page by page as they count references.
    return Source(labels, class_names, partial(_file, root, np.array(names)), names)


def _file(root: Path, names: np.ndarray, index: int) -> Image.Image:
    try:
        return Image.open(root / names[index]).convert("RGB")
    except OSError as error:
        raise ValueError(f"{root / names[index]} cannot be decoded: {error}") from error


def fingerprint(source: Source) -> str:
    """A short digest of labels and names, by which a resumed run notices that its data has changed.

    >>> len(fingerprint(load("digits", "test")))
    16
    """
    digest = hashlib.sha256(source.labels.tobytes())
    digest.update("\0".join([*source.class_names, *source.ids]).encode())
    return digest.hexdigest()[:16]
