"""Custom data of a run: what is reported, what is left out, and what is never left out silently."""

import numpy as np
import pytest
from PIL import Image

from longtail import recipe
from longtail.data.source import PARTS, Listing, Source
from longtail.runs import custom_data
from support import fake_datasets, messages

NAMES = ("cat", "dog", "lynx", "owl")


def data(**settings) -> recipe.Data:
    return recipe.Data(name="own", **settings)


def listing(sizes, **more) -> Listing:
    """Images that nobody opens, class after class, named by their position."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    source = Source(labels, NAMES[: len(sizes)], _never, [f"{i}.png" for i in range(len(labels))])
    return Listing(source, "image folder", **more)


def _never(index):
    raise AssertionError(f"image {index} is opened")


def split_of(given: Listing, readable=None, *, split=None, **settings):
    one = recipe.load("own/small", {"split": split})
    one = one.model_copy(update={"data": data(**settings)})
    readable = np.arange(len(given.source.labels)) if readable is None else np.array(readable)
    return custom_data.split(given, given.source, readable, one)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_data_is_where_the_settings_say_or_where_it_was_moved(tmp_path):
    fake_datasets.write_folder(tmp_path / "a", [2, 2])
    fake_datasets.write_folder(tmp_path / "b", [3, 3])
    settings = data(path=str(tmp_path / "a"))
    assert len(custom_data.read(settings).source.labels) == 4
    assert len(custom_data.read(settings, path=tmp_path / "b").source.labels) == 6
    with pytest.raises(ValueError, match=r"data\.path is null; say where your images are: --set data\.path=DIR"):
        custom_data.read(data())


def test_any_column_can_keep_images_together(tmp_path):
    fake_datasets.write_folder(tmp_path, [3, 3])
    rows = [f"class_0{c}/0000{n}.png,class_0{c},day {n % 2},site {c}" for c in range(2) for n in range(3)]
    (tmp_path / "images.csv").write_text("\n".join(["filepath,label,day,Location", *rows]))
    for wanted, groups in (("day", [0, 1, 0, 0, 1, 0]), ("location", [0, 0, 0, 1, 1, 1])):
        settings = data(path=str(tmp_path / "images.csv"), group_by=wanted)
        read = custom_data.read(settings)
        kept = custom_data.kept_together(read, settings)
        assert kept is not None and read.groups[kept].tolist() == groups


# --- unreadable images ------------------------------------------------------------------------------------------------


def test_unreadable_images_are_told_with_the_first_reasons():
    given = listing([9, 3])
    assert custom_data.check_unreadable(given, {}, data()) == ()
    lost = {4: "is empty", 1: "is damaged", 10: "is a folder", 3: "is empty"}
    assert custom_data.check_unreadable(given, lost, data()) == (
        "left out 4 images that cannot be read: 1.png is damaged; 3.png is empty; 4.png is empty; and 1 more",
    )


@pytest.mark.parametrize(("limit", "allowed"), [(0.0, False), (0.24, False), (0.25, True), (1.0, True), (None, True)])
def test_no_more_may_be_unreadable_than_is_allowed(limit, allowed):
    given, lost = listing([9, 3]), dict.fromkeys([0, 1, 2], "is empty")
    if allowed:
        assert custom_data.check_unreadable(given, lost, data(max_unreadable=limit))
        return
    with pytest.raises(ValueError, match=r"3 images of 12 cannot be read, more than data\.max_unreadable") as caught:
        custom_data.check_unreadable(given, lost, data(max_unreadable=limit))
    messages.one_line(caught, "0.png is empty")


@pytest.mark.parametrize("limit", [None, 1.0])
def test_no_class_may_vanish(limit):
    given, lost = listing([9, 2, 1]), {9: "is empty", 10: "is damaged", 11: "is a folder"}
    with pytest.raises(ValueError, match="2 classes would vanish, since no training image can be read: dog, lynx") as e:
        custom_data.check_unreadable(given, lost, data(max_unreadable=limit))
    messages.one_line(e, "9.png is empty")
    del lost[9], lost[11]
    assert custom_data.check_unreadable(given, lost, data(max_unreadable=limit))


def test_a_class_may_not_vanish_from_training_where_the_data_gives_the_parts():
    given = listing([3, 3], parts=np.array([0, 0, 2, 0, 2, 2]))
    with pytest.raises(ValueError, match="1 class would vanish, since no training image can be read: dog"):
        custom_data.check_unreadable(given, {3: "is empty"}, data())
    assert custom_data.check_unreadable(given, {4: "is empty", 5: "is empty"}, data()), "it is not measured, but learnt"


@pytest.fixture
def broken(tmp_path, monkeypatch) -> Source:
    """A folder of 6 images, of which the one at position 4 is no image."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake_datasets.write_folder(tmp_path / "images", [3, 3])
    (tmp_path / "images/class_01/00001.png").write_bytes(b"")
    return custom_data.read(data(path=str(tmp_path / "images"))).source


