"""Manifests: any text in any dialect comes back; every mistake is one line that says where it is."""

import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from longtail.data import sources
from longtail.data.source import PARTS
from longtail.data.sources.columns import GROUPS, LABEL, PART_NAMES, PATH, SPLIT
from support.fake_datasets import encode, picture
from support.messages import one_line

PNG = encode(picture(0, seed=0, height=8, width=8))


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    """Of the files that manifests name, one is there; that is enough."""
    (tmp_path / "a.png").write_bytes(PNG)


def manifest(folder: Path, text: str, name: str = "birds.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder / name


def rows(listing: sources.Listing) -> list[tuple[str, str]]:
    """Path and class of each image."""
    source = listing.source
    return [(source.ids[i], source.class_names[label]) for i, label in enumerate(source.labels)]


# --- columns and rows -------------------------------------------------------------------------------------------------


def test_what_a_row_says(tmp_path: Path) -> None:
    file = manifest(
        tmp_path,
        "Split;Photo_time;Location;Species;File Name;seq-id;group\n"
        "train;8:00;A; lynx ;a.png;1;x\n;8:01;A;owl;b.png;1;x\n;;;;;;\ntest;9:00;B;owl;c.png;1;\ndev;;;lynx;/d.png;;\n",
    )
    listing = sources.read(file)
    assert rows(listing) == [("a.png", "lynx"), ("b.png", "owl"), ("c.png", "owl"), ("/d.png", "lynx")]
    assert listing.parts is not None and [PARTS[part] if part >= 0 else "" for part in listing.parts] == [
        "train", "", "test", "validation",
    ]  # fmt: skip
    assert list(listing.groups) == list(GROUPS)
    assert listing.groups["group"].tolist() == [0, 0, -1, -1]
    assert listing.groups["location"].tolist() == [0, 0, 1, -1]
    # Sequence 1 of another location is another sequence.
    first, second, third, fourth = listing.groups["sequence"].tolist()
    assert first == second and len({first, third, fourth}) == 3 and fourth == -1
    assert listing.notes == (
        "columns not used: Photo_time",
        "1 class written in several ways and read as one: ' lynx ' and 'lynx'",
    )
    source = listing.source
    assert source.encoded is not None
    assert [source.encoded(i) for i in (0, 3)] == [tmp_path / "a.png", Path("/d.png")]
    np.testing.assert_array_equal(source.image(0), picture(0, seed=0, height=8, width=8))
    with pytest.raises(ValueError, match="does not exist") as error:  # found when it is decoded
        source.image(1)
    one_line(error, tmp_path / "b.png")


def test_a_root_of_paths(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    file = manifest(tmp_path / "lists", "path,label\na.png,x\nb.png,y\n")
    assert sources.read(file, root=tmp_path).source.image(0).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="names 2 image files, but none exists") as error:
        sources.read(file)
    one_line(error, file, file.parent / "a.png", f"data.root={tmp_path}")
    with pytest.raises(ValueError, match="none exists"):
        sources.read(file, root=tmp_path / "lists" / "no such")
    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "images" / "a.png")
    with pytest.raises(ValueError, match="none exists") as error:
        sources.read(file)
    one_line(error, f"data.root={tmp_path / 'images'}, for example")


def test_backslashes_are_slashes_where_needed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.png").write_bytes(PNG)
    listing = sources.read(manifest(tmp_path, "path,label\nin\\b.png,x\nin\\c.png,y\n"))
    assert rows(listing) == [("in/b.png", "x"), ("in/c.png", "y")]
    assert "backslashes in paths are read as slashes" in listing.notes


def test_rows_said_twice(tmp_path: Path) -> None:
    file = manifest(tmp_path, "path,label,split\na.png,x,\na.png,x,\na.png,y,\na.png,x,test\nb.png,y,\n")
    listing = sources.read(file)
    # The same image under two labels, or in two parts, stays for the audit to find.
    assert rows(listing) == [("a.png", "x"), ("a.png", "y"), ("a.png", "x"), ("b.png", "y")]
    (note,) = listing.notes
    assert note == f"passed over 1 image listed again with the same label and split (the first: {file} line 3)"


