"""Built-in data sets: labels, names and pixels as they were written; what is found where; damage is one line."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from longtail.data import sources
from support import fake_datasets
from support.fake_datasets import CIFAR10_CLASSES, CIFAR100_CLASSES, Written, encode, picture, write_parquet
from support.messages import one_line

PNG = encode(picture(0, seed=0))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's data or cache is in the way, and nothing is fetched from a network."""
    monkeypatch.delenv("LONGTAIL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", mock.Mock(side_effect=AssertionError("a download")))


def check(source: sources.Source, written: Written, *, tolerance: int = 0) -> None:
    assert source.labels.dtype == np.int64
    np.testing.assert_array_equal(source.labels, written.labels)
    for i, expected in enumerate(written.pixels):
        image = source.image(i)
        assert image.dtype == np.uint8 and image.shape[2] == 3
        difference = np.abs(np.asarray(image).astype(int) - expected)
        assert difference.max() <= 8 * tolerance and difference.mean() <= tolerance
    assert len(set(source.ids)) == len(source.labels)


# --- digits -----------------------------------------------------------------------------------------------------------


def test_digits_are_split_evenly_and_always_the_same() -> None:
    train, test = sources.load("digits", "train"), sources.load("digits", "test")
    assert (len(train.labels), len(test.labels)) == (1297, 500)
    assert np.bincount(test.labels).tolist() == [50] * 10
    assert np.bincount(train.labels).min() == 124 and np.bincount(train.labels).max() == 133
    assert not set(train.ids) & set(test.ids) and len({*train.ids, *test.ids}) == 1797
    assert train.class_names == test.class_names == tuple("0123456789")
    # The very images: a release that chose others would change every number of the demo, and no run could be resumed.
    assert [sources.fingerprint(source) for source in (train, test)] == ["96bc695636e14693", "80a83dfe868ca1b9"]


def test_digits_are_scikit_learns_twice_as_large() -> None:
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    source = sources.load("digits", "train")
    for i in (0, 700, 1296):
        pixels, original = np.asarray(source.image(i)), int(source.ids[i].split("/")[1])
        assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels[::2, ::2, 0], np.round(data.images[original] * 255 / 16))
        np.testing.assert_array_equal(pixels, pixels[::2, ::2, :1].repeat(2, 0).repeat(2, 1).repeat(3, 2))
        assert source.labels[i] == data.target[original]


# --- CIFAR from parquet -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("parts", [1, 3])
def test_cifar_from_parquet(tmp_path: Path, name: Literal["cifar10", "cifar100"], parts: int) -> None:
    written = fake_datasets.write_cifar_parquet(tmp_path, name, per_class_train=3, per_class_test=1, parts=parts)
    for split in ("train", "test"):
        source = sources.load(name, split, data_root=tmp_path)
        check(source, written[split])
        assert source.class_names == (CIFAR10_CLASSES if name == "cifar10" else CIFAR100_CLASSES)
        assert source.ids[:2] == [f"{split}/0", f"{split}/1"]


@pytest.mark.parametrize("folder", [".", "cifar10", "plain_text", "cifar10/plain_text"])
def test_cifar_is_found_in_the_root_a_folder_and_the_hubs_nested_folder(tmp_path: Path, folder: str) -> None:
    written = fake_datasets.write_cifar_parquet(tmp_path / "made", "cifar10", per_class_train=1, per_class_test=1)
    shutil.copytree(tmp_path / "made" / "cifar10", tmp_path / "root" / folder, dirs_exist_ok=True)
    check(sources.load("cifar10", "test", data_root=tmp_path / "root"), written["test"])


def test_both_cifars_side_by_side_under_other_names(tmp_path: Path) -> None:
    written: dict[fake_datasets.Cifar, dict[str, Written]] = {}
    folders: dict[fake_datasets.Cifar, str] = {"cifar10": "a", "cifar100": "b"}
    for name, folder in folders.items():
        written[name] = fake_datasets.write_cifar_parquet(tmp_path, name, per_class_train=1, per_class_test=1)
        (tmp_path / name).rename(tmp_path / folder)
    for name in folders:
        check(sources.load(name, "train", data_root=tmp_path), written[name]["train"])