@pytest.mark.parametrize("packed", [None, True, False])
def test_decoding_finds_what_is_unreadable(broken, packed):
    decoded, unreadable = custom_data.decode(broken, data(packed=packed))
    assert [*unreadable] == [4]
    assert (decoded.image(0) == broken.image(0)).all()
    assert decoded.ids[4] == "class_01/00001.png"


def test_packed_images_are_shrunk_to_what_a_crop_needs(broken):
    for size, side in ((None, 32), (14, 16), (224, 32)):
        decoded, _ = custom_data.decode(broken, data(image_size=size))
        assert decoded.image(0).shape == (side, side, 3)
    decoded, _ = custom_data.decode(broken, data(image_size=14, packed=False))
    assert decoded.image(0).shape == (32, 32, 3)


def test_images_that_become_unreadable_later_are_noticed(broken):
    assert custom_data.decode_again(broken, data(), {4: "is empty"}).image(0).shape == (32, 32, 3)
    with pytest.raises(ValueError, match="1 image could be read when the run was started and cannot be now: class_01"):
        custom_data.decode_again(broken, data(), {})
    assert custom_data.decode_again(broken, data(packed=False), {}) is broken


# --- rare classes -----------------------------------------------------------------------------------------------------


def rare(sizes, readable=None, **settings):
    source = listing(sizes).source
    readable = np.arange(len(source.labels)) if readable is None else np.array(readable)
    merged, lines = custom_data.merge_rare(source, readable, data(**settings))
    return source, merged, lines


def test_without_a_minimum_no_class_is_rare():
    source, same, lines = rare([5, 1])
    assert same is source and lines == ()


def test_rare_classes_are_kept_but_told():
    source, same, lines = rare([5, 2, 1], min_images=3)
    assert same is source
    assert lines == ("2 classes have fewer than 3 images: dog (2), lynx (1); kept (data.on_rare)",)


def test_readable_images_count():
    _, _, lines = rare([5, 3], [0, 1, 2, 3, 4, 5, 6], min_images=3)
    assert lines == ("1 class has fewer than 3 images: dog (2); kept (data.on_rare)",)


def test_rare_classes_can_be_an_error():
    with pytest.raises(ValueError, match=r"1 class has fewer than 3 images: lynx \(1\); add images, lower data.min_"):
        rare([5, 4, 1], min_images=3, on_rare="error")
    rare([5, 4, 3], min_images=3, on_rare="error")


def test_rare_classes_become_a_new_class():
    _, merged, lines = rare([2, 5, 1, 4], min_images=3, on_rare="merge: other ")
    assert merged.class_names == ("dog", "owl", "other")
    assert merged.labels.tolist() == [2, 2, 0, 0, 0, 0, 0, 2, 1, 1, 1, 1]
    assert lines == (
        "2 classes have fewer than 3 images: cat (2), lynx (1); merged into other, now with 3 images (data.on_rare)",
    )


@pytest.mark.parametrize("sizes", [[4, 5, 1, 2], [1, 5, 1, 2]])
def test_rare_classes_can_join_a_class_that_is_there(sizes):
    """Whether that one is rare itself or not, it stays where it is in the order."""
    _, merged, _ = rare(sizes, min_images=3, on_rare="merge:cat")
    assert merged.class_names == ("cat", "dog")
    assert np.bincount(merged.labels).tolist() == [sum(sizes) - 5, 5]


def test_a_class_is_not_merged_into_itself():
    source, same, lines = rare([5, 2], min_images=3, on_rare="merge:dog")
    assert same is source and lines[0].endswith("dog (2); kept (data.on_rare)")


def test_one_class_is_nothing_to_learn(tmp_path):
    fake_datasets.write_folder(tmp_path / "images", [3])
    with pytest.raises(ValueError, match="images has only the class 'class_00'; a classifier needs at"):
        custom_data.read(data(path=str(tmp_path / "images")))


def test_at_least_two_classes_must_be_left():
    with pytest.raises(ValueError, match="merged, only the class 'other' would be left"):
        rare([2, 2, 1], min_images=3, on_rare="merge:other")


# --- parts ------------------------------------------------------------------------------------------------------------