def test_rows_without_a_label(tmp_path: Path) -> None:
    file = manifest(tmp_path, 'path,label\na.png,x\n"b\n.png",\nc.png,y\nd.png,"  "\n')
    listing = sources.read(file)
    assert rows(listing) == [("a.png", "x"), ("c.png", "y")]
    assert listing.notes == (f"passed over 2 images without a label (the first: {file} line 3)",)
    assert listing.source.encoded is not None and listing.source.encoded(1) == tmp_path / "c.png"


def test_numbers_are_names_in_their_order(tmp_path: Path) -> None:
    lines = [{"path": "a.png", "label": 10}, {"path": "b.png", "label": 9.0}, {"path": "c.png", "label": None}]
    listing = sources.read(manifest(tmp_path, "\n".join(map(json.dumps, lines)), "birds.jsonl"))
    assert rows(listing) == [("a.png", "10"), ("b.png", "9")] and listing.source.class_names == ("9", "10")


def test_numbers_and_names_of_the_same_classes(tmp_path: Path) -> None:
    listing = sources.read(manifest(tmp_path, "path,class_id,species\na.png,0,owl\nb.png,1,jay\nc.png,0,owl\n"))
    assert listing.source.class_names == ("jay", "owl")
    assert listing.notes == ("classes are named by species, which says the same as class_id",)


def test_two_columns_of_paths(tmp_path: Path) -> None:
    listing = sources.read(manifest(tmp_path, "file,path,label\nx.png,a.png,x\ny.png,b.png,y\n"))
    assert rows(listing) == [("a.png", "x"), ("b.png", "y")]


def test_names_of_columns_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to.md").read_text(encoding="utf-8")
    groups = {alias.removesuffix("_id") for aliases in GROUPS.values() for alias in aliases} - {"seq"}
    for name in (*PATH, *LABEL, *SPLIT, *PART_NAMES, *groups, "seq_id"):
        assert f"`{name}`" in text, name


# --- several files ----------------------------------------------------------------------------------------------------


def test_a_file_for_each_part(tmp_path: Path) -> None:
    manifest(tmp_path, "path,label\na.png,x\nb.png,y\n", "birds_train.csv")
    manifest(tmp_path, "label,path\nx,c.png\n", "birds_val.csv")
    manifest(tmp_path, "path;species\nd.png;y\n", "birds_test.csv")
    listing = sources.read(tmp_path)
    assert rows(listing) == [("a.png", "x"), ("b.png", "y"), ("c.png", "x"), ("d.png", "y")]
    assert listing.parts is not None and listing.parts.tolist() == [0, 0, 1, 2]
    assert sources.read(tmp_path / "birds_train.csv").parts is None


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_in_an_image_folder(tmp_path: Path, kind: str) -> None:
    def write(folder: Path, **columns: list[str]) -> None:
        folder.mkdir(exist_ok=True)
        file, cells = folder / f"metadata.{kind}", [*zip(*columns.values(), strict=True)]
        if kind == "parquet":
            pyarrow.parquet.write_table(pyarrow.table(columns), file)
        elif kind == "csv":
            file.write_text("\n".join(map(",".join, [columns, *cells])), encoding="utf-8")
        else:
            file.write_text("\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in cells), "utf-8")

    write(tmp_path, file_name=["a.png", "b.png"], label=["x", "y"])
    assert rows(sources.read(tmp_path)) == [("a.png", "x"), ("b.png", "y")]
    # One in the folder of each part names files beside itself.
    (tmp_path / f"metadata.{kind}").unlink()
    for part in ("train", "test"):
        write(tmp_path / part, file_name=[f"{part}.png", "b.png"], label=["x", "y"])
        (tmp_path / part / f"{part}.png").write_bytes(PNG)
    listing = sources.read(tmp_path)
    assert listing.parts is not None and listing.parts.tolist() == [0, 0, 2, 2]
    assert listing.source.ids[:] == ["train/train.png", "train/b.png", "test/test.png", "test/b.png"]
    for i in (0, 2):
        assert listing.source.image(i).shape == (8, 8, 3)


def test_files_that_are_no_parts_are_refused(tmp_path: Path) -> None:
    manifest(tmp_path, "path,label\na.png,x\nb.png,y\n", "birds.csv")
    manifest(tmp_path, "path,label\na.png,x\nb.png,y\n", "mammals.csv")
    with pytest.raises(ValueError, match="no parts of one split") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, "birds.csv, mammals.csv", "name one file")


