"""Manifests: any text in any dialect comes back; every mistake is one line that says where it is."""

import csv
import io
import json
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data import sources
from longtail.data.source import PARTS
from longtail.data.sources.columns import GROUPS, LABEL, PART_NAMES, PATH, SPLIT
from support import fake_datasets
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


# --- whatever is in it, comes back -----------------------------------------------------------------------------------

# Files may have any name but of NUL and slashes; names of classes lose the blanks around them.
_anything = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
_classes = _anything.map(lambda name: unicodedata.normalize("NFC", name).strip()).filter(bool)


@st.composite
def _tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]], dict[str, int]]:
    """Names of columns, rows, and where path, label and split are among the columns."""
    names = draw(st.lists(_classes, min_size=2, max_size=4, unique=True))
    files = draw(
        st.lists(_anything.map(lambda name: f"d/{name.replace('/', '_')}.png"), min_size=2, max_size=8, unique=True)
    )
    labels = [*names[:2], *draw(st.lists(st.sampled_from(names), min_size=len(files) - 2, max_size=len(files) - 2))]
    parts = draw(st.lists(st.sampled_from([*PART_NAMES, ""]), min_size=len(files), max_size=len(files)))
    columns = {
        draw(st.sampled_from(PATH)): files,
        draw(st.sampled_from(LABEL)).upper(): labels,
        draw(st.sampled_from(SPLIT)).title(): parts,
        "weather": draw(st.lists(_anything, min_size=len(files), max_size=len(files))),
    }
    order = draw(st.permutations([*columns]))
    place = {kind: order.index(name) for kind, name in zip(("path", "label", "split"), columns, strict=False)}
    return order, [list(row) for row in zip(*(columns[name] for name in order), strict=True)], place


def _check(listing: sources.Listing, written: Sequence[Sequence[str]], place: dict[str, int]) -> None:
    assert rows(listing) == [(row[place["path"]], row[place["label"]]) for row in written]
    said = [PARTS.index(PART_NAMES[row[place["split"]]]) if row[place["split"]] else -1 for row in written]
    assert listing.parts is not None and listing.parts.tolist() == said
    assert any(note.startswith("columns not used") for note in listing.notes)


@given(
    table=_tables(),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    blank=st.booleans(),
)
def test_any_csv_comes_back(table: Any, delimiter: str, quoting: Any, ending: str, encoding: str, blank: bool) -> None:
    names, written, place = table
    text = io.StringIO()
    if any("\r" in cell for row in written for cell in row):
        quoting = csv.QUOTE_ALL  # Python 3.11 forgets to quote a bare carriage return
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    writer.writerows([names, *written])
    with tempfile.TemporaryDirectory() as folder:
        content = text.getvalue() + (ending + delimiter * (len(names) - 1) + ending) * blank
        file = Path(folder, "birds.tsv" if delimiter == "\t" else "birds.csv")
        file.write_bytes(content.encode(encoding))
        _pretend(folder, written, place)
        _check(sources.read(file), written, place)


@given(table=_tables(), ascii_only=st.booleans())
def test_any_json_lines_come_back(table: Any, ascii_only: bool) -> None:
    names, written, place = table
    with tempfile.TemporaryDirectory() as folder:
        lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=ascii_only) for row in written]
        file = manifest(Path(folder), "\n\n".join(lines), "birds.jsonl")
        _pretend(folder, written, place)
        _check(sources.read(file), written, place)


@given(table=_tables(), categorical=st.booleans())
def test_any_parquet_comes_back(table: Any, categorical: bool) -> None:
    names, written, place = table
    with tempfile.TemporaryDirectory() as folder:
        columns = [pyarrow.array(column) for column in zip(*written, strict=True)]
        if categorical:
            columns = [column.dictionary_encode() for column in columns]
        pyarrow.parquet.write_table(pyarrow.table(columns, names), Path(folder, "birds.parquet"))
        _pretend(folder, written, place)
        _check(sources.read(Path(folder, "birds.parquet")), written, place)


def _pretend(folder: str, written: Sequence[Sequence[str]], place: dict[str, int]) -> None:
    """One of the files is there."""
    file = Path(folder, written[0][place["path"]])
    file.parent.mkdir()
    file.write_bytes(b"")


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