def sizes(found):
    return tuple(len(getattr(found, part)) for part in PARTS)


@pytest.mark.parametrize(
    ("split", "settings", "expected"),
    [
        (None, {}, (32, 0, 8)),
        ("test", {}, (32, 0, 8)),
        ("validation", {}, (28, 4, 8)),
        (None, {"test_share": 0.5}, (20, 0, 20)),
        (None, {"test_share": 0.5, "validation_share": 0.25}, (10, 10, 20)),
        ("validation", {"test_share": 0.0, "validation_share": 0.3}, (28, 12, 0)),
    ],
)
def test_parts_of_data_that_gives_none(split, settings, expected):
    found, lines = split_of(listing([20, 20]), split=split, **settings)
    assert sizes(found) == expected
    assert lines[0].startswith("held out ")


TRAIN, VALIDATION, TEST = range(3)


@pytest.mark.parametrize(
    ("given", "split", "expected", "measured"),
    [
        ((TRAIN, TEST), None, (20, 0, 20), "test"),
        ((TRAIN, TEST), "validation", (18, 2, 20), "test"),
        ((TRAIN, VALIDATION), None, (20, 20, 0), "validation"),
        ((TRAIN, VALIDATION), "validation", (20, 20, 0), "validation"),
        ((TRAIN, VALIDATION), "test", (16, 20, 4), "test"),
        ((TRAIN, TRAIN), None, (32, 0, 8), "test"),
        ((-1, TEST), None, (20, 0, 20), "test"),
        ((TRAIN, -1), None, (32, 0, 8), "test"),
    ],
)
def test_parts_of_data_that_gives_some(given, split, expected, measured):
    parts = np.tile(given, 20).astype(np.int64)
    found, lines = split_of(listing([20, 20], parts=parts), split=split)
    assert sizes(found) == expected
    assert found.evaluation_part == measured
    told = [line for line in lines if "evaluated on the validation part" in line]
    assert bool(told) == (measured == "validation" and split is None)


def test_a_share_of_a_part_that_the_data_gives_is_a_mistake():
    given = listing([2, 2], parts=np.array([0, 2, 0, 1]))
    for part in ("test", "validation"):
        with pytest.raises(ValueError, match=f"data.{part}_share is 0.1, but the data gives a {part} part of its own"):
            split_of(given, **{f"{part}_share": 0.1})


def test_unreadable_images_are_in_no_part():
    found, _ = split_of(listing([6, 6]), [0, 2, 3, 4, 7, 8, 9, 11])
    assert sorted([*found.train, *found.test]) == [0, 2, 3, 4, 7, 8, 9, 11]


def test_groups_are_kept_together_the_widest_first():
    location, sequence = np.repeat([0, 1, 2, 3], 10), np.repeat(np.arange(20), 2)
    given = listing([20, 20], groups={"location": location, "sequence": sequence})
    kinds = {"location": location, "sequence": sequence, None: location}
    for wanted, group in kinds.items():
        found, lines = split_of(given, group_by=wanted)
        assert not {*group[found.train]} & {*group[found.test]}
        assert f"images of one {wanted or 'location'} together (data.group_by)" in lines[0]
    by_sequence, _ = split_of(given, group_by="sequence")
    assert {*location[by_sequence.train]} & {*location[by_sequence.test]}
    alone, lines = split_of(given, group_by="none")
    assert {*sequence[alone.train]} & {*sequence[alone.test]}
    assert "together" not in lines[0]


def test_a_group_that_all_images_are_in_is_passed_over():
    sequence = np.arange(40) // 2
    given = listing([20, 20], groups={"location": np.zeros(40, np.int64), "sequence": sequence})
    assert custom_data.kept_together(given, data()) == "sequence"
    assert custom_data.kept_together(given, data(group_by="location")) == "location"


def test_a_group_that_the_data_does_not_have():
    with pytest.raises(ValueError, match=r"data\.group_by is location; the data has sequence$"):
        split_of(listing([2, 2], groups={"sequence": np.arange(4)}), group_by="location")
    with pytest.raises(ValueError, match=r"data\.group_by is group; the data has no groups$"):
        split_of(listing([2, 2]), group_by="group")


def test_sizes_are_those_of_upright_images(tmp_path):
    (tmp_path / "wren").mkdir()
    (tmp_path / "crow").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("wren", "crow"):
        Image.new("RGB", (40, 64)).save(tmp_path / name / "0.jpg", exif=exif)
    found = custom_data.listed(recipe.Data(name="own", path=str(tmp_path)))
    assert found.header_sizes.tolist() == [[64, 40], [64, 40]]
