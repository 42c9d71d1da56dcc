"""Image folders: classes, parts, order of files, and what is in folders besides."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data import sources
from longtail.data.source import PARTS
from longtail.data.sources.image_folder import natural
from support.fake_datasets import encode, picture
from support.messages import one_line

PNG = encode(picture(0, seed=0, height=8, width=8))


def write(root: Path, *files: str) -> Path:
    """Images by their names."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(PNG)
    return root


def classes(listing: sources.Listing) -> dict[str, list[str]]:
    """Names of images by class."""
    names = listing.source.class_names
    return {
        name: [listing.source.ids[int(i)] for i in np.flatnonzero(listing.source.labels == c)]
        for c, name in enumerate(names)
    }


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    write(tmp_path, "cat/2.png", "cat/10.PNG", "cat/1.jpeg", "bee/x.webp")
    listing = sources.read(tmp_path)
    assert classes(listing) == {"bee": ["bee/x.webp"], "cat": ["cat/1.jpeg", "cat/2.png", "cat/10.PNG"]}
    assert (listing.form, listing.parts, dict(listing.groups), listing.notes) == ("image folder", None, {}, ())
    assert listing.source.labels.dtype == np.int64
    assert listing.source.encoded is not None and listing.source.encoded(0) == tmp_path / "bee/x.webp"
    np.testing.assert_array_equal(listing.source.image(3), picture(0, seed=0, height=8, width=8))


def test_classes_are_sorted_as_text_but_numbers_by_value(tmp_path: Path) -> None:
    write(tmp_path / "text", "b/1.png", "B/1.png", "a10/1.png", "a9/1.png")
    write(tmp_path / "numbers", "10/1.png", "9/1.png", "0/1.png")
    assert sources.read(tmp_path / "text").source.class_names == ("B", "a10", "a9", "b")
    assert sources.read(tmp_path / "numbers").source.class_names == ("0", "9", "10")


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "valid", "testing"), ("trn", "dev", "TEST")],
)
def test_folders_of_parts(tmp_path: Path, train: str, validation: str, test: str) -> None:
    write(tmp_path, f"{train}/cat/1.png", f"{train}/dog/1.png", f"{validation}/dog/2.png", f"{test}/cat/3.png")
    listing = sources.read(tmp_path)
    assert listing.source.class_names == ("cat", "dog")
    assert listing.parts is not None
    said = {listing.source.ids[i]: PARTS[part] for i, part in enumerate(listing.parts)}
    assert said == {
        f"{train}/cat/1.png": "train",
        f"{train}/dog/1.png": "train",
        f"{validation}/dog/2.png": "validation",
        f"{test}/cat/3.png": "test",
    }


def test_nested_classes_are_named_by_their_way(tmp_path: Path) -> None:
    write(tmp_path, "train/Aves/owl/1.png", "train/Aves/jay/1.png", "train/Fungi/1.png", "test/Aves/owl/2.png")
    assert sources.read(tmp_path).source.class_names == ("Aves/jay", "Aves/owl", "Fungi")


def test_a_class_inside_a_class_is_said(tmp_path: Path) -> None:
    listing = sources.read(write(tmp_path, "cat/1.png", "cat/night/2.png", "dog/1.png"))
    assert listing.source.class_names == ("cat", "cat/night", "dog")
    assert any("cat and cat/night are read as different classes" in note for note in listing.notes)


def test_one_folder_around_everything_is_no_part_of_the_names(tmp_path: Path) -> None:
    write(tmp_path, "archive/images/train/cat/1.png", "archive/images/train/dog/1.png")
    listing = sources.read(tmp_path)
    assert listing.source.class_names == ("cat", "dog") and listing.parts is not None
    assert "everything is in archive/images/" in listing.notes
    assert listing.source.encoded is not None and Path(str(listing.source.encoded(0))).is_file()


def test_parts_beside_classes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/1.png", "test/cat/1.png", "dog/1.png")
    with pytest.raises(ValueError, match="either all are classes or all are parts") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, "test, train", "dog")


def test_parts_below_classes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "cat/train/1.png", "cat/test/1.png", "dog/train/1.png")
    with pytest.raises(ValueError, match="either that is the name of a class, or test is a part") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, "cat/test", "test/cat")


def test_parts_without_classes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/1.png", "test/1.png")
    with pytest.raises(ValueError, match="no folders of classes") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, "test, train")