def test_one_cifar_is_not_taken_for_the_other_nor_another_set_for_cifar(tmp_path: Path) -> None:
    written = fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1)
    with pytest.raises(FileNotFoundError) as error:
        sources.load("cifar100", "train", data_root=tmp_path)
    one_line(error, "cifar100 not found", tmp_path / "cifar10" / "train-00000-of-00001.parquet")
    mnist = tmp_path / "mnist" / "train-00000-of-00001.parquet"
    write_parquet(mnist, [PNG], [0], "0123456789", label_column="label", image_column="image")
    (tmp_path / "mine").mkdir()
    table = pyarrow.table({"label": [0], "picture": ["a.png"]})
    pyarrow.parquet.write_table(table, tmp_path / "mine" / "train-0.parquet")
    for folder in ("mnist", "mine"):
        with pytest.raises(FileNotFoundError, match="passed over, as it is not cifar10"):
            sources.load("cifar10", "train", data_root=tmp_path / folder)
    # Nor do they stand in its way.
    (tmp_path / "cifar10").rename(tmp_path / "zoo")
    check(sources.load("cifar10", "train", data_root=tmp_path), written["train"])


def test_the_image_column_may_have_either_name(tmp_path: Path) -> None:
    file = tmp_path / "train-00000-of-00001.parquet"
    write_parquet(file, [PNG], [2], CIFAR10_CLASSES, label_column="label", image_column="image")
    source = sources.load("cifar10", "train", data_root=tmp_path)
    np.testing.assert_array_equal(np.asarray(source.image(0)), picture(0, seed=0))


def test_a_missing_part_or_too_many_are_errors(tmp_path: Path) -> None:
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1, parts=2)
    (tmp_path / "cifar10" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match="as many parts as they say") as error:
        sources.load("cifar10", "train", data_root=tmp_path)
    one_line(error, tmp_path / "cifar10", "train-00000-of-00002.parquet")
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1)
    with pytest.raises(ValueError, match="as many parts as they say"):
        sources.load("cifar10", "test", data_root=tmp_path)  # of 1 and of 2: which of them?


def test_train_without_test(tmp_path: Path) -> None:
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=1, per_class_test=1)
    (tmp_path / "cifar10" / "test-00000-of-00001.parquet").unlink()
    sources.load("cifar10", "train", data_root=tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        sources.load("cifar10", "test", data_root=tmp_path)
    one_line(error, tmp_path / "cifar10", "train-00000-of-00001.parquet", "test-*.parquet")


# --- CIFAR from parquet: damage ---------------------------------------------------------------------------------------


def _cut(file: Path, length: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * length)])


@pytest.mark.parametrize("length", [0, 0.001, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("part", [0, 1])
def test_truncated_parquet(tmp_path: Path, length: float, part: int) -> None:
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=4, per_class_test=1, parts=2)
    file = tmp_path / "cifar10" / f"train-0000{part}-of-00002.parquet"
    _cut(file, length)
    with pytest.raises(ValueError, match="not a complete parquet file") as error:
        sources.load("cifar10", "train", data_root=tmp_path)
    one_line(error, file)


def test_parquet_with_damaged_pages(tmp_path: Path) -> None:
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=4, per_class_test=1)
    file = tmp_path / "cifar10" / "train-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    content[4:1000] = b"\xff" * 996
    file.write_bytes(content)
    with pytest.raises(ValueError, match="not a complete parquet file") as error:
        sources.load("cifar10", "train", data_root=tmp_path)
    one_line(error, file)


# --- CIFAR from the official archives ---------------------------------------------------------------------------------


def _archive(
    monkeypatch: pytest.MonkeyPatch, root: Path, name: Literal["cifar10", "cifar100"], **options: Any
) -> dict[str, Written]:
    written, attributes = fake_datasets.write_cifar_archive(root, name, per_class_train=5, per_class_test=1, **options)
    for key, value in attributes.items():
        monkeypatch.setattr(f"torchvision.datasets.{name.upper()}.{key}", value)
    return written


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_cifar_from_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Literal["cifar10", "cifar100"], pack: bool, nested: bool
) -> None:
    written = _archive(monkeypatch, tmp_path / name if nested else tmp_path, name, pack=pack)
    for split in ("train", "test"):
        source = sources.load(name, split, data_root=tmp_path)
        check(source, written[split])
        assert source.class_names == (CIFAR10_CLASSES if name == "cifar10" else CIFAR100_CLASSES)


def test_parquet_goes_before_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _archive(monkeypatch, tmp_path, "cifar10", seed=1)
    written = fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=5, per_class_test=1)
    check(sources.load("cifar10", "train", data_root=tmp_path), written["train"])


def test_a_damaged_archive_is_an_error_and_not_fetched_without_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _archive(monkeypatch, tmp_path, "cifar10", pack=True)
    archive = tmp_path / "cifar-10-python.tar.gz"
    _cut(archive, 0.5)
    with pytest.raises(ValueError, match="incomplete or damaged") as error:
        sources.load("cifar10", "train", data_root=tmp_path)
    one_line(error, archive, "--download")
    # With consent it is.
    whole = _archive(monkeypatch, tmp_path / "server", "cifar10", pack=True)["train"]
    fetch = _Fetch(monkeypatch, tmp_path / "server" / archive.name)
    check(sources.load("cifar10", "train", data_root=tmp_path, download=True), whole)
    assert len(fetch.urls) == 1


