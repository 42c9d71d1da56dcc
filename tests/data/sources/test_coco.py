"""COCO-like JSON: what it says is read back; every mistake is one line that says where it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longtail.data import sources
from support import fake_datasets
from support.fake_datasets import encode, picture
from support.messages import one_line

PNG = encode(picture(0, seed=0, height=8, width=8))


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    """Of the files that are listed, one is there; that is enough."""
    (tmp_path / "a.png").write_bytes(PNG)


def rows(listing: sources.Listing) -> list[tuple[str, str]]:
    """Path and class of each image."""
    source = listing.source
    return [(source.ids[i], source.class_names[label]) for i, label in enumerate(source.labels)]


def text(folder: Path, content: str, name: str = "birds.txt") -> Path:
    (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder / name


def camera_traps() -> dict[str, Any]:
    images = [
        {"id": "i1", "file_name": "a.png", "location": 7, "seq_id": "s", "datetime": "2024-01-01 08:00:00"},
        {"id": "i2", "file_name": "b.png", "location": "7", "seq_id": "s"},
        {"id": "i3", "file_name": "c.png", "location": "8", "seq_id": "s"},
        {"id": "i4", "file_name": "d.png"},
        {"id": "i5", "file_name": "e.png"},
    ]
    said = [("i1", 30), ("i1", 30), ("i2", 4), ("i3", 30), ("i4", 4), ("i4", 30)]
    annotations = [{"id": n, "image_id": image, "category_id": category} for n, (image, category) in enumerate(said)]
    categories = [{"id": 30, "name": "opossum"}, {"id": 4, "name": "empty"}, {"id": 9, "name": "bobcat"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def test_camera_traps(tmp_path: Path) -> None:
    file = text(tmp_path, json.dumps(camera_traps()), "traps.json")
    listing = sources.read(file)
    assert listing.form == "COCO Camera Traps JSON"
    assert rows(listing) == [("a.png", "opossum"), ("b.png", "empty"), ("c.png", "opossum")]
    assert listing.source.class_names == ("empty", "opossum")  # by id
    assert listing.groups["location"].tolist() == [0, 0, 1]
    assert len(set(listing.groups["sequence"][:2])) == 1 and len(set(listing.groups["sequence"])) == 2
    assert listing.notes == (
        "1 image with several categories have no one class",
        "passed over 2 images without a label (the first: d.png)",
        "1 class without an image left out: bobcat",
    )
    assert list(sources.unlabelled(file).ids) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert rows(sources.read(file, form="inaturalist")) == rows(listing)


def test_inaturalist(tmp_path: Path) -> None:
    written = fake_datasets.write_inaturalist(tmp_path, classes=3, per_class=[4, 2, 1], per_class_test=1)
    folder = tmp_path / "inaturalist2018"
    with pytest.raises(ValueError, match="as image folder") as error:
        sources.read(folder)
    one_line(error, folder, "data.form=inaturalist", "data.form=folder")
    listing = sources.read(folder, form="inaturalist")
    np.testing.assert_array_equal(
        listing.source.labels, np.concatenate([written["train"].labels, written["test"].labels])
    )
    assert listing.source.class_names == tuple(f"Genus species{c}" for c in range(3))
    assert listing.parts is not None and listing.parts.tolist() == [0] * 7 + [1] * 3
    assert not listing.groups
    for i in range(10):
        listing.source.image(i)
    # The competition's test split has no labels, and is there to be predicted.
    text(folder, json.dumps({"images": [{"id": 1, "file_name": listing.source.ids[0]}]}), "test2018.json")
    assert len(sources.read(folder, form="inaturalist").source.labels) == 10
    assert list(sources.unlabelled(folder / "test2018.json").ids) == [listing.source.ids[0]]


def test_categories_with_the_same_name(tmp_path: Path) -> None:
    content = camera_traps()
    content["categories"][1]["name"] = "opossum"
    listing = sources.read(text(tmp_path, json.dumps(content), "traps.json"))
    assert listing.source.class_names == ("opossum (4)", "opossum (30)")


def test_the_short_json_of_bbn(tmp_path: Path) -> None:
    annotations = [
        {"image_id": i, "fpath": f"{name}.png", "category_id": c} for i, name, c in ((5, "a", 10), (6, "b", 2))
    ]
    for part in ("train", "val"):
        text(tmp_path, json.dumps({"annotations": annotations, "num_classes": 11}), f"iNaturalist18_{part}.json")
    listing = sources.read(tmp_path)
    assert rows(listing) == [("a.png", "10"), ("b.png", "2")] * 2 and listing.source.class_names == ("2", "10")
    assert listing.parts is not None and listing.parts.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expecting"),
        ("[]", "list"),
        ("[" * 100_000, "recursion"),
        ('{"categories": []}', "'annotations' is missing"),
        ('{"categories": [], "annotations": [], "images": [{"file_name": "a.png"}]}', "'id' is missing"),
        ('{"categories": [], "annotations": [], "images": [{"id": 1}]}', "'file_name' is missing"),
        ('{"categories": [], "annotations": [{"image_id": 1}], "images": []}', "'category_id' is missing"),
        ('{"categories": [], "annotations": [{"image_id": 1, "category_id": 5}], "images": [{"id": 1}]}', "missing"),
        ('{"categories": [], "annotations": [], "images": [{"id": 1, "file_name": 5}]}', "int"),
        ('{"categories": [5], "annotations": [], "images": []}', "int"),
        ('{"categories": 5}', "int"),
    ],
)
def test_json_of_another_kind(tmp_path: Path, content: str, words: str) -> None:
    file = text(tmp_path, content, "traps.json")
    with pytest.raises(ValueError, match="not a COCO-like listing") as error:
        sources.read(file)
    one_line(error, file, words)
