"""Records: numbers of classes and groups, and what is left out with a note."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

from longtail.data.sources.images import file_names, of_files
from longtail.data.sources.records import Records, listing


def records(names: list[str], labels: list[str | None], **more: Any) -> Records:
    images = of_files(Path("birds"), file_names(names))
    return Records(images, pyarrow.array(labels, pyarrow.string()), Path("birds.csv"), lambda row: f"row {row}", **more)


def test_classes_are_sorted_cleaned_and_numbered() -> None:
    found = listing(records(["a", "b", "c"], [" wren", "Cafe\u0301", "wren"]), "CSV manifest")
    assert found.source.class_names == ("Caf\u00e9", "wren") and found.source.labels.tolist() == [1, 0, 1]
    assert found.notes == ("1 class written in several ways and read as one: ' wren' and 'wren'",)


def test_images_without_a_label_and_repeated_ones_are_left_out() -> None:
    given = records(["a", "b", "a", "a"], ["x", None, "x", "y"], parts=np.array([0, 0, 0, 0]))
    found = listing(given, "CSV manifest")
    assert list(found.source.ids) == ["a", "a"] and found.source.labels.tolist() == [0, 1]
    assert [note.split(" (")[0] for note in found.notes] == [
        "passed over 1 image without a label",
        "passed over 1 image listed again with the same label and split",
    ]
    with pytest.raises(ValueError, match=r"birds\.csv has no image with a label"):
        listing(records(["a"], [None]), "CSV manifest")


def test_sequences_of_one_name_at_two_locations_are_two() -> None:
    groups = {"sequence": pyarrow.array(["s", "s", None, "s"]), "location": pyarrow.array(["1", "2", "2", "1"])}
    found = listing(records(["a", "b", "c", "d"], ["x"] * 4, groups=groups), "COCO").groups
    assert [*found] == ["location", "sequence"]
    sequence = found["sequence"].tolist()
    assert sequence[0] == sequence[3] != sequence[1] and sequence[2] == -1
