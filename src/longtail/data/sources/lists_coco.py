"""Listings of benchmarks: `path label` lines as of ImageNet-LT, COCO-like JSON as of iNaturalist and camera traps."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from longtail.data.source import PARTS, Part
from longtail.data.sources.image_folder import is_image
from longtail.data.sources.images import file_names, found
from longtail.data.sources.records import Records, clean
from longtail.data.sources.tables import text_of
from longtail.text import one_line, quantity, yaml_value

# Files beside lists that may name the classes, a line each, in the order of their numbers.
CLASS_NAMES = ("classes.txt", "class_names.txt", "labels.txt")
_BBN = b'"fpath"'
_LINE = re.compile(r"\s*(.*\S)\s+(\d+)\s*", re.DOTALL)


def read_lists(files: Sequence[tuple[Path, Part | None]], *, where: Path, root: Path | None = None) -> Records:
    """Read lists with a line for each image: its path, blanks, and the number of its class.

    Args:
        files: each with the part of the split that it is, `None` if it is not one.
        where: the list, or the folder of the lists.
        root: where relative paths start; `None`: where the lists are.
    Raises: ValueError if a line is no such line, or a class has no name in the file of names beside the lists.
    """
    names, numbers, parts, places = list[str](), list[int](), list[int](), list[tuple[Path, int]]()
    for file, part in files:
        for line, text in _lines(file):
            match = _LINE.fullmatch(text)
            if match is None:
                raise ValueError(f"{file} line {line} is {yaml_value(text)}; allowed: a path, a blank, and a number")
            names.append(match[1])
            numbers.append(int(match[2]))
            parts.append(PARTS.index(part) if part else -1)
            places.append((file, line))
    folder = files[0][0].parent
    class_names = _class_names(folder)
    wrong = next((row for row, number in enumerate(numbers) if class_names and number >= len(class_names)), None)
    if class_names and wrong is not None:
        file, line = places[wrong]
        raise ValueError(
            f"{file} line {line}: class {numbers[wrong]} has no name; there are {len(class_names)} in {folder}"
        )
    labels = [class_names[number] if class_names else str(number) for number in numbers]
    images, notes = found(where, root or folder, file_names(names))
    return Records(
        images,
        pyarrow.array(labels, pyarrow.string()),
        where,
        lambda row: "{} line {}".format(*places[row]),
        np.array(parts, np.int64) if any(part for _, part in files) else None,
        class_names=class_names,
        notes=notes,
    )


def is_list(file: Path) -> bool:
    """Whether the first line of a file is the path of an image and a number."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            match = _LINE.fullmatch(next((line for line in lines if line.strip()), ""))
    except (OSError, UnicodeDecodeError):
        return False
    return match is not None and is_image(match[1])


def read_paths(file: Path) -> pyarrow.Array:
    """Paths from a list, with or without numbers of classes; `(N,)` binary."""
    return file_names(
        text.strip() if is_image(text.strip()) or match is None else match[1]
        for _, text in _lines(file)
        for match in [_LINE.fullmatch(text)]
    )


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text_of(file).split("\n"), start=1) if line.strip())


def _class_names(folder: Path) -> tuple[str, ...] | None:
    """Names of the classes by number, if there is a file of them.

    Raises: ValueError if two are the same.
    """
    file = next((folder / name for name in CLASS_NAMES if (folder / name).is_file()), None)
    if file is None:
        return None
    names = tuple(clean(line) for _, line in _lines(file))
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{file} has the class {twice[0]!r} twice; each needs a name of its own")
    return names


# --- COCO-like JSON ---------------------------------------------------------------------------------------------------


def read_coco(files: Sequence[tuple[Path, Part | None]], *, where: Path, root: Path | None = None) -> Records:
    """Read JSON with `images`, `annotations` and `categories`, as of iNaturalist and of COCO Camera Traps.

    An image with annotations of several categories has no one class. It is passed over, as is one without any.

    Args:
        files: each with the part of the split that it is, `None` if it is not one.
        where: the file, or the folder of the files.
        root: where file names start; `None`: where the JSON is.
    Raises: ValueError if it is no such JSON.
    """
    names, labels, parts = list[bytes](), list[str | None](), list[int]()
    groups: dict[str, list[str | None]] = {"location": [], "sequence": []}
    class_names, several = dict[str, None](), 0
    for file, part in files:
        try:
            data = _coco_like(json.loads(file.read_bytes()))
            categories = _categories(data["categories"])
            said: dict[Any, set[Any]] = {}
            for annotation in data["annotations"]:
                said.setdefault(annotation["image_id"], set()).add(annotation["category_id"])
            for image in data["images"]:
                ids = said.get(image["id"], set())
                several += len(ids) > 1
                names.append(os.fsencode(image["file_name"]))
                labels.append(categories[next(iter(ids))] if len(ids) == 1 else None)
                groups["location"].append(_text(image.get("location")))
                groups["sequence"].append(_text(image.get("seq_id")))
        except KeyError as error:
            raise ValueError(f"{file} is not a COCO-like listing: {error} is missing") from error
        except (TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(f"{file} is not a COCO-like listing: {one_line(error)}") from error
        parts += [PARTS.index(part) if part else -1] * (len(names) - len(parts))
        class_names |= dict.fromkeys(categories.values())
    images, notes = found(where, root or files[0][0].parent, pyarrow.array(names, pyarrow.binary()))
    if several:
        notes = (*notes, f"{quantity(several, 'image')} with several categories have no one class")
    return Records(
        images,
        pyarrow.array(labels, pyarrow.string()),
        where,
        lambda row: images.ids[row],
        np.array(parts, np.int64) if any(part for _, part in files) else None,
        {group: pyarrow.array(texts, pyarrow.string()) for group, texts in groups.items()},
        tuple(class_names),
        notes,
    )


def coco_images(file: Path) -> pyarrow.Array:
    """Names of the images in COCO-like JSON, with or without annotations; `(N,)` binary.

    Raises: ValueError if it is no such JSON.
    """
    try:
        return file_names(image["file_name"] for image in _coco_like(json.loads(file.read_bytes()))["images"])
    except KeyError as error:
        raise ValueError(f"{file} is not a COCO-like listing: {error} is missing") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not a COCO-like listing: {one_line(error)}") from error


def is_coco(file: Path) -> bool:
    """Whether a JSON file has annotations of images; the test split of a competition has none."""
    content = file.read_bytes()
    return b'"annotations"' in content and ((b'"images"' in content and b'"categories"' in content) or _BBN in content)


def is_camera_trap(file: Path) -> bool:
    """Whether images have locations or sequences."""
    content = file.read_bytes()
    return b'"location"' in content or b'"seq_id"' in content


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
