"""Queries: every image that was named, in the order in which it was named, and nothing is read too early."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.inference.inputs import Query, read
from support import fake_datasets
from support.messages import one_line


@pytest.fixture
def birds(tmp_path):
    """Twelve images; the tenth comes after the ninth."""
    fake_datasets.write_folder(tmp_path / "birds", [11, 1])
    return tmp_path / "birds"


def names(queries):
    return [query.name for query in queries]


def test_a_file_is_itself_whether_it_exists_or_not():
    asked = read(["a.png", "no/such.gif", "README", "a.png"])
    assert asked.total == 4
    assert list(asked) == [Query(name, Path(name)) for name in ("a.png", "no/such.gif", "README", "a.png")]


def test_a_folder_is_all_its_images_in_natural_order(birds):
    (birds / "notes.md").touch()
    (birds / "1.png").touch()
    (birds / "class_01" / "deeper").mkdir()
    (birds / "class_01" / "deeper" / "x.JPG").touch()
    asked = read([str(birds)])
    assert asked.total == 14
    rest = [f"class_00/{n:05}.png" for n in range(11)] + ["class_01/00000.png", "class_01/deeper/x.JPG"]
    assert names(asked) == [f"{birds}/{name}" for name in ("1.png", *rest)]


def test_a_folder_may_end_in_anything(tmp_path):
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "a.csv" / "1.png").touch()
    assert names(read([f"{tmp_path}/a.csv"])) == [f"{tmp_path}/a.csv/1.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", "path,label\n{},x\n{},\n{},z\n"),
        ("list.csv", "label;filepath\nx;{}\n;{}\nx;{}\n"),
        ("list.tsv", "image\n{}\n{}\n{}\n"),
        ("list.jsonl", '{{"file_name": "{}"}}\n{{"file_name": "{}"}}\n{{"file_name": "{}"}}\n'),
        ("list.txt", "{} 0\n{} 1\n{} 0\n"),
    ],
)
def test_a_list_is_all_its_rows_as_it_names_them(birds, name, content):
    rows = ["class_01/00000.png", "no/such.png", "class_00/00003.png"]
    (birds / name).write_text(content.format(*rows))
    asked = read([str(birds / name)])
    assert asked.total == 3
    assert list(asked) == [Query(row, birds / row) for row in rows]


def test_images_in_parquet_have_numbers(tmp_path):
    images = [fake_datasets.encode(fake_datasets.picture(0, seed=n)) for n in range(3)]
    fake_datasets.write_parquet(tmp_path / "test-0.parquet", images, [0, 0, 1], ["a", "b"], label_column="label")
    assert list(read([f"{tmp_path}/test-0.parquet"])) == [Query(f"test/{n}", images[n]) for n in range(3)]


def test_paths_in_a_list_start_where_one_says(birds, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    listing = tmp_path / "elsewhere" / "list.csv"
    listing.write_text("path\nclass_00/00000.png\n")
    with pytest.raises(ValueError, match="none exists") as error:
        read([str(listing)])
    one_line(error, listing, f"--root={birds}, for example")
    assert list(read([str(listing)], root=birds)) == [Query("class_00/00000.png", birds / "class_00/00000.png")]
    # What is named by itself, and what lies in a folder, is where it is.
    asked = read(["a.png", str(birds / "class_01")], root=birds)
    assert names(asked) == ["a.png", f"{birds}/class_01/00000.png"]


def test_all_kinds_in_one_order(birds):
    (birds / "list.csv").write_text("path\nclass_00/00002.png\n")
    asked = read(
        ["z.png", "-", str(birds / "class_01"), str(birds / "list.csv"), "a.png"], lines=[b"m.png\n", b"b.png"]
    )
    assert asked.total is None
    assert names(asked) == ["z.png", "m.png", "b.png", f"{birds}/class_01/00000.png", "class_00/00002.png", "a.png"]


def test_lines_are_read_one_by_one():
    given_away = []

    def lines():
        for n in range(10**9):
            given_away.append(n)
            yield f"{n}.png\n".encode()

    asked = iter(read(["-"], lines=lines()))
    assert not given_away
    assert [next(asked).name for _ in range(3)] == ["0.png", "1.png", "2.png"]
    assert len(given_away) == 3


file_names = st.binary(min_size=1, max_size=20).filter(lambda name: not {*name} & {*b"\r\n\0"})


@given(st.lists(file_names), st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_every_line_is_the_name_of_a_file_whatever_is_in_it(files, end):
    asked = list(read(["-"], lines=end.join([*files, b""]).splitlines(keepends=True)))
    assert [query.encoded for query in asked] == [Path(os.fsdecode(name)) for name in files]
    for query in asked:
        query.name.encode("utf-8")  # can be written down
    ordinary = [(query.name, name) for query, name in zip(asked, files, strict=True) if name.isascii()]
    assert all(shown == name.decode() for shown, name in ordinary)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: "", ["the path of an image is empty"]),
        (lambda path: path, ["holds no images, nor a file that lists any"]),
        (lambda path: path / "no.csv", ["no.csv does not exist"]),
        (lambda path: path / "empty.csv", ["empty.csv is empty"]),
        (lambda path: path / "bad.parquet", ["bad.parquet is not a complete parquet file"]),
        (lambda path: path / "labels.csv", ["labels.csv has no column for the path of the image", "label, n"]),
    ],
)
def test_what_cannot_be_asked_about_is_one_line(tmp_path, make, words):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "labels.csv").write_text("label,n\nx,1\n")
    path = make(tmp_path)
    if path == tmp_path:
        path = tmp_path / "folder"
        path.mkdir()
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read([str(path)])
    one_line(error, *words)
