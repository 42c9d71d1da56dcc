"""Tables: any text in any dialect is read back; a mistake in one is one line that says where it is."""

import csv
import io
import json
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data import sources
from longtail.data.source import PARTS
from longtail.data.sources.columns import LABEL, PART_NAMES, PATH, SPLIT
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
