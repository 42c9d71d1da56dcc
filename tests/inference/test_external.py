"""External evaluation: classes matched by name, what cannot be read left out and named, the run's own results kept."""

import json
import shutil
import sys

import numpy as np
import pyarrow.parquet
import pytest
import torch

from longtail import metrics
from longtail.cli import main
from longtail.inference import external
from longtail.runs import records
from longtail.runs.folder import RunDir
from support import fake_datasets

CPU = torch.device("cpu")


@pytest.fixture
def run(birds, tmp_path):
    """A copy that may be changed."""
    return RunDir(shutil.copytree(birds[0], tmp_path / "run"))


def test_the_same_images_give_the_same_results(run, birds, tmp_path):
    before, table = run.read_summary(), pyarrow.parquet.read_table(run.predictions())
    for name in table["id"].to_pylist():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(birds[1] / name, tmp_path / "copy" / name)
    found = external.evaluate(run, tmp_path / "copy", device=CPU)
    assert (found.name, found.title) == ("data-copy", "copy")
    assert found.notes == (f"{tmp_path / 'copy'} is read as image folder",)
    assert found.summary.per_class == before.per_class
    assert found.summary.nll == pytest.approx(before.nll, abs=1e-5)
    assert run.read_summary() == before
    assert run.read_summary(split="data-copy") == found.summary
    other = pyarrow.parquet.read_table(run.predictions("data-copy"))
    assert sorted(other["id"].to_pylist()) == sorted(table["id"].to_pylist())


def test_classes_are_matched_by_name_and_what_is_missing_is_not_evaluated(run, tmp_path):
    fake_datasets.write_folder(tmp_path / "camera 2", [0, 3, 6])
    (tmp_path / "camera 2" / "class_00").rmdir()
    found = external.evaluate(run, tmp_path / "camera 2", device=CPU)
    assert found.name == "data-camera-2"
    assert [result.test_count for result in found.summary.per_class] == [0, 3, 6]
    assert found.summary.classes_measured == 2
    assert [result.train_count for result in found.summary.per_class] == records.read_json(run.split)["counts"]


def test_one_class_alone_is_evaluated(run, tmp_path):
    fake_datasets.write_folder(tmp_path / "data" / "only", [4])
    found = external.evaluate(run, tmp_path / "data" / "only", device=CPU)
    (measured,) = [result for result in found.summary.per_class if result.test_count]
    assert (measured.name, measured.test_count, found.summary.classes_measured) == ("class_00", 4, 1)
    assert found.summary.top1 == found.summary.balanced_accuracy == measured.recall


def test_two_folders_of_one_name_keep_their_results_apart(run, tmp_path):
    for place, counts in (("a", [1, 2, 3]), ("b", [3, 2, 1])):
        fake_datasets.write_folder(tmp_path / place / "north", counts)
    one, other, again = (external.evaluate(run, tmp_path / place / "north", device=CPU) for place in ("a", "b", "a"))
    assert (one.name, other.name, again.name) == ("data-north", "data-north-2", "data-north")
    for found in (one, other):
        assert run.read_summary(split=found.name) == found.summary
    assert [each.test_count for each in run.read_summary(split="data-north-2").per_class] == [3, 2, 1]


def test_unknown_classes_are_one_line(run, tmp_path):
    fake_datasets.write_folder(tmp_path / "more", [1, 1, 1, 2, 1])
    with pytest.raises(
        ValueError, match=r"has 2 classes that .*run does not know: class_03, class_04; it knows class_00"
    ):
        external.evaluate(run, tmp_path / "more", device=CPU)


def test_what_cannot_be_read_is_left_out_and_named(run, tmp_path):
    fake_datasets.write_folder(tmp_path / "data", [3, 3, 3])
    files = sorted((tmp_path / "data").glob("*/*"))
    files[4].write_bytes(files[4].read_bytes()[:60])
    found = external.evaluate(run, tmp_path / "data", device=CPU)
    assert found.summary.images == 8
    assert [result.test_count for result in found.summary.per_class] == [3, 2, 3]
    assert found.notes[-1].startswith(f"left out 1 image: {files[4].relative_to(tmp_path / 'data')} cannot be decoded")
    names = pyarrow.parquet.read_table(run.predictions("data-data"))["id"].to_pylist()
    assert len(names) == 8
    for file in files:
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no image of .*data can be evaluated; the first: class_00"):
        external.evaluate(run, tmp_path / "data", device=CPU)


