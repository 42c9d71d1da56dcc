"""Prediction: what a run said of its own test images it says again, of any list of images, in any state."""

import json
import shutil

import numpy as np
import pyarrow.parquet
import pytest
import torch

from longtail import recipe
from longtail.data import sources
from longtail.inference import predict
from longtail.inference.inputs import Queries, Query, read
from longtail.recipe import build
from longtail.training import train
from support import fake_datasets
from support.messages import one_line
from support.small_trainings import train_on_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A run on somebody's own images, and these."""
    return train_on_folder(tmp_path_factory.mktemp("birds"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "run"
    overrides = ["epochs=1", "tensorboard=false", "network.width=4"]
    train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(overrides)), path, device="cpu")
    return path


def untrained(*, size=None, shrunk_side=None, classes=3):
    torch.manual_seed(0)
    network = build.classifier(
        recipe.ResNet9(kind="resnet9", width=4), recipe.LinearHead(), classes=classes, fetch=False
    )
    colours = recipe.Augment(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    counts, prior = np.ones(classes, np.int64), np.full(classes, 1 / classes)
    return predict.Model(network, tuple("abcdefghij"[:classes]), counts, prior, colours, shrunk_side, size, CPU)


def images(number, *, seed=0):
    """Of different sizes; every third is broken."""
    rng = np.random.default_rng(seed)
    for n in range(number):
        height, width = rng.integers(16, 24, 2).tolist()
        encoded = fake_datasets.encode(fake_datasets.picture(n % 3, seed=n, height=height, width=width))
        yield Query(f"{n}.png", encoded[: 40 if n % 3 == 2 else None])


def whole(model, queries, **options):
    """All predictions as one."""
    parts = list(predict.predict(model, queries, **options))
    names, reasons = [name for part in parts for name in part.names], {}
    for part in parts:
        reasons |= {part.names[position]: reason for position, reason in part.reasons.items()}
        assert len(part.probabilities) + len(part.reasons) == len(part.names)
    return names, np.concatenate([part.probabilities for part in parts]), reasons


def recorded(run):
    """What the run said when it was trained: names, and probabilities of all classes."""
    table = pyarrow.parquet.read_table(run / "predictions.parquet")
    logits = torch.tensor(table["logits"].to_pylist(), dtype=torch.float64)
    return table["id"].to_pylist(), logits.softmax(1).numpy()


# --- the same as in training ------------------------------------------------------------------------------------------


def test_a_folder_gets_the_probabilities_of_the_training(birds):
    run, data = birds
    names, right = recorded(run)
    found, probabilities, reasons = whole(predict.load(run, device=CPU), read([f"{data}/{name}" for name in names]))
    assert found == [f"{data}/{name}" for name in names]
    assert reasons == {}
    np.testing.assert_allclose(probabilities, right, atol=1e-6)


def test_digits_get_the_probabilities_of_the_training(digits):
    _, right = recorded(digits)
    source = sources.load("digits", "test")
    queries = (Query(name, fake_datasets.encode(source.image(i))) for i, name in enumerate(source.ids))
    names, probabilities, _ = whole(predict.load(digits, device=CPU), Queries(queries, None), batch=100, workers=0)
    assert names == [*source.ids]
    np.testing.assert_allclose(probabilities, right, atol=1e-6)


def test_large_images_are_shrunk_and_cut_as_for_the_training():
    pixels = fake_datasets.picture(1, seed=3, height=90, width=61)
    encoded = fake_datasets.encode(pixels)
    shrunk = predict.shrunk(pixels, 37)
    cut = predict.centre_crop(shrunk, 32)
    asked = [
        Query(name, fake_datasets.encode(each)) for name, each in (("whole", pixels), ("shrunk", shrunk), ("cut", cut))
    ]
    assert asked[0].encoded == encoded
    _, (first, second, other), _ = whole(untrained(size=32, shrunk_side=37), Queries(iter(asked), 3))
    np.testing.assert_allclose(first, second, atol=1e-6)  # rounding goes by the place in the batch
    _, (third,), _ = whole(untrained(), Queries(iter(asked[2:]), 1))
    np.testing.assert_allclose(first, third, atol=1e-6)
    assert np.abs(other - first).max() > 1e-6  # cut twice: so the cut matters


# --- order, reasons, batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 16])
def test_batches_and_workers_change_nothing(size):
    model = untrained(size=size)
    names, probabilities, reasons = whole(model, Queries(images(20), 20), batch=64, workers=0)
    assert names == [f"{n}.png" for n in range(20)]
    assert [*reasons] == [f"{n}.png" for n in range(2, 20, 3)]
    assert all(reason.startswith("cannot be decoded") for reason in reasons.values())
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    for batch, workers in ((1, 0), (3, 2), (7, 1)):
        again = whole(model, Queries(images(20), None), batch=batch, workers=workers)
        assert (again[0], again[2]) == (names, reasons)
        np.testing.assert_allclose(again[1], probabilities, atol=1e-6)


def test_one_image_at_a_time_is_right_too(monkeypatch):
    model = untrained()
    _, right, _ = whole(model, Queries(images(10), 10), workers=0)
    monkeypatch.setattr(predict, "_PIXELS", 1)
    _, probabilities, _ = whole(model, Queries(images(10), 10), workers=0)
    np.testing.assert_allclose(probabilities, right, atol=1e-6)


def test_what_the_network_cannot_take_is_a_reason(monkeypatch):
    model = untrained()

    def picky(_network, shown, _settings, **_):
        if next(iter(shown)).shape[-1] < 8:
            raise RuntimeError("Kernel size can't be\ngreater than the input")
        return torch.zeros(sum(map(len, shown)), 3)

    monkeypatch.setattr(predict.evaluate, "predict", picky)
    asked = [
        Query("small", fake_datasets.encode(fake_datasets.picture(0, seed=0, height=5, width=7))),
        Query("good", fake_datasets.encode(fake_datasets.picture(0, seed=0, height=16, width=16))),
    ]
    names, probabilities, reasons = whole(model, Queries(iter(asked), 2))
    assert names == ["small", "good"]
    np.testing.assert_allclose(probabilities, np.full((1, 3), 1 / 3))
    assert reasons == {
        "small": "has 7 x 5 pixels, which the network cannot take: Kernel size can't be greater than the input"
    }
    # Where all images have the size of the training, it is no image's fault.
    monkeypatch.setattr(predict.evaluate, "predict", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        whole(untrained(size=16), Queries(images(1), 1))


def test_nothing_asked_nothing_said():
    assert list(predict.predict(untrained(), Queries(iter([]), 0))) == []


def test_progress_is_told():
    told = []
    for total in (10, None):
        found = predict.predict(
            untrained(), Queries(images(10), total), batch=4, workers=0, progress=lambda *each: told.append(each)
        )
        assert sum(len(each.names) for each in found) == 10
    assert told == [(4, 10), (8, 10), (10, 10), (4, None), (8, None), (10, None)]


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (2, 5)])
def test_images_are_asked_for_as_they_are_needed(workers, ahead):
    """So that memory does not grow with their number: this one has no end."""
    asked = []

    def endless():
        encoded = fake_datasets.encode(fake_datasets.picture(0, seed=0, height=16, width=16))
        while True:
            asked.append(None)
            yield Query("a.png", encoded)

    found = predict.predict(untrained(), Queries(endless(), None), batch=3, workers=workers)
    for done in range(1, 6):
        assert len(next(found).names) == 3
        assert len(asked) <= 3 * (done + ahead)


