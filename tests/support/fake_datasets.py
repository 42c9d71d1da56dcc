"""Small stand-ins for real data sets, in their exact layouts on disk."""

import hashlib
import io
import json
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

Cifar = Literal["cifar10", "cifar100"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_CLASSES = ("apple", "aquarium_fish", "baby", *(f"class_{c:02}" for c in range(3, 100)))
_CLASSES = {"cifar10": CIFAR10_CLASSES, "cifar100": CIFAR100_CLASSES}
_LABEL = {"cifar10": "label", "cifar100": "fine_label"}
_VARIANTS = 4  # different images of a class in a split; more images are repetitions of them


class Written(NamedTuple):
    """What was written of a split, in the order of its files: `(N,)` labels and N images `(H, W, 3)`, uint8."""

    labels: np.ndarray
    pixels: list[np.ndarray]


def picture(label: int, *, seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    """Coloured squares, the same for all images of a class, under a light of their own; `(height, width, 3)` uint8."""
    squares = np.random.default_rng([1, label]).integers(0, 200, (8, 8, 3))
    light = np.random.default_rng([2, label, seed]).integers(0, 56, (8, 8, 1))
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    return (squares + light)[rows][:, columns].astype(np.uint8)


def encode(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """An image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def write_cifar_parquet(
    root: Path, name: Cifar, *, per_class_train: int, per_class_test: int, seed: int = 0, parts: int = 1
) -> dict[str, Written]:
    """The Hub's layout: `root/name/{train,test}-00000-of-00001.parquet`; 100 classes x 500 images take half a second.

    Args:
        root: the folder for `--data-root`.
        name: which data set.
        per_class_train, per_class_test: images of each class; the labels are shuffled.
        seed: of the pictures and their order.
        parts: files a split.
    """
    written = {}
    for split, per_class in (("train", per_class_train), ("test", per_class_test)):
        labels, which, palette = _drawn(len(_CLASSES[name]), per_class, split, seed)
        encoded = [[encode(pixels, "PNG", compress_level=1) for pixels in variants] for variants in palette]
        files = [encoded[c][v] for c, v in zip(labels, which, strict=True)]
        for part, rows in enumerate(np.array_split(np.arange(len(labels)), parts)):
            file = root / name / f"{split}-{part:05}-of-{parts:05}.parquet"
            write_parquet(file, [files[i] for i in rows], labels[rows], _CLASSES[name], label_column=_LABEL[name])
        written[split] = Written(labels, [palette[c][v] for c, v in zip(labels, which, strict=True)])
    return written


def write_parquet(
    file: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None] | np.ndarray,
    class_names: Sequence[str],
    *,
    label_column: str,
    image_column: str = "img",
) -> None:
    """One parquet file of encoded images in the Hub's layout."""
    features = {image_column: {"_type": "Image"}, label_column: {"names": list(class_names), "_type": "ClassLabel"}}
    encoded = pyarrow.array(images, pyarrow.binary())
    paths = pyarrow.nulls(len(encoded), pyarrow.string())
    table = pyarrow.table(
        {
            image_column: pyarrow.StructArray.from_arrays([encoded, paths], ["bytes", "path"]),
            label_column: pyarrow.array(labels, pyarrow.int64()),
        },
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, file)


def write_cifar_archive(
    root: Path, name: Cifar, *, per_class_train: int, per_class_test: int, seed: int = 0, pack: bool = False
) -> tuple[dict[str, Written], dict[str, Any]]:
    """The official Python version: pickles in `root/cifar-10-batches-py` or `root/cifar-100-python`.

    Args:
        root: the folder for `--data-root`.
        name: which data set.
        per_class_train, per_class_test: images of each class; the labels are shuffled.
        seed: of the pictures and their order.
        pack: write `root/cifar-10-python.tar.gz` or `root/cifar-100-python.tar.gz` instead of the folder.
    Returns: what was written, and the attributes with the checksums of these files, which a test must set on
        torchvision's class: `for key, value in attributes.items(): monkeypatch.setattr(datasets.CIFAR10, key, value)`.
    """
    ten = name == "cifar10"
    top = "cifar-10-batches-py" if ten else "cifar-100-python"
    splits = {
        "train": [f"data_batch_{n}" for n in range(1, 6)] if ten else ["train"],
        "test": ["test_batch"] if ten else ["test"],
    }
    contents: dict[str, bytes] = {}
    written = {}
    for split, per_class in (("train", per_class_train), ("test", per_class_test)):
        labels, which, palette = _drawn(len(_CLASSES[name]), per_class, split, seed)
        pixels = [palette[c][v] for c, v in zip(labels, which, strict=True)]
        written[split] = Written(labels, pixels)
        parts = np.array_split(np.arange(len(labels)), len(splits[split]))
        for file, rows in zip(splits[split], parts, strict=True):
            entry = {
                "batch_label": file,
                ("labels" if ten else "fine_labels"): labels[rows].tolist(),
                "data": np.stack([pixels[i].transpose(2, 0, 1).ravel() for i in rows]),
                "filenames": [f"{i}.png" for i in rows],
            }
            contents[file] = pickle.dumps(entry)
    key, meta = ("label_names", "batches.meta") if ten else ("fine_label_names", "meta")
    contents[meta] = pickle.dumps({key: list(_CLASSES[name])})
    root.mkdir(parents=True, exist_ok=True)
    attributes: dict[str, Any] = {
        f"{split}_list": [[file, _md5(contents[file])] for file in files] for split, files in splits.items()
    }
    attributes["meta"] = {"filename": meta, "key": key, "md5": _md5(contents[meta])}
    if pack:
        archive = root / ("cifar-10-python.tar.gz" if ten else "cifar-100-python.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            for file, content in contents.items():
                member = tarfile.TarInfo(f"{top}/{file}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        attributes["tgz_md5"] = _md5(archive.read_bytes())
    else:
        for file, content in contents.items():
            (root / top).mkdir(exist_ok=True)
            (root / top / file).write_bytes(content)
    return written, attributes


def write_inaturalist(
    root: Path, *, classes: int, per_class: int | Sequence[int], per_class_test: int = 1, seed: int = 0
) -> dict[str, Written]:
    """`root/inaturalist2018/{train2018,val2018}.json` and JPEG files below `train_val2018`, of different sizes.

    The first image of each split is grey. Categories stand in the listings in no order, and their ids have gaps.

    Args:
        root: the folder for `--data-root`.
        classes: number of categories.
        per_class: training images of all classes, or of each.
        per_class_test: images of each class in the validation listing, which is our test split.
        seed: of the pictures and their order.
    Returns: what was written; the pixels are those before JPEG.
    """
    folder = root / "inaturalist2018"
    category_ids = [3 * c + 2 for c in range(classes)]
    shuffled = np.random.default_rng([3, seed]).permutation(classes)
    categories = [
        {"id": category_ids[c], "name": f"Genus species{c}", "supercategory": "Plantae" if c % 2 else "Aves"}
        for c in shuffled.tolist()
    ]
    written = {}
    for split, listing, numbers in (
        ("train", "train2018.json", [per_class] * classes if isinstance(per_class, int) else list(per_class)),
        ("test", "val2018.json", [per_class_test] * classes),
    ):
        rng = np.random.default_rng([4, seed, split == "test"])
        labels = rng.permutation(np.repeat(np.arange(classes), numbers))
        images, annotations, every = [], [], []
        for n, c in enumerate(labels.tolist()):
            height, width = rng.integers(40, 90, 2).tolist()
            pixels = picture(c, seed=int(rng.integers(1000)), height=height, width=width)
            if n == 0:
                pixels = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
            name = f"train_val2018/{'Plantae' if c % 2 else 'Aves'}/{category_ids[c]}/{split}{n:05}.jpg"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(encode(pixels[..., 0] if n == 0 else pixels, "JPEG", quality=95, subsampling=0))
            identity = 1000 * (split == "test") + n + 1
            images.append({"id": identity, "file_name": name, "height": height, "width": width})
            annotations.append({"id": identity, "image_id": identity, "category_id": category_ids[c]})
            every.append(pixels)
        # Annotations in another order than images: it is the ids that tie them together.
        content = {"images": images, "annotations": annotations[::-1], "categories": categories}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / listing).write_text(json.dumps(content))
        written[split] = Written(labels, every)
    return written


def write_folder(root: Path, per_class: Sequence[int], *, sizes: tuple[int, int] = (32, 33), part: str = "") -> None:
    """An image folder `root[/part]/class_00/00000.png` and so on.

    Args:
        root: the folder.
        per_class: images of each class.
        sizes: heights and widths are drawn from this range.
        part: name of the part of a split, if there are to be parts.
    """
    for c, images in enumerate(per_class):
        folder = root / part / f"class_{c:02}"
        folder.mkdir(parents=True)
        for n in range(images):
            height, width = np.random.default_rng([6, c, n]).integers(*sizes, 2).tolist()
            pixels = picture(c, seed=len(part) * 1000 + n, height=height, width=width)
            (folder / f"{n:05}.png").write_bytes(encode(pixels))


def _drawn(
    classes: int, per_class: int, split: str, seed: int
) -> tuple[np.ndarray, np.ndarray, list[list[np.ndarray]]]:
    """Shuffled labels, which variant each image is, and the variants `[class][variant]`, `(32, 32, 3)` each."""
    rng = np.random.default_rng([5, seed, split == "test"])
    variants = min(per_class, _VARIANTS)
    first = rng.integers(1_000_000)
    palette = [[picture(c, seed=int(first) + v) for v in range(variants)] for c in range(classes)]
    turns = rng.permutation(classes * per_class)
    return turns % classes, turns // classes % variants, palette


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
