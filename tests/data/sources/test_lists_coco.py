"""Lists and COCO-like JSON: what they say comes back; every mistake is one line that says where it is."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data import sources
from longtail.data.source import PARTS
from longtail.data.sources.lists_coco import CLASS_NAMES
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


# --- lists ------------------------------------------------------------------------------------------------------------


def text(folder: Path, content: str, name: str = "birds.txt") -> Path:
    (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder / name


@pytest.mark.parametrize("prefix", ["ImageNet_LT", "Places_LT"])
def test_a_list_for_each_part(tmp_path: Path, prefix: str) -> None:
    text(tmp_path, "a.png 10\nin/b c.png 9\n", f"{prefix}_train.txt")
    text(tmp_path, "d.png 9\n", f"{prefix}_val.txt")
    text(tmp_path, "\ufeffe.png\t9\r\n\r\nf.png   10\r\n", f"{prefix}_test.txt")
    text(tmp_path, "This is ImageNet_LT, train and test.\n", "README.txt")
    listing = sources.read(tmp_path)
    assert listing.form == f"list of paths and class numbers ({prefix}_test.txt, {prefix}_train.txt, {prefix}_val.txt)"
    assert listing.source.class_names == ("9", "10")
    assert rows(listing) == [
        ("a.png", "10"),
        ("in/b c.png", "9"),
        ("d.png", "9"),
        ("e.png", "9"),
        ("f.png", "10"),
    ]
    assert listing.parts is not None and [PARTS[part] for part in listing.parts] == [
        *("train", "train", "validation", "test", "test")
    ]
    # One list says nothing of the others.
    assert sources.read(tmp_path / f"{prefix}_train.txt").parts is None


def test_two_splits_in_one_folder_are_refused(tmp_path: Path) -> None:
    for prefix in ("ImageNet_LT", "Places_LT"):
        text(tmp_path, "a.png 0\nb.png 1\n", f"{prefix}_train.txt")
    with pytest.raises(ValueError, match="no parts of one split") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, "ImageNet_LT_train.txt, Places_LT_train.txt")


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_names_beside_lists(tmp_path: Path, name: str) -> None:
    file = text(tmp_path, "a.png 2\nb.png 0\n")
    text(tmp_path, "the owl\n jay \nno image of it\n", name)
    listing = sources.read(file)
    assert rows(listing) == [("a.png", "no image of it"), ("b.png", "the owl")]
    assert listing.source.class_names == ("the owl", "no image of it")  # by number
    assert "1 class without an image left out: jay" in listing.notes
    text(tmp_path, "owl\njay\n", name)
    with pytest.raises(ValueError, match="class 2 has no name") as error:
        sources.read(file)
    one_line(error, f"{file} line 1", tmp_path)
    text(tmp_path, "owl\nowl \njay", name)
    with pytest.raises(ValueError, match="the class 'owl' twice") as error:
        sources.read(file)
    one_line(error, tmp_path / name)


@pytest.mark.parametrize("line", ["b.png", "b.png x", "b.png -1", "b.png 1.5", "b.png,1", " 1"])
def test_a_line_that_is_no_line(tmp_path: Path, line: str) -> None:
    file = text(tmp_path, f"a.png 0\n\n{line}\n")
    with pytest.raises(ValueError, match="allowed: a path, a blank, and a number") as error:
        sources.read(file)
    one_line(error, f"{file} line 3", repr(line))


_names = st.text(st.characters(codec="utf-8", exclude_characters="\0/\n"), min_size=1, max_size=12)


@given(
    st.dictionaries(_names.map(lambda name: f"d{name}.png"), st.integers(0, 10**9), min_size=2, max_size=8),
    st.sampled_from([" ", "\t", "  "]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_list_comes_back(labels: dict[str, int], blank: str, ending: str) -> None:
    labels["e.png"] = next(iter(labels.values())) + 1
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "e.png").touch()
        file = text(Path(folder), "".join(f"{name}{blank}{label}{ending}" for name, label in labels.items()))
        assert rows(sources.read(file)) == [(name, str(label)) for name, label in labels.items()]


# --- COCO-like JSON ---------------------------------------------------------------------------------------------------


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


def test_a_list_with_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_bytes(b"a.png 0\n\xff.png 1\n")
    with pytest.raises(ValueError, match="not UTF-8") as error:
        sources.read(tmp_path / "birds.txt")
    one_line(error, f"{tmp_path / 'birds.txt'} line 2")
