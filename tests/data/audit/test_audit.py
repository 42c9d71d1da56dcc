"""Audits of the untidy folder: everything that is wrong is found, and nothing else."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from longtail.data import sources
from longtail.data.audit import audit, duplicates
from longtail.data.splits import Split
from support import messy_data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """By kind, what was written and what an audit of it finds."""
    root = tmp_path_factory.mktemp("untidy")
    written = {
        "folder": messy_data.write_folder(root / "folder"),
        "split": messy_data.write_split_folder(root / "split"),
        "manifest": messy_data.write_manifest(root / "manifest"),
        "torn": messy_data.write_manifest(root / "torn", split=True),
    }
    return {kind: (each, audit.audit(sources.read(each.root))) for kind, each in written.items()}


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


KINDS = ("folder", "split", "manifest", "torn")


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_what_can_be_read(made, kind):
    written, found = made[kind]
    lost = dict.fromkeys(written.classes, 0)
    for item in items(found, "unreadable"):
        lost[item["class"]] += 1
    assert found.images == written.images
    assert dict(found.classes) == {name: images - lost[name] for name, images in written.classes.items()}
    assert np.sum([*found.parts.values()], axis=0).tolist() == [*found.classes.values()]
    present = [images for images in found.classes.values() if images]
    assert found.imbalance == max(present) / min(present)
    assert sum(found.groups.values()) == len(found.classes)


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_broken_images_are_unreadable(made, kind):
    written, found = made[kind]
    assert {item["image"] for item in items(found, "unreadable")} == written.unreadable.keys()
    assert all(item["reason"] for item in items(found, "unreadable"))


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_images_that_are_alike_are_found(made, kind):
    written, found = made[kind]
    same, near = expected_sets(written)
    listed_twice = {frozenset({"images/site 0/0-0.jpg"})} if kind in ("manifest", "torn") else set()
    assert sets(found, "same") == same | listed_twice
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


def test_groups_in_two_parts_are_torn(made):
    _, found = made["torn"]
    torn = items(found, "torn")
    assert [item["group"] for item in torn] == ["location"] * 4 + ["sequence"] * 12
    assert torn[0] == {"group": "location", "first": "images/site 0/0-0.jpg", "parts": {"train": 10, "test": 3}}
    assert not items(made["manifest"][1], "torn")


def test_odd_files_are_told_by_kind_and_ordinary_ones_are_not(made):
    written, found = made["folder"]
    odd = [finding for finding in found.findings if finding.kind.startswith("odd")]
    of_kind = [{item["image"] for item in finding.items} for finding in odd]
    for kind in {*written.odd.values()} - {"size"}:
        names = {name for name, each in written.odd.items() if each == kind}
        assert any(names <= images for images in of_kind), kind
    assert set().union(*of_kind) <= written.odd.keys() | {"heron/plain.gif"}  # which has a palette, as all of its kind
    assert {finding.level for finding in odd} == {"note"}
    assert {"heron/one pixel.png", "heron/long.png"} <= set().union(*of_kind)


def test_sizes_are_those_of_upright_images(made):
    written, found = made["folder"]
    shorter = sorted(min(size) for size in written.sizes.values())
    assert found.sizes
    assert (found.sizes.smallest, found.sizes.largest) == (shorter[0], shorter[-1])
    assert found.sizes.median == shorter[len(shorter) // 2]
    assert found.sizes.pixels == sum(width * height for width, height in written.sizes.values())


def test_classes_without_a_test_image_are_named(made):
    _, found = made["folder"]
    assert {item["class"] for item in items(found, "unmeasured")} == {"phoenix", "robin/deep/er"}
    assert {item["class"] for item in items(found, "scarce")} >= {"dotterel", "ouzel"}
    _, found = made["split"]
    assert [item["class"] for item in items(found, "unmeasured")] == ["phoenix"]


def test_what_was_passed_over_is_noted(made):
    written, found = made["folder"]
    notes = " ".join(finding.title for finding in found.findings if finding.kind == "listing")
    for name in (*written.empty, "notes.txt", "heron/loop"):
        assert name in notes


def test_a_class_that_cannot_be_read_at_all_is_a_problem(tmp_path):
    for name in ("wren", "crow"):
        (tmp_path / name).mkdir()
        for n in range(3):
            Image.fromarray(messy_data.scene(0, seed=n + 10 * len(name))).save(tmp_path / name / f"{name}{n}.png")
    (tmp_path / "dodo").mkdir()
    (tmp_path / "dodo" / "0.png").touch()
    found = audit.audit(sources.read(tmp_path))
    assert items(found, "lost class") == [{"class": "dodo", "images": 0}]
    assert found.classes["dodo"] == 0
    assert found.imbalance == 1
    shutil.rmtree(tmp_path / "wren")
    shutil.rmtree(tmp_path / "crow")
    (tmp_path / "auk").mkdir()
    (tmp_path / "auk" / "0.png").write_bytes(b"no image")
    found = audit.audit(sources.read(tmp_path))
    assert found.sizes is None
    assert found.learnt == found.measured == 0
    assert len(items(found, "unreadable")) == 2


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_split_without_training_images_is_told(tmp_path, only):
    for label, name in enumerate(("wren", "crow")):
        for part in {"test", only}:
            (tmp_path / part / name).mkdir(parents=True)
            if name == "wren" or part == "test":
                Image.fromarray(messy_data.scene(label, seed=len(part))).save(tmp_path / part / name / "0.png")
    found = audit.audit(sources.read(tmp_path))
    assert {item["class"] for item in items(found, "untrained")} == {"crow", *(["wren"] if only == "test" else [])}


def test_workers_change_nothing_and_nothing_is_written(made):
    written, found = made["folder"]
    before = {path: path.lstat() for path in written.root.rglob("*")}
    told = []
    again = audit.audit(sources.read(written.root), workers=2, progress=lambda done, of: told.append((done, of)))
    assert again == found
    assert told[-1] == (written.images, written.images)
    after = {path: path.lstat() for path in written.root.rglob("*")}
    assert {path: status.st_mtime_ns for path, status in after.items()} == {
        path: status.st_mtime_ns for path, status in before.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_everything_can_be_written_as_json_and_in_words(made, kind):
    _, found = made[kind]
    content = json.loads(json.dumps(found.to_dict()))
    assert content["images"] == found.images
    assert len(content["findings"]) == len(found.findings)
    levels = [finding["level"] for finding in content["findings"]]
    assert levels == sorted(levels, key=["problem", "warning", "note"].index)
    assert found.problems == levels.count("problem")
    for finding in found.findings:
        assert len(finding.in_words()) == len(finding.items)
        assert all(line.isprintable() for line in (finding.title, finding.advice, *finding.in_words()))


def test_names_of_all_kinds_are_printed_on_one_line(made):
    _, found = made["folder"]
    item = {"alike": "same pixels", "images": [{"image": "robin/line\nbreak.png", "class": "robin", "part": None}]}
    finding = found.findings[0]
    shown = type(finding)("same", "warning", "", "", (item,)).in_words()
    assert shown == [r"'robin/line\nbreak.png'"]


def test_a_file_that_vanishes_is_only_unreadable(tmp_path):
    written = messy_data.write_split_folder(tmp_path / "data")
    listing = sources.read(written.root)
    (written.root / "train/heron/train0.png").unlink()
    found = audit.audit(listing)
    assert [item["image"] for item in items(found, "unreadable")] == ["train/heron/train0.png"]
