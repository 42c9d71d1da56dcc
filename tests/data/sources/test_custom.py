"""Custom data: options, what is said of it, and its images without labels."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from longtail.data import sources
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


def _summary(source: sources.Source) -> tuple[list[str], list[tuple[int, ...]]]:
    return list(source.ids), [source.image(i).shape for i in range(len(source.labels))]


def test_a_source_goes_to_other_processes(tmp_path: Path) -> None:
    folder(tmp_path / "folder")
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1)
    for path in (tmp_path / "folder", tmp_path / "cifar10"):
        source = sources.read(path).source
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(_summary, (source,)) == _summary(source)


# --- descriptions -----------------------------------------------------------------------------------------------


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
