"""Somebody's own data: as what it is taken, when that cannot be told, and what is said of it."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from longtail.data import sources
from longtail.data.sources.images import Names, file_names
from support import fake_datasets
from support.fake_datasets import encode, picture
from support.messages import one_line

PNG = encode(picture(0, seed=0, height=8, width=8))


def folder(root: Path, *, parts: tuple[str, ...] = ("",)) -> Path:
    """An image folder of two classes."""
    for part in parts:
        for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
            file = root / part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(PNG)
    return root


MANIFEST = "path,label\ncat/1.png,x\ndog/1.png,y\n"


# --- as what it is taken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "form", "words"),
    [
        ("birds.csv", MANIFEST, "table", "CSV manifest (birds.csv)"),
        ("metadata.tsv", MANIFEST.replace(",", "\t"), "table", "TSV manifest (metadata.tsv)"),
        ("birds_train.txt", "cat/1.png 0\ndog/1.png 1\n", "list", "list of paths and class numbers (birds_train.txt)"),
        (
            "birds.json",
            '{"images": [], "annotations": [], "categories": []}',
            "inaturalist",
            "iNaturalist JSON (birds.json)",
        ),
    ],
)
def test_a_folder_that_is_two_things_is_refused(tmp_path: Path, name: str, content: str, form: Any, words: str) -> None:
    folder(tmp_path)
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="can be read as") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, f"as {words} or as image folder", f"data.form={form} or data.form=folder")
    assert sources.read(tmp_path, form="folder").source.class_names == ("cat", "dog")
    if form != "inaturalist":
        assert len(sources.read(tmp_path, form=form).source.labels) == 2


def test_files_that_name_no_images_and_classes_do_not_stand_in_the_way(tmp_path: Path) -> None:
    folder(tmp_path)
    for name, content in {
        "notes.csv": "when,what\n1,2\n",
        "captions.csv": "path,caption\ncat/1.png,x\n",
        "broken.csv": 'foto,"label\n',
        "README.txt": "cats and dogs\n",
        "classes.txt": "cat\ndog\n",
        "settings.json": "{",
        ".birds.csv": MANIFEST,
        "latin.txt": "Häher",
        "empty.jsonl": "",
    }.items():
        (tmp_path / name).write_text(content, encoding="latin-1")
    pyarrow.parquet.write_table(pyarrow.table({"path": ["cat/1.png"]}), tmp_path / "predictions.parquet")
    assert sources.read(tmp_path).form == "image folder"


def test_images_and_a_manifest_that_are_one_thing(tmp_path: Path) -> None:
    """Folders that are no classes: one folder of images, or a part of a split without classes."""
    for name in ("images", "train"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "1.png").write_bytes(PNG)
        (tmp_path / name / "labels.csv").write_text(f"path,label\n{name}/1.png,x\n2.png,y\n", encoding="utf-8")
        listing = sources.read(tmp_path / name)
        assert listing.form == "CSV manifest (labels.csv)" and listing.source.class_names == ("x", "y")


def test_a_form_that_it_has_not(tmp_path: Path) -> None:
    folder(tmp_path)
    for form in ("table", "hub", "list", "inaturalist", "coco"):
        with pytest.raises(
            ValueError, match=f"cannot be read with data.form={form}; it could be image folder"
        ) as error:
            sources.read(tmp_path, form=form)
        one_line(error, tmp_path)
    (tmp_path / "birds.csv").write_text(MANIFEST, encoding="utf-8")
    with pytest.raises(ValueError, match="it could be CSV manifest") as error:
        sources.read(tmp_path / "birds.csv", form="list")
    one_line(error, tmp_path / "birds.csv", "(table)")


def test_what_can_be_read_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "birds.xlsx").touch()
    with pytest.raises(ValueError, match="no data that can be read") as error:
        sources.read(tmp_path / "birds.xlsx")
    one_line(error, tmp_path / "birds.xlsx", "a folder", ".csv", ".txt")
    with pytest.raises(ValueError, match="holds no image files") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path)
    with pytest.raises(FileNotFoundError) as missing:
        sources.read(tmp_path / "no such")
    one_line(missing, tmp_path / "no such", "does not exist")


def test_options_of_tables_are_refused_elsewhere(tmp_path: Path) -> None:
    folder(tmp_path)
    with pytest.raises(ValueError, match="not as a table") as error:
        sources.read(tmp_path, label_column="art")
    one_line(error, tmp_path, "data.label_column is art")
    with pytest.raises(ValueError, match="not as a table") as error:
        sources.read(tmp_path, group_column="art")
    one_line(error, tmp_path, "data.group_by is art")
    fake_datasets.write_cifar_parquet(tmp_path / "hub", "cifar10", per_class_train=1, per_class_test=1)
    for path in (tmp_path, tmp_path / "hub" / "cifar10"):
        with pytest.raises(ValueError, match=r"data\.root") as error:
            sources.read(path, root=tmp_path)
        one_line(error, path, "no paths in it")


# --- what is said of it -----------------------------------------------------------------------------------------------


def test_a_description_of_few_classes(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    rows = "1.png,x,train,A\n2.png,y,train,A\n3.png,y,train,B\n4.png,y,test,\n"
    (tmp_path / "birds.csv").write_text(f"path,label,split,site\n{rows}5.png,,,\n", encoding="utf-8")
    assert sources.describe(sources.read(tmp_path / "birds.csv")) == (
        "CSV manifest: 4 images in 2 classes",
        "classes: y 3, x 1",
        "split: train 3, test 1",
        "groups: 2 locations",
        f"passed over 1 image without a label (the first: {tmp_path / 'birds.csv'} line 6)",
    )


def test_a_description_of_head_and_tail(tmp_path: Path) -> None:
    for name, images in (("a", 1), ("b", 1000), ("c", 5), ("d", 4), ("e", 3), ("f", 2), ("g", 7)):
        (tmp_path / name).mkdir()
        for i in range(images):
            (tmp_path / name / f"{i}.png").touch()
    assert sources.describe(sources.read(tmp_path)) == (
        "image folder: 1,022 images in 7 classes",
        "largest: b 1,000, g 7, c 5",
        "smallest: e 3, f 2, a 1",
        "split: none given",
        "groups: none given",
    )


def test_a_description_of_a_split_without_training_images(tmp_path: Path) -> None:
    folder(tmp_path, parts=("train", "val"))
    (tmp_path / "val" / "lynx").mkdir()
    (tmp_path / "val" / "lynx" / "1.png").touch()
    assert "split: train 3, validation 4; not in train: lynx" in sources.describe(sources.read(tmp_path))


# --- images alone -----------------------------------------------------------------------------------------------------


def test_images_of_a_folder(tmp_path: Path) -> None:
    folder(tmp_path)
    for name in ("cat/10.png", "top.png", "cat/notes.txt", "cat/.hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "birds.csv").write_text(MANIFEST, encoding="utf-8")
    images = sources.unlabelled(tmp_path)
    assert list(images.ids) == ["cat/1.png", "cat/2.png", "cat/10.png", "dog/1.png", "top.png"]
    assert images.encoded(2) == tmp_path / "cat" / "10.png"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "image\nd/1.png\nno such.png\nd/1.png\n"),
        ("b.csv", "label;path;species;split\n;d/1.png;x;holdout\nx;no such.png;;\ny;d/1.png;z;\n"),
        ("c.jsonl", '{"path": "d/1.png"}\n{"path": "no such.png"}\n{"path": "d/1.png"}'),
        ("d.txt", "d/1.png\nno such.png\n\nd/1.png\n"),
        ("e.txt", "d/1.png 7\nno such.png 8\nd/1.png x 9\n".replace(" x ", " ")),
        ("f.json", '{"images": [{"file_name": "d/1.png"}, {"file_name": "no such.png"}, {"file_name": "d/1.png"}]}'),
    ],
)
def test_images_of_a_file_one_for_each_row(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.png").write_bytes(PNG)
    (tmp_path / name).write_text(content, encoding="utf-8")
    images = sources.unlabelled(tmp_path / name)
    assert list(images.ids) == ["d/1.png", "no such.png", "d/1.png"]
    assert [images.encoded(i) for i in range(3)] == [tmp_path / each for each in images.ids]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / name).rename(elsewhere / name)
    assert sources.unlabelled(elsewhere / name, root=tmp_path).encoded(0) == tmp_path / "d" / "1.png"
    with pytest.raises(ValueError, match="none exists"):
        sources.unlabelled(elsewhere / name)


def test_images_of_a_folder_of_parquet(tmp_path: Path) -> None:
    written = fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1)
    images = sources.unlabelled(tmp_path / "cifar10")
    assert len(images.ids) == 20 and images.ids[10] == "test/0"
    encoded = images.encoded(10)
    assert isinstance(encoded, bytes)
    np.testing.assert_array_equal(sources.read(tmp_path / "cifar10").source.image(10), written["test"].pixels[0])


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_are_a_sequence() -> None:
    names = Names(file_names(["a", "b", "c"]))
    assert list(names) == names[:] == ["a", "b", "c"] and len(names) == 3
    assert names[-1] == names[np.int64(2)] == "c" and names[::-2] == ["c", "a"] and "b" in names
    with pytest.raises(IndexError):
        names[3]


def _summary(source: sources.Source) -> tuple[list[str], list[tuple[int, ...]]]:
    return list(source.ids), [source.image(i).shape for i in range(len(source.labels))]


def test_a_source_goes_to_other_processes(tmp_path: Path) -> None:
    folder(tmp_path / "folder")
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1)
    for path in (tmp_path / "folder", tmp_path / "cifar10"):
        source = sources.read(path).source
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(_summary, (source,)) == _summary(source)
