"""Formats: which can be read as one, and what they are called."""

from pathlib import Path

from longtail.data.sources import coco, detect, manifest
from longtail.data.sources.format import Request


def test_formats_of_one_family_are_read_as_one_and_others_are_not() -> None:
    assert coco.INATURALIST.is_like(coco.CAMERA_TRAPS) and coco.CAMERA_TRAPS.is_like(coco.INATURALIST)
    pairs = [(a.name, b.name) for a in detect.FORMATS for b in detect.FORMATS if a is not b and a.is_like(b)]
    assert sorted(pairs) == [("coco", "inaturalist"), ("inaturalist", "coco")]


def test_titles_follow_the_ending() -> None:
    assert manifest.TABLE.title_of(Path("a.TSV")) == "TSV manifest"
    assert coco.INATURALIST.title_of(Path("a.json")) == "iNaturalist JSON"


def test_names_are_unique_and_endings_in_lower_case() -> None:
    assert len({*detect.names()}) == len(detect.FORMATS)
    assert all(ending == ending.lower() and ending.startswith(".") for ending in detect.endings())


def test_paths_of_a_request_are_its_files() -> None:
    assert Request(Path("d"), [(Path("d/a.csv"), "train"), (Path("d/b.csv"), None)]).paths == [
        Path("d/a.csv"),
        Path("d/b.csv"),
    ]
