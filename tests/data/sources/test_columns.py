"""Columns: what they mean by their names, and names that mean two things."""

import pytest

from longtail.data.sources.columns import identify, part_in, part_of


@pytest.mark.parametrize("name", ["File Path", "file-path", "FILE.PATH", " filepath "])
def test_case_blanks_hyphens_and_points_do_not_matter(name: str) -> None:
    assert identify([name, "Label"], where="a.csv").paths == (name,)


def test_named_columns_leave_the_others_their_meaning() -> None:
    columns = identify(["path", "label", "art", "site"], where="a.csv", label_column="art", group_column="site")
    assert columns.labels == ("art",) and columns.groups == {"group": "site"} and columns.others == ("label",)
    with pytest.raises(ValueError, match=r"a\.csv has no column art \(data\.label_column\); it has path"):
        identify(["path"], where="a.csv", label_column="art")


def test_two_columns_for_one_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="columns split and subset could both be the split"):
        identify(["path", "label", "split", "subset"], where="a.csv")


def test_parts_are_words_and_not_pieces_of_words() -> None:
    assert part_of(" Valid ") == "validation" and part_of("trainer") is None
    assert part_in("train_images_test") == ("test", "train_images_*")  # the last one counts
    assert part_in("contest") is None