@pytest.mark.parametrize("files", [["cat/1.png", "cat/2.png"], ["1.png", "cat/2.png"]])
def test_one_class_can_be_read(tmp_path: Path, files: list[str]) -> None:
    source = sources.read(write(tmp_path, *files)).source
    assert source.class_names == ("cat",)
    assert source.labels.tolist() == [0] * sum(file.startswith("cat/") for file in files)


def test_images_without_a_class_are_passed_over(tmp_path: Path) -> None:
    listing = sources.read(write(tmp_path, "cat/1.png", "dog/1.png", "cover.png", "about.png"))
    assert len(listing.source.labels) == 2
    assert "passed over 2 images without a label (the first: about.png)" in listing.notes


def test_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.txt").touch()
    with pytest.raises(ValueError, match="holds no image files") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, ".jpg")
    with pytest.raises(FileNotFoundError) as error:
        sources.read(tmp_path / "no such")
    one_line(error, tmp_path / "no such")


def test_what_is_no_image_is_passed_over_and_said(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "dog/1.png", ".git/x/1.png", "__MACOSX/cat/1.png", "cat/.hidden.png", "cat/._1.png")
    for name in ("cat/Thumbs.db", "dog/desktop.ini", "cat/notes.txt", "cat/IMG_1", "dog/1.heic"):
        (tmp_path / name).touch()
    for name in ("lynx", "owl/day", "owl/night"):
        (tmp_path / name).mkdir(parents=True)
    listing = sources.read(tmp_path)
    assert classes(listing) == {"cat": ["cat/1.png"], "dog": ["dog/1.png"]}
    assert set(listing.notes) == {
        "2 folders without an image, and so no class: lynx, owl",
        "passed over 3 files whose names do not end like images: cat/IMG_1, cat/notes.txt, dog/1.heic",
        "passed over 6 hidden files or folders",
    }


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path / "data", "cat/1.png", "dog/1.png")
    write(tmp_path / "elsewhere", "1.png", "2.png")
    (tmp_path / "data/lynx").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/cat/up").symlink_to("..")
    (tmp_path / "data/a").symlink_to("cat")  # sorted before the folder that it leads to
    (tmp_path / "data/dog/self.png").symlink_to("self.png")
    (tmp_path / "data/dog/gone.png").symlink_to("no such file.png")
    listing = sources.read(tmp_path / "data")
    # A link that leads nowhere is an image that cannot be read, not one that is not there.
    assert classes(listing) == {
        "cat": ["cat/1.png"],
        "dog": ["dog/1.png", "dog/gone.png", "dog/self.png"],
        "lynx": ["lynx/1.png", "lynx/2.png"],
    }
    assert "passed over 2 links to folders that are read already: a, cat/up" in listing.notes
    for i in (2, 3):
        with pytest.raises(ValueError, match=r"dog/(gone|self)\.png"):
            listing.source.image(i)


def test_composed_and_decomposed_names_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
    write(tmp_path, f"train/{composed}/1.png", f"test/{decomposed}/2.png", "train/Biene/1.png")
    listing = sources.read(tmp_path)
    assert listing.source.class_names == ("Biene", composed)
    assert r"1 class written in several ways and read as one: 'Ka\u0308fer' and 'K\xe4fer'" in listing.notes
    assert all(Path(str(listing.source.encoded(i))).is_file() for i in range(3) if listing.source.encoded)


def test_names_that_differ_in_capitals_are_said(tmp_path: Path) -> None:
    listing = sources.read(write(tmp_path, "Cat/1.png", "cat/1.png", "dog/1.png"))
    assert listing.source.class_names == ("Cat", "cat", "dog")
    assert "classes that differ only in capitals are read as different: Cat and cat" in listing.notes


def test_names_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", os.fsdecode(b"caf\xe9/\xff.png"), "line\nbreak/a b.png")
    listing = sources.read(tmp_path)
    assert classes(listing) == {
        "caf\\xe9": ["caf\\xe9/\\xff.png"],
        "cat": ["cat/1.png"],
        "line\nbreak": ["line\nbreak/a b.png"],
    }
    for i in range(3):
        listing.source.image(i)
    assert all("\n" not in line for line in sources.describe(listing))
    sources.fingerprint(listing.source)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=8))
def test_natural_order_does_not_depend_on_the_order_before(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural) == sorted(backwards, key=natural)


@given(st.lists(st.integers(0, 10**12), min_size=1), st.text("ab-_ ", max_size=3))
def test_natural_order_is_that_of_numbers(numbers: list[int], before: str) -> None:
    ordered = sorted((f"{before}{number}.png" for number in numbers), key=natural)
    assert ordered == [f"{before}{number}.png" for number in sorted(numbers)]
