"""`longtail train`, `resume` and `demo`: results and messages; and custom data of somebody who makes mistakes."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from longtail import metrics, recipe
from longtail.runs import records
from longtail.runs.folder import RunDir
from support import fake_datasets, messy_data
from support.commands import SMALL, Command, assert_mistake

PROGRAM = Path(sys.executable).with_name("longtail")


def test_train_prints_results_and_tells_where_they_are(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("train", "digits-lt/ce", "--seed", "3", *SMALL)
    assert said.code == 0
    title, blank, *rows = said.out.splitlines()
    assert title == "digits-lt/ce, seed 3: 500 test images of 10 classes"
    assert blank == ""
    labels = ["top-1", "top-5", "balanced", "many", "medium", "few", "head minus tail", "macro F1", "worst class"]
    assert [row[:15].strip() for row in rows] == [*labels, "harmonic mean", "geometric mean", "ECE", "NLL"]
    run = RunDir.open(tmp_path / "runs/digits-lt/ce/seed-3")
    assert run.card.is_file() and run.report.is_file()
    summary = run.read_summary()
    assert rows[0].split()[1] == f"{summary.top1:.2%}"
    assert [row[41:] for row in rows[3:6]] == [
        "1 class, over 100 training images",
        "3 classes, 20 to 100",
        "6 classes, fewer than 20",
    ]
    low, high = summary.intervals["few"] or (0, 0)
    assert rows[5].split("%  ")[1].startswith(f"{low * 100:.1f} to {high * 100:.1f}  ")
    assert all(len(row) <= 80 and row == row.rstrip() for row in rows)
    assert said.err.splitlines()[-1] == "results are in runs/digits-lt/ce/seed-3"
    assert_mistake(longtail_("train", "digits-lt/ce", "--seed", "3", *SMALL), "already holds a run")


def test_published_figure_stands_beside_ours(longtail_: Command, data: Path) -> None:
    line = ["cifar10-lt-100/hybrid-psc", "--data-root", data, "--out", "run", *SMALL[:4], "--set", "batch_size=16"]
    said = longtail_("train", *line, "--set", "data.n_max=20", "--set", "data.imbalance=20")
    assert said.code == 0
    assert said.out.splitlines()[3].split(maxsplit=2) == ["published", "78.82%", "Wang et al. 2021, arXiv:2103.14267"]
    assert said.out == longtail_("resume", "run").out, "a finished run tells its results again"
    # The data is found again, and a figure of the test split does not stand beside another split.
    said = longtail_("evaluate", "run", "--split", "train")
    assert said.out.startswith("cifar10-lt-100/hybrid-psc, seed 0: ")
    assert "training images of 10 classes" in said.out.splitlines()[0]
    assert "published" not in said.out


def test_json_is_all_there_is_on_stdout(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("train", "digits-lt/ce", "--out", "run", "--json", *SMALL)
    assert said.code == 0
    run = RunDir.open(tmp_path / "run")
    assert metrics.Summary.from_dict(json.loads(said.out)) == run.read_summary()
    assert said.err.splitlines()[-1] == "results are in run"
    for command in (["evaluate", "run"], ["resume", "run"]):
        again = longtail_(*command, "--json")
        assert (again.code, json.loads(again.out)) == (0, json.loads(said.out))
    other = json.loads(longtail_("evaluate", "run", "--split", "train", "--json").out)
    assert other["images"] == 304
    assert metrics.Summary.from_dict(other) == run.read_summary(split="train")


@pytest.mark.slow
def test_several_processes_print_results_once(tmp_path: Path) -> None:
    line = ["train", "digits-lt/ce", "--out", tmp_path / "run", "--devices", "2", "--json", *SMALL]
    said = subprocess.run([PROGRAM, *line], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["images"] == 500
    assert said.stderr.count("results are in") == 1


def test_small_validation_split_has_an_image_of_every_class(longtail_: Command) -> None:
    line = [
        "--set",
        "split=validation",
        "--set",
        "data.n_max=8",
        "--set",
        "data.imbalance=4",
        "--set",
        "batch_size=8",
        *SMALL,
    ]
    assert "10 validation images of 10 classes" in longtail_("train", "digits-lt/ce", "--out", "run", *line).out


def test_file_of_ones_own(longtail_: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(recipe.text_of("digits-lt/ce"))
    said = longtail_("train", "mine.yaml", *SMALL)
    assert said.out.startswith("mine, seed 0: ")
    assert (tmp_path / "runs/mine/seed-0/summary.json").is_file()


def test_tilde_is_the_home_folder_though_the_shell_left_it(
    longtail_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert longtail_("train", "digits-lt/ce", "--out=~/run", *SMALL).code == 0
    assert (tmp_path / "home/run/summary.json").is_file()
    assert longtail_("evaluate", "~/run").code == 0
    assert_mistake(longtail_("train", "cifar10-lt-10/ce", "--data-root=~/data"), str(tmp_path / "home/data"))


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    load, quick = recipe.load, {"epochs": 1, "network.width": 4, "tensorboard": False}
    monkeypatch.setattr(recipe, "load", lambda name, given={}: load(name, {**given, **quick}))


@pytest.mark.slow
@pytest.mark.usefixtures("quick_demo")
def test_demo_compares_two_methods_and_can_be_repeated(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("demo")
    assert said.code == 0
    size, groups, blank, header, rule, *rows = said.out.splitlines()
    assert size == "500 test images of 10 classes"
    assert groups == "by training images: 1 many (> 100), 3 medium (20 to 100), 6 few (< 20)"
    assert (blank, set(rule)) == ("", {"-", " "})
    assert header.split() == ["run", "top-1", "balanced", "many", "medium", "few", "macro", "F1", "ECE"]
    assert [row.split()[0] for row in rows] == ["ce", "hybrid-psc"]
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert "runs are in runs/demo;" in said.err
    page = (tmp_path / "runs/demo/report.html").read_text(encoding="utf-8")
    assert "hybrid-psc" in page and "open runs/demo/report.html" in said.err
    assert "runs are in runs/demo-2;" in longtail_("demo").err
    seeded = longtail_("demo", "--seed", "1", "--out", "other", "--json")
    read = json.loads(seeded.out)
    assert list(read) == ["ce", "hybrid-psc"]
    for name in read:
        assert metrics.Summary.from_dict(read[name]) == RunDir.open(tmp_path / "other" / name).read_summary()
        assert recipe.load(str(tmp_path / "other" / name / "recipe.yaml")).seed == 1


# --- custom data ------------------------------------------------------------------------------------------------------


def test_from_an_untidy_folder_to_a_row_for_every_path(longtail_, tmp_path):
    written = messy_data.write_folder(tmp_path / "birds")
    said = longtail_("train", "birds", *SMALL)
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
    said = longtail_("train", traps.root, "--out", "run", "--seed", "2", *SMALL)
    assert said.code == 0, said.err
    record = records.read_json(tmp_path / "run/split.json")
    assert any("together (data.group_by)" in note for note in record["notes"])


def test_the_user_decides_and_is_told_how(longtail_, tmp_path):
    fake_datasets.write_folder(tmp_path / "photos", [12, 8, 4])
    line = ["--recipe", "digits-lt/ce", "--set", "data.test_share=0.5", "--set", "data.image_size=16"]
    said = longtail_("train", "photos/", "--json", "--out", "run", *line, *SMALL)
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
    assert longtail_("train", "photos", *SMALL).code == 0
    assert_mistake(longtail_("train", "photos", *SMALL), "runs/photos/seed-0 already holds a run")
    assert_mistake(longtail_("train", "runs/photos/seed-0"), "is a folder", "longtail resume")
