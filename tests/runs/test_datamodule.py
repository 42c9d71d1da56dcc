"""Data modules: the same images give the same batches, whatever files they come in; and trainings on custom data."""

import csv
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from longtail import recipe
from longtail.data import augment, batches
from longtail.inference import evaluate
from longtail.recipe import build
from longtail.runs import datamodule, records
from longtail.runs.folder import RunDir
from longtail.training import train
from support import fake_datasets, interrupted_trainings, messages, small_trainings

# 40, 16, 6, 1 and 1 training images: four steps an epoch, as `runs.STEPS` wants it.
SIZES = (50, 20, 8, 2, 1)
CUT = ("batch_size=16", "data.image_size=16", "augment.crop_padding=2")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder of classes, and a file in it that is no image."""
    fake_datasets.write_folder(tmp_path / "images", SIZES, sizes=(20, 30))
    (tmp_path / "images/class_00/broken.jpg").write_bytes(b"not an image")
    return tmp_path / "images"


def own(images: Path, *overrides: str) -> recipe.Recipe:
    return recipe.load(
        "own/small", recipe.parse_overrides([*small_trainings.EVERYTHING, *CUT, f"data.path={images}", *overrides])
    )


def in_command(images: Path, out: Path, *overrides: str, script: Path | None = None):
    sets = [
        part
        for each in (*small_trainings.EVERYTHING, *CUT, f"data.path={images}", *overrides)
        for part in ("--set", each)
    ]
    return small_trainings.command("train", "own/small", "--out", out, "--device", "cpu", *sets, script=script)


# --- the same images --------------------------------------------------------------------------------------------------


def seen(settings: recipe.Recipe, root: Path | None, *, steps: int) -> list[torch.Tensor]:
    """All that a method is given in some steps."""
    data = datamodule.load(settings, data_root=root)
    streams = build.method(settings, data.counts).streams
    plan = batches.Plan(data.train_labels, streams, settings.batch_size, seed=settings.seed)
    pixels = batches.stack(data.source, data.train_indices, size=settings.data.image_size)
    given = []
    for step, [micro] in enumerate(batches.in_memory(plan, pixels, start=0, stop=steps)):
        for number, batch in enumerate(micro):
            changes = build.augmentation(settings)
            views, size, _, height, width = batch.images.shape
            key = (plan.seed, 1, number, step)
            drawn = augment.draw(changes, views=views, batch=size, height=height, width=width, key=key)
            given += [augment.augment(batch.images, drawn, changes), batch.labels]
    return given


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_folder_of_png_files_gives_the_batches_of_the_parquet_files(tmp_path, name):
    """Bit for bit: the order in which files list images decides nothing."""
    written = fake_datasets.write_cifar_parquet(tmp_path, name, per_class_train=12, per_class_test=2)
    classes = fake_datasets.CIFAR10_CLASSES if name == "cifar10" else fake_datasets.CIFAR100_CLASSES
    for part, (labels, pixels) in written.items():
        for i, (label, image) in enumerate(zip(labels, pixels, strict=True)):
            file = tmp_path / "folder" / part / classes[label] / f"{i:05}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(fake_datasets.encode(image))
    small = ["data.n_max=10", "data.imbalance=5", "batch_size=32"]
    named = recipe.load(f"{name}-lt-100/hybrid-psc", recipe.parse_overrides(small))
    folder = recipe.load(
        f"{name}-lt-100/hybrid-psc",
        recipe.parse_overrides([*small, "data.name=own", f"data.path={tmp_path / 'folder'}"]),
    )
    of_parquet, of_folder = seen(named, tmp_path, steps=5), seen(folder, None, steps=5)
    assert len(of_parquet) == 20
    for one, other in zip(of_parquet, of_folder, strict=True):
        assert torch.equal(one, other)
    both = [datamodule.load(named, data_root=tmp_path), datamodule.load(folder)]
    tests = [data.split("test") for data in both]
    labels = [np.sort(source.labels[indices]).tolist() for source, indices in tests]
    assert labels[0] == labels[1]
    assert both[0].counts.tolist() == both[1].counts.tolist()


def test_images_are_chosen_class_by_class(images):
    data = datamodule.load(own(images))
    assert (np.diff(data.train_labels) >= 0).all()
    for c in range(5):
        assert (np.diff(data.train_indices[data.train_labels == c]) > 0).all()


def test_each_split_is_a_source_and_positions_in_it(images):
    """Of custom data all splits are of one source; a built-in data set has its test images in one of their own."""
    data = datamodule.load(own(images, "data.validation_share=0.2"))
    parts = [data.split(name) for name in ("train", "validation", "test")]
    assert all(source is data.source for source, _ in parts)
    everything = np.concatenate([*(indices for _, indices in parts), [*data.unreadable]])
    assert sorted(everything.tolist()) == list(range(82))
    digits = datamodule.load(small_trainings.settings("ce"))
    source, indices = digits.split("test")
    assert source is not digits.source and indices.tolist() == list(range(len(source.labels)))
    assert digits.split("test")[0] is source, "opened once"
    with pytest.raises(ValueError, match="held no validation images out; allowed splits: test, train"):
        digits.split("validation")


# --- from a folder to results -----------------------------------------------------------------------------------------


def test_a_training_on_ones_own_images_tells_what_it_understood_and_keeps_it(tmp_path, images, capsys):
    summary = train.train(own(images, "epochs=1"), tmp_path / "run", device="cpu")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "image folder: 82 images in 5 classes"
    assert any(line.startswith("left out 1 image that cannot be read: class_00/broken.jpg ") for line in lines)
    assert "parts: 64 training images, 17 test images" in lines
    assert "1 class has no test image and cannot be evaluated: class_04" in lines
    plan = next(i for i, line in enumerate(lines) if line.startswith("own/small: 64 images of 5 classes, 40 to 1"))
    record = small_trainings.json_of(tmp_path / "run/split.json")
    assert lines[:plan] == record["notes"], "before anything starts"
    assert (summary.images, summary.classes, summary.classes_measured) == (17, 5, 4)
    parts = [record[part] for part in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [64, 0, 17]
    assert record["split"] == "test" and record["counts"] == [40, 16, 6, 1, 1]
    assert sorted([*parts[0], *parts[2], *map(int, record["unreadable"])]) == list(range(82))
    with (tmp_path / "run/quarantine.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows] == [["id", "class"], ["class_00/broken.jpg", "class_00"]]
    assert rows[1][2] == next(iter(record["unreadable"].values()))


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param((), id="in memory"),
        pytest.param(("data.in_memory=false", "data.workers=2", "data.packed=false"), id="decoded by two workers"),
    ],
)
def test_kill_and_resume_equals_no_interruption(tmp_path, images, overrides):
    train.train(own(images, *overrides), tmp_path / "whole", device="cpu")
    script = interrupted_trainings.crash(tmp_path, step=17, seconds=0.0)
    small_trainings.finish(in_command(images, tmp_path / "cut", *overrides, script=script), code=-signal.SIGKILL)
    train.resume(tmp_path / "cut")
    small_trainings.assert_same(tmp_path / "whole", tmp_path / "cut")


def test_data_may_move_but_not_change(tmp_path, images):
    run = tmp_path / "run"
    train.train(own(images, "epochs=1"), run, device="cpu")
    before, cpu = (run / "summary.json").read_bytes(), torch.device("cpu")
    moved = images.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="if it was moved, name its new place with --data-root"):
        evaluate.evaluate(RunDir.open(run), device=cpu)
    again = evaluate.evaluate(RunDir.open(run), data_root=moved, device=cpu)
    assert (run / "summary.json").read_bytes() == before
    on_train = evaluate.evaluate(RunDir.open(run), split="train", data_root=moved, device=cpu)
    assert (again.images, on_train.images) == (17, 64)
    with pytest.raises(ValueError, match="there is no validation image, only images for train and test"):
        evaluate.evaluate(RunDir.open(run), split="validation", data_root=moved, device=cpu)
    train.resume(run, data_root=moved)
    shutil.copy(moved / "class_01/00000.png", moved / "class_01/more.png")
    with pytest.raises(ValueError, match=r"the data is not what it was when .* was started"):
        evaluate.evaluate(RunDir.open(run), data_root=moved, device=cpu)


def test_the_recorded_split_is_taken_again(tmp_path, images):
    """Not drawn again, which another version of the program might do otherwise."""
    run = tmp_path / "run"
    train.train(own(images, "epochs=1"), run, device="cpu")
    record = small_trainings.json_of(run / "split.json")
    record["test"] = record["test"][:5]
    records.write_json(run / "split.json", record)
    assert evaluate.evaluate(RunDir.open(run), device=torch.device("cpu")).images == 5


def test_validation_is_measured_where_the_data_gives_no_test_part(tmp_path):
    for part, sizes in (("train", [20, 12]), ("val", [3, 2])):
        fake_datasets.write_folder(tmp_path / "images", sizes, part=part)
    settings = own(tmp_path / "images", "epochs=1", "data.image_size=32")
    run = tmp_path / "run"
    assert train.train(settings, run, device="cpu").images == 5
    assert RunDir.open(run).measured() == "validation"
    assert "validation" in {line.get("split") for line in small_trainings.log(run)}
    evaluate.evaluate(RunDir.open(run), device=torch.device("cpu"))
    assert not list(run.glob("*-validation*")), "it is the run's own split"


def test_rare_classes_stay_merged(tmp_path, images):
    run, settings = tmp_path / "run", ["data.min_images=5", "data.on_rare=merge:other", "epochs=1"]
    summary = train.train(own(images, *settings), run, device="cpu")
    names = [each.name for each in summary.per_class]
    assert names == ["class_00", "class_01", "class_02", "other"]
    assert small_trainings.json_of(run / "model.json")["class_names"] == names
    assert evaluate.evaluate(RunDir.open(run), device=torch.device("cpu")) == summary


def test_model_says_which_prior_it_assumes(tmp_path, images):
    for kind, expected in (("hybrid-psc", [0.2] * 5), ("ce", [40 / 64, 16 / 64, 6 / 64, 1 / 64, 1 / 64])):
        settings = own(images, "epochs=1", f"method={{kind: {kind}}}")
        train.train(settings, tmp_path / kind, device="cpu")
        assert small_trainings.json_of(tmp_path / kind / "model.json")["prior"] == pytest.approx(expected)


# --- what cannot be trained -------------------------------------------------------------------------------------------


def test_a_class_that_would_vanish_stops_the_training_before_it_starts(tmp_path, images):
    (images / "class_04/00000.png").write_bytes(b"")
    out, err = small_trainings.finish(in_command(images, tmp_path / "run"), code=2)
    assert out == "" and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: 1 class would vanish, since no training image can be read: class_04")
    assert not (tmp_path / "run").exists()


def test_too_many_unreadable_images_stop_the_training(tmp_path, images):
    with pytest.raises(ValueError, match=r"1 image of 82 cannot be read, more than data\.max_unreadable 0 ") as caught:
        train.train(own(images, "data.max_unreadable=0.0"), tmp_path / "run", device="cpu")
    messages.one_line(caught, "class_00/broken.jpg")
    assert not (tmp_path / "run").exists()


def test_images_on_which_nothing_can_be_measured(tmp_path):
    fake_datasets.write_folder(tmp_path / "images", [1, 1, 1])
    with pytest.raises(ValueError, match=r"there is no test image, only images for train; data\.test_share says"):
        datamodule.load(own(tmp_path / "images"))


# --- one training at a time -------------------------------------------------------------------------------------------


def test_a_run_that_still_trains_cannot_be_resumed(tmp_path, images):
    path, script = tmp_path / "run", tmp_path / "slow.py"
    script.write_text(interrupted_trainings.SLOW)
    process = in_command(images, path, "data.in_memory=false", "data.workers=1", script=script)
    interrupted_trainings.wait_for_log(process, path)
    _, err = small_trainings.finish(small_trainings.command("resume", path), code=2)
    assert err == f"error: {path} is being trained by another process; wait until it has ended\n"
    assert small_trainings.json_of(path / "environment.json")["resumed"] == []
    process.kill()
    process.communicate()
    began = time.monotonic()
    # At once, though the worker of the killed process may not have noticed yet.
    with RunDir.open(path).locked():
        assert time.monotonic() - began < 1
