"""Path lists: what they say is read back; every mistake is one line that says where it is."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data import sources
from longtail.data.source import PARTS
from longtail.data.sources.lists import CLASS_NAMES
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


def test_a_list_with_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_bytes(b"a.png 0\n\xff.png 1\n")
    with pytest.raises(ValueError, match="not UTF-8") as error:
        sources.read(tmp_path / "birds.txt")
    one_line(error, f"{tmp_path / 'birds.txt'} line 2")
