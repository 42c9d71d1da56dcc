"""`longtail train DATA` and what follows, as somebody types it who has a folder of images and makes mistakes."""

import csv
import json
import sys
from typing import NamedTuple

import pytest

from longtail.cli import main
from longtail.runs import records
from longtail.runs.folder import RunDir
from support import fake_datasets, messy_data

QUICK = ("--set", "epochs=1", "--set", "network.width=4", "--set", "tensorboard=false", "--device", "cpu")


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def longtail_(capsys, monkeypatch, tmp_path):
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["longtail", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        return Said(int(caught.value.code or 0), *capsys.readouterr())

    return command


def assert_mistake(said: Said, *parts: str) -> None:
    assert said.code == 2, said
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert lines == said.err.splitlines()[-1:], said.err
    for part in parts:
        assert part in lines[0]


def test_from_an_untidy_folder_to_a_row_for_every_path(longtail_, tmp_path):
    written = messy_data.write_folder(tmp_path / "birds")
    said = longtail_("train", "birds", *QUICK)
    assert said.code == 0, said.err
    assert "recipe=own/small: " in said.err
    assert f"image folder: {written.images} images in {len(written.classes)} classes" in said.err
    assert f"left out {len(written.unreadable)} images that cannot be read" in said.err
    run = RunDir(tmp_path / "runs/birds/seed-0")
    assert said.out.startswith(f"birds, seed 0: {run.read_summary().images} test images of {len(written.classes)} cl")
    with run.quarantine.open(newline="", encoding="utf-8") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {*written.unreadable}
    assert any(line.startswith("recipe=own/small: ") for line in records.read_json(run.environment)["advice"])

    said = longtail_("predict", run.path, "birds")
    assert said.code == 0, said.err
    rows = {row["path"].removeprefix("birds/"): row for row in csv.DictReader(said.out.splitlines(keepends=True))}
    assert {*rows} == {*written.readable, *written.unreadable}
    assert {path for path, row in rows.items() if row["error"]} == {*written.unreadable}
    assert all(row["predicted"] in written.classes for row in rows.values() if not row["error"])

    before = run.read_summary()
    assert longtail_("evaluate", run.path).code == 0
    assert run.read_summary() == before


def test_a_manifest_with_bursts_stays_whole(longtail_, tmp_path):
    traps = messy_data.write_manifest(tmp_path / "traps")
    said = longtail_("train", traps.root, "--out", "run", "--seed", "2", *QUICK)
    assert said.code == 0, said.err
    record = records.read_json(tmp_path / "run/split.json")
    assert any("together (data.group_by)" in note for note in record["notes"])


def test_the_user_decides_and_is_told_how(longtail_, tmp_path):
    fake_datasets.write_folder(tmp_path / "photos", [12, 8, 4])
    line = ["--recipe", "digits-lt/ce", "--set", "data.test_share=0.5", "--set", "data.image_size=16"]
    said = longtail_("train", "photos/", "--json", "--out", "run", *line, *QUICK)
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == 12
    assert "recipe=digits-lt/ce: as you wish" in said.err


def test_mistakes_are_one_line_and_leave_nothing_behind(longtail_, tmp_path):
    fake_datasets.write_folder(tmp_path / "photos", [12, 8, 4])
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos.zip").write_bytes(b"PK")
    (tmp_path / "digits-lt/ce").mkdir(parents=True)
    before = {*tmp_path.rglob("*")}
    for line, *parts in (
        ("train phots", "unknown recipe 'phots': neither shipped, nor a file or folder"),
        ("train empty", "empty", "no image"),
        ("train photos/class_00", "no image with a label"),
        ("train photos/class_00/00000.png", "is no data that can be read; allowed: a folder, or a file that ends in"),
        ("train photos.zip", "photos.zip is no data that can be read"),
        ("train digits-lt/ce", "is a shipped recipe, and a folder here"),
        ("train photos --set epohcs=3", "unknown setting epohcs; did you mean epochs?"),
        ("train photos --set data.name=cifar10", "but name is cifar10; only custom data has it"),
        ("train photos --recipe nonsense", "unknown recipe 'nonsense'"),
        ("train photos --data-root elsewhere", "--data-root and --download are for recipes"),
        ("train photos --download", "--data-root and --download are for recipes"),
        ("train own/small", "data.path is null; say where your images are"),
        ("train own/small --recipe own/large", "--recipe is own/large, but own/small is no data"),
        ("train photos --set batch_size=500", "batch_size is 500"),
        ("train photos --set data.on_rare=merge:other", "on_rare is merge:other, but no class is rare"),
        ("train photos --set data.min_images=10 --set data.on_rare=error", "2 classes have fewer than 10 images"),
        ("train photos --set data.group_by=camera", "camera"),
        ("predict photos photos", "photos holds no trained model"),
    ):
        assert_mistake(longtail_(*line.split()), *parts)
        made = {path for path in {*tmp_path.rglob("*")} - before if "cache" not in path.parts}
        assert not made, line


def test_a_run_is_not_written_over(longtail_, tmp_path):
    fake_datasets.write_folder(tmp_path / "photos", [12, 8, 4])
    assert longtail_("train", "photos", *QUICK).code == 0
    assert_mistake(longtail_("train", "photos", *QUICK), "runs/photos/seed-0 already holds a run")
    assert_mistake(longtail_("train", "runs/photos/seed-0"), "is a folder", "longtail resume")