# --- models -----------------------------------------------------------------------------------------------------------


def test_what_a_model_knows(birds):
    model = predict.load(birds[0], device=CPU)
    assert model.class_names == ("class_00", "class_01", "class_02")
    assert model.train_counts.sum() > 15
    assert model.assumed is not None
    np.testing.assert_allclose(model.assumed, model.train_counts / model.train_counts.sum())
    assert (model.size, model.shrunk_side) == (32, 37)


def test_two_files_are_enough(birds, tmp_path):
    for name in ("model.json", "model.safetensors"):
        shutil.copy(birds[0] / name, tmp_path)
    assert predict.load(tmp_path, device=CPU).class_names == ("class_00", "class_01", "class_02")


def changed(run, tmp_path, change):
    """A copy of a run with another model.json."""
    shutil.copy(run / "model.safetensors", tmp_path)
    written = json.loads((run / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(change(written) or written))
    return tmp_path


def test_a_run_of_an_earlier_version_predicts_as_well(birds, tmp_path):
    run = changed(
        birds[0],
        tmp_path,
        lambda written: written.pop("prior") and written["preprocessing"].pop("shrink_shorter_side") and None,
    )
    model = predict.load(run, device=CPU)
    assert model.assumed is None
    assert model.shrunk_side is None
    assert len(whole(model, Queries(images(3), 3))[1]) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("network") and None, ["network is missing"]),
        (lambda w: w.pop("preprocessing") and None, ["preprocessing is missing"]),
        (lambda w: w["preprocessing"].pop("std") and None, ["preprocessing.std is missing"]),
        (lambda w: w["preprocessing"].update(std=[1, "x", 1]), ["preprocessing.std.1 is 'x'"]),
        (lambda w: w["preprocessing"].update(std=[0, 1, 1]), ["preprocessing.std.0 is 0"]),
        (lambda w: w["preprocessing"].update(centre_crop=-3), ["preprocessing.centre_crop is -3"]),
        (lambda w: w["network"].update(kind="resnet5000"), ["network is {'kind': 'resnet5000'"]),
        (lambda w: w.update(class_names="abc"), ["class_names is 'abc'"]),
        (lambda w: w.update(class_names=[]), ["class_names is []"]),
        (lambda w: w.update(prior=[0.5, float("nan"), 0.5]), ["prior.1 is nan"]),
        (lambda w: w.update(prior=[0.5, 0.5]), ["prior is for 2 classes, class_names for 3"]),
        (lambda w: w.update(train_counts=[1, 1, 1, 1]), ["train_counts is for 4 classes, class_names for 3"]),
        (lambda _: [1, 2], ["is [1, 2]"]),
    ],
)
def test_a_damaged_description_is_one_line(birds, tmp_path, change, words):
    run = changed(birds[0], tmp_path, change)
    with pytest.raises(ValueError, match=r"model\.json is damaged") as error:
        predict.load(run, device=CPU)
    one_line(error, *words)


def test_no_model_is_one_line(birds, tmp_path):
    with pytest.raises(ValueError, match="holds no trained model") as error:
        predict.load(tmp_path, device=CPU)
    one_line(error, tmp_path, "model.json")
    assert "resume" not in str(error.value)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(ValueError, match=f"longtail resume {tmp_path}"):
        predict.load(tmp_path, device=CPU)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ValueError, match=r"model\.json is damaged: "):
        predict.load(tmp_path, device=CPU)
    shutil.copy(birds[0] / "model.json", tmp_path)
    with pytest.raises(ValueError, match=r"model\.safetensors is not there"):
        predict.load(tmp_path, device=CPU)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        predict.load(tmp_path, device=CPU)


def test_weights_of_another_network_are_one_line(birds, tmp_path):
    run = changed(birds[0], tmp_path, lambda written: written["network"].update(width=8))
    with pytest.raises(ValueError, match="does not fit the network") as error:
        predict.load(run, device=CPU)
    one_line(error, tmp_path / "model.safetensors")
