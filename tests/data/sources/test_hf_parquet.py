"""Parquet with images in it: read as it was written; damage is one line with the file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from longtail.data import sources
from support import fake_datasets
from support.fake_datasets import encode, picture, write_parquet
from support.messages import one_line

PNG = encode(picture(0, seed=0))


NAMED = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a", "b"]}}}})}


def rows(listing: sources.Listing) -> list[tuple[str, str]]:
    """Path and class of each image."""
    source = listing.source
    return [(source.ids[i], source.class_names[label]) for i, label in enumerate(source.labels)]


def test_images_of_other_modes_become_rgb(tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    image = Image.fromarray(picture(1, seed=1))
    others = [image.convert(mode) for mode in ("L", "P", "RGBA", "1")]
    encoded = []
    for other in others:
        other.save(buffer := io.BytesIO(), "PNG")
        encoded.append(buffer.getvalue())
    write_parquet(file, encoded, [0] * 4, ["a"], label_column="label")
    source = sources.read_parquet([file], label_column="label")
    for i, other in enumerate(others):
        np.testing.assert_array_equal(np.asarray(source.image(i)), np.asarray(other.convert("RGB")))


def test_parts_must_have_the_same_classes(tmp_path: Path) -> None:
    files = [tmp_path / "train-0.parquet", tmp_path / "train-1.parquet"]
    for file, names in zip(files, (("a", "b"), ("b", "a")), strict=True):
        write_parquet(file, [PNG], [0], names, label_column="label")
    with pytest.raises(ValueError, match="other class names") as error:
        sources.read_parquet(files, label_column="label")
    one_line(error, *files)


def _columns(file: Path, *, metadata: dict[str, str] | None, **columns: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=metadata), file)


@pytest.mark.parametrize(
    "columns",
    [
        {"label": [0]},
        {"img": [{"bytes": b"", "path": ""}]},
        {"img": [b""], "label": [0]},
        {"img": [{"path": "a.png"}], "label": [0]},
        {"img": [{"bytes": b"", "path": ""}], "label": ["a"]},
        {"img": [{"bytes": b"", "path": ""}], "label": [0.5]},
    ],
)
def test_parquet_with_wrong_columns(tmp_path: Path, columns: dict[str, Any]) -> None:
    file = tmp_path / "train.parquet"
    _columns(file, metadata=NAMED, **columns)
    with pytest.raises(ValueError, match="need img or image") as error:
        sources.read_parquet([file], label_column="label")
    one_line(error, file, "has columns", next(iter(columns)))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"other": "{}"},
        {"huggingface": "{"},
        {"huggingface": '{"info": {"features": []}}'},
        {"huggingface": '{"info": {"features": {"label": {"dtype": "int64"}}}}'},
    ],
)
def test_parquet_without_class_names(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    file = tmp_path / "train.parquet"
    _columns(file, metadata=metadata, img=[{"bytes": PNG}], label=[0])
    with pytest.raises(ValueError, match="no names for the classes of label") as error:
        sources.read_parquet([file], label_column="label")
    one_line(error, file)


@pytest.mark.parametrize(
    ("labels", "words"),
    [([0, 2], "from 0 to 2; allowed: 0 to 1"), ([-1, 0], "from -1 to 0"), ([0, None], "1 images have no label")],
)
def test_labels_out_of_range(tmp_path: Path, labels: list[int | None], words: str) -> None:
    files = [tmp_path / "train-0.parquet", tmp_path / "train-1.parquet"]
    write_parquet(files[0], [PNG], [0], ["a", "b"], label_column="label")
    write_parquet(files[1], [PNG] * 2, labels, ["a", "b"], label_column="label")
    with pytest.raises(ValueError, match=words) as error:
        sources.read_parquet(files, label_column="label")
    one_line(error, files[1])


@pytest.mark.parametrize(
    "image",
    [b"", None, b"no image", PNG[:60], PNG[:33], PNG[:-30], encode(picture(0, seed=0), "JPEG")[:-200], PNG[:8]],
)
def test_undecodable_image(tmp_path: Path, image: bytes | None) -> None:
    files = [tmp_path / "train-0.parquet", tmp_path / "train-1.parquet"]
    write_parquet(files[0], [PNG] * 3, [0] * 3, ["a"], label_column="label")
    write_parquet(files[1], [PNG, image, PNG], [0] * 3, ["a"], label_column="label")
    source = sources.read_parquet(files, label_column="label")
    for whole in (3, 5):
        source.image(whole)
    with pytest.raises(ValueError, match="cannot be decoded") as error:
        source.image(4)
    one_line(error, files[1], "image 4")
    assert "0x" not in str(error.value)


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
    assert listing.source.image(1).shape == (32, 32, 3)
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