def test_a_part_is_chosen_or_the_test_part_taken(run, tmp_path):
    for part, each in (("train", 4), ("val", 2), ("test", 1)):
        fake_datasets.write_folder(tmp_path / "data", [each] * 3, part=part)
    images = {part: external.evaluate(run, tmp_path / "data", part=part, device=CPU) for part in (None, "validation")}
    assert {part: found.summary.images for part, found in images.items()} == {None: 3, "validation": 6}
    assert [found.name for found in images.values()] == ["data-data-test", "data-data-validation"]
    shutil.rmtree(tmp_path / "data" / "test")
    with pytest.raises(ValueError, match=r"split is test, but .*data is divided into train and validation; leave out"):
        external.evaluate(run, tmp_path / "data", part="test", device=CPU)
    fake_datasets.write_folder(tmp_path / "plain", [1] * 3)
    with pytest.raises(ValueError, match=r"split is test, but .*plain is not divided; leave out --split"):
        external.evaluate(run, tmp_path / "plain", part="test", device=CPU)


def test_images_of_the_training_prove_nothing(run, birds):
    with pytest.raises(ValueError, match=r"holds the images that .*run was trained with; to evaluate those"):
        external.evaluate(run, birds[1], device=CPU)


def test_a_table_is_read_by_the_column_that_the_run_learned_from(run, tmp_path):
    fake_datasets.write_folder(tmp_path / "data", [2, 2, 2])
    text = run.recipe.read_text()
    assert "label_column: null" in text
    run.recipe.write_text(text.replace("label_column: null", "label_column: bird"))
    assert external.evaluate(run, tmp_path / "data", device=CPU).summary.images == 6
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name}" for file in sorted((tmp_path / "data").glob("*/*"))]
    (tmp_path / "list.csv").write_text("\n".join(["file,bird", *rows]))
    assert external.evaluate(run, tmp_path / "list.csv", device=CPU).name == "data-list.csv"


def said(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["longtail", "evaluate", *map(str, arguments), "--device", "cpu"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    return int(caught.value.code or 0), *capsys.readouterr()


def test_the_command_says_where_results_are(run, tmp_path, capsys, monkeypatch):
    fake_datasets.write_folder(tmp_path / "north", [2, 2, 0])
    shutil.rmtree(tmp_path / "north" / "class_02", ignore_errors=True)
    code, out, err = said(capsys, monkeypatch, run.path, "--data", tmp_path / "north")
    assert code == 0
    assert out.splitlines()[0].endswith(": 4 north images of 3 classes, 1 of them without images")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert err.splitlines()[-2:] == [
        f"{tmp_path / 'north'} is read as image folder",
        f"results are in {run.path / 'summary-data-north.json'}",
    ]
    code, out, _ = said(capsys, monkeypatch, run.path, "--data", tmp_path / "north", "--json")
    assert metrics.Summary.from_dict(json.loads(out)) == run.read_summary(split="data-north")
    code, _, err = said(capsys, monkeypatch, run.path, "--data", tmp_path / "north", "--data-root", tmp_path)
    assert (code, err.startswith("error: data_root is")) == (2, True)


def test_a_run_of_named_data_is_evaluated_on_other_images(tmp_path):
    from longtail import recipe
    from longtail.training import train

    settings = recipe.load("digits-lt/ce", {"epochs": 1, "tensorboard": False, "network.width": 4})
    train.train(settings, tmp_path / "run", device="cpu")
    run = RunDir(tmp_path / "run")
    names = records.read_json(run.model)["class_names"]
    fake_datasets.write_folder(tmp_path / "data", [2, 1])
    for n, name in enumerate((names[7], names[3])):
        (tmp_path / "data" / f"class_0{n}").rename(tmp_path / "data" / name)
    found = external.evaluate(run, tmp_path / "data", device=CPU)
    assert np.flatnonzero([result.test_count for result in found.summary.per_class]).tolist() == [3, 7]