def test_text_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "birds.csv").write_bytes("path,label\na.png,x\nb.png,Häher\n".encode("cp1252"))
    with pytest.raises(ValueError, match="not UTF-8") as error:
        sources.read(tmp_path / "birds.csv")
    one_line(error, tmp_path / "birds.csv line 3", "save it as UTF-8")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"path": "a.png", "label": "x"}', "", '{"path": "b.png", '], ["line 3", "not JSON"]),
        (['{"path": "a.png", "label": "x"}', "[1]"], ["line 2", "object"]),
        (['{"path": "a.png", "label": "x"}', "[" * 100_000], ["line 2", "not JSON"]),
        (['{"path": "a.png", "label": "x"}', '{"path": "b.png", "label": ["x", "y"]}'], ["line 2", "['x', 'y']"]),
        (['{"path": "a.png", "label": "x"}', '{"label": "x"}'], ["line 2", "no path"]),
    ],
)
def test_a_mistake_in_json_lines(tmp_path: Path, lines: list[str], words: list[str]) -> None:
    file = manifest(tmp_path, "\n".join(lines), "birds.jsonl")
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


def test_embedded_images(tmp_path: Path) -> None:
    written = fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=2, per_class_test=1, parts=2)
    for folder in (tmp_path / "cifar10", tmp_path):
        if folder == tmp_path:  # as in a repository of the Hub
            (tmp_path / "cifar10").rename(tmp_path / "data")
        listing = sources.read(folder)
        both = [*written["train"].pixels, *written["test"].pixels]
        assert listing.form.startswith("parquet with images in it")
        assert listing.source.class_names == fake_datasets.CIFAR10_CLASSES
        np.testing.assert_array_equal(
            listing.source.labels, np.concatenate([written["train"].labels, written["test"].labels])
        )
        assert listing.parts is not None and listing.parts.tolist() == [0] * 20 + [2] * 10
        assert listing.source.ids[19:21] == ["train/19", "test/0"]
        for i in (0, 12, 19, 20, 29):
            np.testing.assert_array_equal(listing.source.image(i), both[i])


def test_embedded_images_with_labels_in_text_or_without(tmp_path: Path) -> None:
    table = pyarrow.table({"image": [PNG, b"", PNG], "species": ["x", None, "y"], "site": [1, 1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "birds.parquet")
    listing = sources.read(tmp_path / "birds.parquet")
    assert rows(listing) == [("birds/0", "x"), ("birds/2", "y")]
    assert listing.groups["location"].tolist() == [0, 1]
    assert listing.notes == (f"passed over 1 image without a label (the first: {tmp_path / 'birds.parquet'} row 2)",)
    assert listing.source.image(1).shape == (8, 8, 3)
    images = sources.unlabelled(tmp_path / "birds.parquet")
    assert list(images.ids) == ["birds/0", "birds/1", "birds/2"] and images.encoded(1) == b""


def test_two_columns_of_class_labels(tmp_path: Path) -> None:
    names = {"_type": "ClassLabel", "names": ["x", "y"]}
    metadata = {"huggingface": json.dumps({"info": {"features": {"fine_label": names, "coarse_label": names}}})}
    columns = {"img": [{"bytes": PNG}] * 3, "fine_label": [0, 1, -1], "coarse_label": [0, 0, 7]}
    file = tmp_path / "birds.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=metadata), file)
    assert rows(sources.read(file, label_column="fine_label")) == [("birds/0", "x"), ("birds/1", "y")]
    with pytest.raises(ValueError, match="row 3: coarse_label is 7; allowed: 0 to 1") as error:
        sources.read(file)
    columns["coarse_label"] = [0, 0, 1]
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=metadata), file)
    with pytest.raises(ValueError, match="fine_label and coarse_label could both be the class") as error:
        sources.read(file)
    one_line(error, file, "data.label_column")


def test_damaged_parquet(tmp_path: Path) -> None:
    (tmp_path / "birds.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="not a complete parquet file") as error:
        sources.read(tmp_path / "birds.parquet")
    one_line(error, tmp_path / "birds.parquet")


def test_a_missing_part_of_a_large_table(tmp_path: Path) -> None:
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1, parts=3)
    (tmp_path / "cifar10" / "test-00001-of-00003.parquet").unlink()
    with pytest.raises(ValueError, match="as many parts as they say") as error:
        sources.read(tmp_path / "cifar10")
    one_line(error, tmp_path / "cifar10", "test-00000-of-00003.parquet")
