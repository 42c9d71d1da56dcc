"""Findings in messy data: everything that is wrong is found, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from longtail.data import sources
from longtail.data.audit import audit, duplicates
from longtail.data.splits import Split
from support import messy_data

KINDS = ("folder", "split", "manifest", "split groups")


def items(found, kind):
    return [item for finding in found.findings if finding.kind == kind for item in finding.items]


def sets(found, kind):
    return {frozenset(image["image"] for image in item["images"]) for item in items(found, kind)}


def expected_sets(written):
    """All images that are alike, as sets: those of equal pixels, and those that differ as well."""
    number = {name: i for i, name in enumerate(sorted(written.sizes))}
    groups = [*written.exact, *map(frozenset, written.near)]
    joined = duplicates.joined([np.array([number[name] for name in group]) for group in groups], images=len(number))
    everything = {frozenset(sorted(number)[i] for i in group) for group in joined}
    inexact = {name for pair in written.near for name in pair}
    return {*written.exact}, {group for group in everything if group & inexact}


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_broken_images_are_unreadable(made, kind):
    written, found = made[kind]
    assert {item["image"] for item in items(found, "unreadable")} == written.unreadable.keys()
    assert all(item["reason"] for item in items(found, "unreadable"))


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_images_that_are_alike_are_found(made, kind):
    written, found = made[kind]
    same, near = expected_sets(written)
    listed_twice = {frozenset({"images/site 0/0-0.jpg"})} if kind in ("manifest", "split groups") else set()
    assert sets(found, "exact") == same | listed_twice
    assert sets(found, "near") == near


def test_the_same_image_under_two_classes_is_a_conflict(made):
    for kind in ("folder", "manifest"):
        written, found = made[kind]
        assert len(written.conflicts) == len(items(found, "conflict"))
        for expected in written.conflicts:
            assert any(expected <= images for images in sets(found, "conflict"))
    assert not items(made["split"][1], "conflict")


def test_the_same_image_in_two_parts_is_a_leak(made):
    written, found = made["split"]
    assert sets(found, "leak") == {*written.leaks}
    assert {finding.level for finding in found.findings if finding.kind == "leak"} == {"problem"}
    for item in items(found, "leak"):
        assert {image["part"] for image in item["images"]} == {"train", "test"}


def test_a_split_that_is_yet_to_be_drawn_may_leak_too(tmp_path):
    for label, name in enumerate(("wren", "crow")):
        (tmp_path / name).mkdir()
        for n in range(10):
            Image.fromarray(messy_data.scene(label, seed=n % 2)).save(tmp_path / name / f"{n}.png")
    found = audit.audit(sources.read(tmp_path))
    (leak,) = (finding for finding in found.findings if finding.kind == "leak")
    assert leak.level == "warning"
    listing = sources.read(tmp_path)
    apart = np.arange(20) % 2 == 1  # the images with the same pixels

    def divide(readable):
        return Split(readable[~apart], readable[:0], readable[apart], readable[:0])

    assert not items(audit.audit(listing, divide=divide), "leak")


def test_groups_in_two_parts_are_found(made):
    _, found = made["split groups"]
    apart = items(found, "split group")
    assert [item["group"] for item in apart] == ["location"] * 4 + ["sequence"] * 12
    assert apart[0] == {"group": "location", "first": "images/site 0/0-0.jpg", "parts": {"train": 10, "test": 3}}
    assert not items(made["manifest"][1], "split group")


def test_unusual_files_are_listed_by_kind_and_ordinary_ones_are_not(made):
    written, found = made["folder"]
    unusual = [finding for finding in found.findings if finding.kind.startswith("unusual")]
    of_kind = [{item["image"] for item in finding.items} for finding in unusual]
    for kind in {*written.odd.values()} - {"size"}:
        names = {name for name, each in written.odd.items() if each == kind}
        assert any(names <= images for images in of_kind), kind
    assert set().union(*of_kind) <= written.odd.keys() | {"heron/plain.gif"}  # which has a palette, as all of its kind
    assert {finding.level for finding in unusual} == {"note"}
    assert {"heron/one pixel.png", "heron/long.png"} <= set().union(*of_kind)


def test_classes_without_a_test_image_are_named(made):
    _, found = made["folder"]
    assert {item["class"] for item in items(found, "unevaluated")} == {"phoenix", "robin/deep/er"}
    assert {item["class"] for item in items(found, "scarce")} >= {"dotterel", "ouzel"}
    _, found = made["split"]
    assert [item["class"] for item in items(found, "unevaluated")] == ["phoenix"]


def test_names_of_all_kinds_are_printed_on_one_line(made):
    _, found = made["folder"]
    item = {"alike": "same pixels", "images": [{"image": "robin/line\nbreak.png", "class": "robin", "part": None}]}
    finding = found.findings[0]
    shown = type(finding)("exact", "warning", "", "", (item,)).in_words()
    assert shown == [r"'robin/line\nbreak.png'"]


def test_what_was_passed_over_is_noted(made):
    written, found = made["folder"]
    notes = " ".join(finding.title for finding in found.findings if finding.kind == "listing")
    for name in (*written.empty, "notes.txt", "heron/loop"):
        assert name in notes