class _Fetch:
    """A network in which every address leads to one file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.file, self.urls = file, list[str]()
        monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", self)
        monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)

    def __call__(self, url: str, target: str) -> None:
        self.urls.append(url)
        shutil.copy(self.file, target)


def test_a_damaged_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _archive(monkeypatch, tmp_path, "cifar10")
    _cut(tmp_path / "cifar-10-batches-py" / "data_batch_3", 0.5)
    with pytest.raises(ValueError, match="incomplete or damaged") as error:
        sources.load("cifar10", "test", data_root=tmp_path)
    one_line(error, tmp_path / "cifar-10-batches-py")


def test_an_interrupted_unpacking_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = _archive(monkeypatch, tmp_path, "cifar100", pack=True)
    sources.load("cifar100", "train", data_root=tmp_path)
    (tmp_path / "cifar-100-python" / "test").unlink()
    check(sources.load("cifar100", "test", data_root=tmp_path), written["test"])


# --- where data is looked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", [None, "", "set"])
def test_download_goes_where_it_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    written = _archive(monkeypatch, tmp_path / "server", "cifar100", pack=True)
    fetch = _Fetch(monkeypatch, tmp_path / "server" / "cifar-100-python.tar.gz")
    if variable is not None:
        monkeypatch.setenv("LONGTAIL_DATA", str(tmp_path / "named") if variable else "")
    with pytest.raises(FileNotFoundError):
        sources.load("cifar100", "train")
    check(sources.load("cifar100", "train", download=True), written["train"])
    check(sources.load("cifar100", "test", download=True), written["test"])
    check(sources.load("cifar100", "test"), written["test"])
    assert fetch.urls == ["https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"]
    named = tmp_path / "named" if variable else tmp_path / "no-cache" / "longtail"
    assert (named / "cifar100" / "cifar-100-python.tar.gz").is_file()


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", mock.Mock(side_effect=OSError("no\nnetwork")))
    with pytest.raises(ValueError, match="cannot be fetched or unpacked: no network") as error:
        sources.load("cifar10", "train", data_root=tmp_path, download=True)
    one_line(error, tmp_path / "cifar10" / "cifar-10-python.tar.gz")


def test_the_named_root_goes_before_the_variable_and_that_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {
        place: fake_datasets.write_cifar_parquet(
            tmp_path / place, "cifar10", per_class_train=1, per_class_test=1, seed=seed
        )
        for seed, place in enumerate(["cache/longtail", "variable", "named"])
    }
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    check(sources.load("cifar10", "train"), written["cache/longtail"]["train"])
    monkeypatch.setenv("LONGTAIL_DATA", str(tmp_path / "variable"))
    check(sources.load("cifar10", "train"), written["variable"]["train"])
    check(sources.load("cifar10", "train", data_root=tmp_path / "named"), written["named"]["train"])
    # What the user names is the only place: data of somebody else must not slip in.
    with pytest.raises(FileNotFoundError):
        sources.load("cifar10", "train", data_root=tmp_path / "empty")


def test_cache_folder_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert sources.cache_folder() == tmp_path / ".cache" / "longtail"
    monkeypatch.setenv("LONGTAIL_DATA", "~/pictures")
    written = fake_datasets.write_cifar_parquet(tmp_path / "pictures", "cifar10", per_class_train=1, per_class_test=1)
    check(sources.load("cifar10", "test"), written["test"])


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("cifar10", ["uoft-cs/cifar10", "cifar-10-python.tar.gz", "--download"]),
        ("cifar100", ["uoft-cs/cifar100", "cifar-100-python.tar.gz", "--download"]),
        ("inaturalist2018", ["train2018.json", "train_val2018", "--data-root"]),
    ],
)
def test_missing_data_names_the_places_and_how_to_get_it(tmp_path: Path, name: Any, advice: list[str]) -> None:
    with pytest.raises(FileNotFoundError, match=f"{name} not found") as error:
        sources.load(name, "train", data_root=tmp_path / "a")
    one_line(error, tmp_path / "a" / name, tmp_path / "a", *advice)
    with pytest.raises(FileNotFoundError) as error:
        sources.load(name, "train")
    one_line(error, tmp_path / "no-cache" / "longtail" / name, "LONGTAIL_DATA")


def test_an_unknown_name() -> None:
    unchecked: Callable[..., sources.Source] = getattr(sources.load, "__wrapped__", sources.load)
    with pytest.raises(Exception, match="mnist"):
        unchecked("mnist", "train")


# --- iNaturalist ------------------------------------------------------------------------------------------------------


def test_inaturalist(tmp_path: Path) -> None:
    written = fake_datasets.write_inaturalist(tmp_path, classes=5, per_class=[6, 3, 2, 1, 1], per_class_test=2)
    for split in ("train", "test"):
        for root in (tmp_path, tmp_path / "inaturalist2018"):
            source = sources.load("inaturalist2018", split, data_root=root)
            check(source, written[split], tolerance=6)
        assert source.class_names == tuple(f"Genus species{c}" for c in range(5))  # by id, not by place in the file
        assert source.ids[0].startswith("train_val2018/")
    assert np.bincount(written["train"].labels).tolist() == [6, 3, 2, 1, 1]
    assert len({image.shape for image in written["train"].pixels}) > 1


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    fake_datasets.write_inaturalist(tmp_path, classes=2, per_class=2)
    return tmp_path / "inaturalist2018" / "train2018.json"


def test_a_missing_and_a_damaged_image_file(tmp_path: Path, listing: Path) -> None:
    source = sources.load("inaturalist2018", "train", data_root=tmp_path)
    file = listing.parent / source.ids[1]
    _cut(file, 0.5)
    with pytest.raises(ValueError, match="cannot be decoded") as error:
        source.image(1)
    one_line(error, file)
    file.unlink()
    with pytest.raises(ValueError, match="does not exist") as error:
        source.image(1)
    one_line(error, file)


def test_malformed_json(tmp_path: Path, listing: Path) -> None:
    _cut(listing, 0.9)
    with pytest.raises(ValueError, match="not an iNaturalist listing") as error:
        sources.load("inaturalist2018", "train", data_root=tmp_path)
    one_line(error, listing)


def _without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.pop(key)


@pytest.mark.parametrize(
    "spoil",
    [
        _without("images"),
        _without("annotations"),
        _without("categories"),
        lambda content: content["annotations"].pop(),
        lambda content: content["annotations"][0].update(category_id=99),
        lambda content: content["images"][0].update(file_name=5),
        lambda content: content["images"][0].pop("file_name"),
        lambda content: content["categories"].append("birds"),
        lambda content: content.update(images=7),
    ],
)
def test_json_of_another_kind(tmp_path: Path, listing: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(listing.read_text())
    spoil(content)
    listing.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="not an iNaturalist listing") as error:
        sources.load("inaturalist2018", "train", data_root=tmp_path)
    one_line(error, listing)


def test_json_that_is_no_object_or_no_text(tmp_path: Path, listing: Path) -> None:
    for content in (b"[1, 2]", b"", b"\xff\xfe\xfd"):
        listing.write_bytes(content)
        with pytest.raises(ValueError, match="not an iNaturalist listing"):
            sources.load("inaturalist2018", "train", data_root=tmp_path)


def test_names_outside_of_ascii(tmp_path: Path, listing: Path) -> None:
    content = json.loads(listing.read_text())
    content["categories"][0]["name"] = "Þröstur"
    listing.write_bytes(json.dumps(content, ensure_ascii=False).encode())
    assert "Þröstur" in sources.load("inaturalist2018", "train", data_root=tmp_path).class_names


# --- every source -----------------------------------------------------------------------------------------------------


def _every(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, sources.Source]:
    fake_datasets.write_cifar_parquet(tmp_path, "cifar10", per_class_train=2, per_class_test=1, parts=2)
    fake_datasets.write_inaturalist(tmp_path, classes=3, per_class=2)
    _archive(monkeypatch, tmp_path, "cifar100")
    return {name: sources.load(name, "train", data_root=tmp_path) for name in sources.NAMES}


def test_images_can_be_sent_to_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in _every(tmp_path, monkeypatch).items():
        image = pickle.loads(pickle.dumps(source.image))
        for i in (0, len(source.labels) - 1):
            np.testing.assert_array_equal(np.asarray(image(i)), np.asarray(source.image(i)), err_msg=name)


def test_the_index_holds_no_list_of_python_objects_that_workers_would_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A forked worker that counts references to an object gets its memory page copied. What an image is looked up in
    # must be arrays; lists may hold files, of which there are few, but not images.
    for name, source in _every(tmp_path, monkeypatch).items():
        function: Any = source.image
        for argument in function.args:
            assert not isinstance(argument, (list, tuple, dict)) or len(argument) < 5, (name, type(argument))


def test_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> set[str]:
        return {str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.exists()}

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files can be listed on Linux only")
    for source in _every(tmp_path, monkeypatch).values():
        source.image(0)
    assert not [file for file in opened() if file.startswith(str(tmp_path))]