def test_a_row_may_not_contradict_its_file(tmp_path: Path) -> None:
    manifest(tmp_path, "path,label,split\na.png,x,train\nb.png,y,test\n", "train.csv")
    manifest(tmp_path, "path,label\na.png,x\nb.png,y\n", "test.csv")
    with pytest.raises(ValueError, match="the file is train by its name") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path / "train.csv line 3", "'test'")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty", "filepath,label"]),
        ("\n\n", ["is empty"]),
        ("a.png,x\nb.png,y\n", ["no line that names its columns", "filepath,label"]),
        ("foto,art\na.png,x\n", ["no column for the path", "foto, art", "filepath"]),
        ("path,art\na.png,x\n", ["no column for the class", "path, art", "species", "data.label_column"]),
        ("path,label\n", ["no image with a label"]),
        ("path,label\na.png,x\nb.png\n", ["line 3", "1 cell,", "2 columns"]),
        ('path,label\n"a\n.png",x\nb.png,y,z\n', ["line 4", "3 cells"]),
        ('path,label\na.png,x\n\nb.png,"y\nc.png,z\n', ["line 4", "unexpected end of data"]),
        ('path,label\na.png,"x"y\n', ["line 2", "expected after"]),
        ("path,label\na.png,x\n,y\n", ["line 3", "no path"]),
        ("path,label,split\na.png,x,train\nb.png,y,holdout\n", ["line 3", "split is 'holdout'", "val, valid"]),
        ("path,label,label\na.png,x,y\n", ["2 columns with the name 'label'"]),
        ("path,label,species\na.png,x,y\nb.png,x,z\n", ["label and species", "data.label_column"]),
        ("path,file,label\na.png,a.png,x\nb.png,b.png,y\n", ["path and file", "both lead to files"]),
        ("path,file,label\nx.png,y.png,x\n", ["path and file", "lead to no files"]),
        ("path,label,site,camera\na.png,x,1,2\n", ["site and camera", "location", "data.group_by"]),
        ("path,label,split,set\na.png,x,,\n", ["split and set", "rename or remove"]),
        ("path;x,label\na.png;x,y\n", ["commas or semicolons"]),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, text: str, words: list[str]) -> None:
    file = manifest(tmp_path, text)
    with pytest.raises(ValueError, match="birds") as error:
        sources.read(file)
    one_line(error, file, *words)


def test_named_columns(tmp_path: Path) -> None:
    file = manifest(tmp_path, "path,label,art,patient\na.png,x,k,1\nb.png,x,l,1\nc.png,x,l,2\n")
    listing = sources.read(file, label_column="art", group_column="patient")
    assert rows(listing) == [("a.png", "k"), ("b.png", "l"), ("c.png", "l")]
    assert listing.groups["group"].tolist() == [0, 0, 1]
    assert listing.notes == ("columns not used: label",)
    with pytest.raises(ValueError, match="no column kind") as error:
        sources.read(file, label_column="kind")
    one_line(error, file, "data.label_column", "path, label, art, patient")
    with pytest.raises(ValueError, match="no column kind") as error:
        sources.read(file, group_column="kind")
    one_line(error, file, "data.group_by")


# --- parquet with images in it ----------------------------------------------------------------------------------------
