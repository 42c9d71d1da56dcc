"""The command `longtail audit`: what is printed, written and returned."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from longtail.cli import main
from support import messy_data


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def audit(capsys, monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("longtail.planning.cost._STEPS", 1)
    monkeypatch.setattr("longtail.planning.cost._LONG", 0.01)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["longtail", "audit", "--workers", "0", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        return Said(int(caught.value.code or 0), *capsys.readouterr())

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return messy_data.write_folder(tmp_path_factory.mktemp("data") / "untidy").root


@pytest.fixture(scope="module")
def tidy(tmp_path_factory):
    """Nothing to complain about, beyond that there are few images."""
    root = tmp_path_factory.mktemp("data") / "tidy"
    for label, name in enumerate(("wren", "crow")):
        (root / name).mkdir(parents=True)
        for n in range(30):
            (root / name / f"{n}.png").write_bytes(
                messy_data.encoded(Image.fromarray(messy_data.scene(label, seed=n)), ".png")
            )
    return root


def test_audit_prints_what_it_found(audit, folder):
    said = audit(folder)
    assert said.code == 0
    assert "image folder: 112 images in 8 classes" in said.out
    assert "problem: 12 images cannot be decoded" in said.out
    assert "and 9 more" in said.out
    assert "Gini" in said.out
    assert "recipe=own/small: " in said.out
    assert f"longtail train {folder}" in said.out
    assert "training takes about " in said.out
    assert said.err == ""


def test_json_holds_everything(audit, folder):
    said = audit(folder, "--json")
    assert said.code == 0
    content = json.loads(said.out)
    found = {finding["kind"]: finding for finding in content["findings"]}
    assert len(found["unreadable"]["items"]) == 12
    assert said.out.isascii()  # whatever is in names
    assert said.out.isascii()  # whatever is in names
    assert content["images"] == 112
    assert content["data"] == str(folder)
    assert content["advice"]["recipe"] == "own/small"
    assert content["cost"]["seconds"] > 0
    assert {"form", "classes", "parts", "imbalance", "gini", "groups", "sizes"} <= content.keys()


def test_page_is_written_beside_the_text(audit, folder, tmp_path):
    said = audit(folder, "--html", tmp_path / "audit.html")
    assert said.code == 0
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert f"longtail train {folder}" in page
    assert "audit.html" in said.err
    assert "12 images cannot be decoded" in said.out


def test_page_that_cannot_be_written_is_one_line(audit, tidy, tmp_path):
    said = audit(tidy, "--html", tmp_path / "no" / "audit.html")
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_strict_is_for_problems_only(audit, folder, tidy):
    assert audit(folder, "--strict").code == 1
    said = audit(tidy, "--strict")
    assert said.code == 0
    assert "problem" not in said.out


def test_settings_of_the_data_and_the_training_are_heeded(audit, tmp_path):
    traps = messy_data.write_manifest(tmp_path / "traps")
    said = audit(
        traps.root, "--set", "data.group_by=sequence", "--set", "epochs=3", "--set", "network.width=4", "--json"
    )
    content = json.loads(said.out)
    assert content["cost"]["steps"] == 3 * (sum(content["parts"]["train"]) // 16)
    assert not any(override.startswith("epochs") for override in content["advice"]["overrides"])
    leaks = [finding for finding in content["findings"] if finding["kind"] == "leak"]
    assert not leaks  # bursts stay together
    said = audit(traps.root, "--set", "data.group_by=none", "--json")
    assert [finding["kind"] for finding in json.loads(said.out)["findings"]].count("leak") == 1


def test_another_recipe_is_advised_on(audit, tidy):
    said = audit(tidy, "--recipe", "digits-lt/ce")
    assert said.code == 0
    assert "recipe=digits-lt/ce: as you wish" in said.out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "no-such"),
        (lambda path: path.mkdir(), "no image"),
        (lambda path: path.write_text("filepath,label\n"), ""),
        (lambda path: (path / "only").mkdir(parents=True) or (path / "only" / "1.png").touch(), "at least 2 classes"),
    ],
    ids=["nowhere", "empty folder", "empty table", "one class"],
)
def test_what_is_no_data_is_one_line(audit, tmp_path, make, words):
    path = tmp_path / "no-such"
    make(path)
    said = audit(path)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err


def test_data_without_a_readable_image_is_told_without_advice(audit, tmp_path):
    for name in ("wren", "crow"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").touch()
    said = audit(tmp_path / "data", "--html", "page.html")
    assert said.code == 0
    assert "2 classes without a readable image" in said.out
    assert "advice" not in said.out
    assert Path("page.html").is_file()


@pytest.mark.parametrize("setting", ["data.nonsense=1", "nonsense=1", "data.group_by=moon"])
def test_a_wrong_setting_is_one_line(audit, tidy, setting):
    said = audit(tidy, "--set", setting)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
