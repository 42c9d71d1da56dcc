"""COCO-like JSON: `images`, `annotations` and `categories`, as of iNaturalist and of COCO Camera Traps."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow

from longtail.data.sources.format import Format, Request
from longtail.data.sources.images import Images, file_names, found
from longtail.data.sources.records import Records, clean, part_numbers
from longtail.text import one_line, quantity

_BBN = b'"fpath"'


def read_coco(request: Request) -> Records:
    """Read JSON with `images`, `annotations` and `categories`.

    An image with annotations of several categories has no one class. It is passed over, as is one without any.

    Raises: ValueError if it is no such JSON.
    """
    names, labels, lengths = list[bytes](), list[str | None](), list[int]()
    groups: dict[str, list[str | None]] = {"location": [], "sequence": []}
    class_names, several = dict[str, None](), 0
    for file in request.paths:
        with _explained(file):
            data = _coco_like(json.loads(file.read_bytes()))
            categories = _categories(data["categories"])
            of_image: dict[Any, set[Any]] = {}
            for annotation in data["annotations"]:
                of_image.setdefault(annotation["image_id"], set()).add(annotation["category_id"])
            for image in data["images"]:
                ids = of_image.get(image["id"], set())
                several += len(ids) > 1
                names.append(os.fsencode(image["file_name"]))
                labels.append(categories[next(iter(ids))] if len(ids) == 1 else None)
                groups["location"].append(_text(image.get("location")))
                groups["sequence"].append(_text(image.get("seq_id")))
        lengths.append(len(names) - sum(lengths))
        class_names |= dict.fromkeys(categories.values())
    start = request.root or request.paths[0].parent
    images, notes = found(request.path, start, pyarrow.array(names, pyarrow.binary()))
    if several:
        notes = (*notes, f"{quantity(several, 'image')} with several categories have no one class")
    return Records(
        images,
        pyarrow.array(labels, pyarrow.string()),
        request.path,
        lambda row: images.ids[row],
        part_numbers([part for _, part in request.files], lengths),
        {group: pyarrow.array(texts, pyarrow.string()) for group, texts in groups.items()},
        tuple(class_names),
        notes,
    )


def coco_images(request: Request) -> Images:
    """The images of COCO-like JSON, with or without annotations.

    Raises: ValueError if it is no such JSON.
    """
    names = pyarrow.concat_arrays(map(_names, request.paths))
    return found(request.path, request.root or request.paths[0].parent, names)[0]


def _names(file: Path) -> pyarrow.Array:
    """Names of the files of images; `(N,)` binary."""
    with _explained(file):
        return file_names(image["file_name"] for image in _coco_like(json.loads(file.read_bytes()))["images"])


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Whatever goes wrong with JSON of another layout becomes one line with the file."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{file} is not a COCO-like listing: {error} is missing") from error
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not a COCO-like listing: {one_line(error)}") from error


def is_coco(file: Path) -> bool:
    """Whether a JSON file has annotations of images; the test split of a competition has none."""
    content = file.read_bytes()
    return b'"annotations"' in content and ((b'"images"' in content and b'"categories"' in content) or _BBN in content)


def is_camera_trap(file: Path) -> bool:
    """The same, where images have locations or sequences."""
    content = file.read_bytes()
    return is_coco(file) and (b'"location"' in content or b'"seq_id"' in content)


def _coco_like(data: Any) -> Any:
    """The short form in which BBN's code keeps long-tailed lists, as the long one."""
    if not (isinstance(data, dict) and "num_classes" in data and "images" not in data):
        return data
    rows = [*enumerate(data["annotations"])]
    return {
        "images": [{"id": i, "file_name": row["fpath"]} for i, row in rows],
        "annotations": [{"image_id": i, "category_id": row["category_id"]} for i, row in rows],
        "categories": [{"id": c, "name": str(c)} for c in range(data["num_classes"])],
    }


def _categories(categories: Any) -> dict[Any, str]:
    """Names by id, in the order of ids; names that are not unique get the id behind them."""
    ordered = sorted(categories, key=lambda category: category["id"])
    times = Counter(clean(str(category["name"])) for category in ordered)
    return {
        category["id"]: name if times[name := clean(str(category["name"]))] == 1 else f"{name} ({category['id']})"
        for category in ordered
    }


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


INATURALIST = Format(
    name="inaturalist",
    title="iNaturalist JSON",
    recognise=lambda file, _: is_coco(file),
    read=read_coco,
    images=coco_images,
    endings=(".json",),
    family="coco",
)
CAMERA_TRAPS = replace(
    INATURALIST, name="coco", title="COCO Camera Traps JSON", recognise=lambda file, _: is_camera_trap(file)
)
