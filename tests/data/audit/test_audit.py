"""Audits of messy data: counts, sizes and splits, and that neither workers nor the order of findings vary."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from longtail.data import sources
from longtail.data.audit import audit
from support import messy_data

KINDS = ("folder", "split", "manifest", "split groups")


def items(found, kind):
    return [item for finding in found.findings if finding.kind == kind for item in finding.items]


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


def test_sizes_are_those_of_upright_images(made):
    written, found = made["folder"]
    shorter = sorted(min(size) for size in written.sizes.values())
    assert found.sizes
    assert (found.sizes.smallest, found.sizes.largest) == (shorter[0], shorter[-1])
    assert found.sizes.median == shorter[len(shorter) // 2]
    assert found.sizes.pixels == sum(width * height for width, height in written.sizes.values())


def test_a_class_that_cannot_be_read_at_all_is_a_problem(tmp_path):
    for name in ("wren", "crow"):
        (tmp_path / name).mkdir()
        for n in range(3):
            Image.fromarray(messy_data.scene(0, seed=n + 10 * len(name))).save(tmp_path / name / f"{name}{n}.png")
    (tmp_path / "dodo").mkdir()
    (tmp_path / "dodo" / "0.png").touch()
    found = audit.audit(sources.read(tmp_path))
    assert items(found, "unreadable class") == [{"class": "dodo", "images": 0}]
    assert found.classes["dodo"] == 0
    assert found.imbalance == 1
    shutil.rmtree(tmp_path / "wren")
    shutil.rmtree(tmp_path / "crow")
    (tmp_path / "auk").mkdir()
    (tmp_path / "auk" / "0.png").write_bytes(b"no image")
    found = audit.audit(sources.read(tmp_path))
    assert found.sizes is None
    assert found.training_images == found.evaluated_images == 0
    assert len(items(found, "unreadable")) == 2


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_split_without_training_images_is_found(tmp_path, only):
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
    calls = []
    again = audit.audit(sources.read(written.root), workers=2, progress=lambda done, of: calls.append((done, of)))
    assert again == found
    assert calls[-1] == (written.images, written.images)
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


def test_a_file_that_vanishes_is_only_unreadable(tmp_path):
    written = messy_data.write_split_folder(tmp_path / "data")
    listing = sources.read(written.root)
    (written.root / "train/heron/train0.png").unlink()
    found = audit.audit(listing)
    assert [item["image"] for item in items(found, "unreadable")] == ["train/heron/train0.png"]
