"""The model of a run: two files are enough, older ones are read, and damaged ones are one line."""

import json
import shutil

import numpy as np
import pytest
import torch

from longtail.data.class_counts import Groups
from longtail.inference import model as models
from longtail.inference.preprocessing import Normalisation, Preprocessing
from longtail.runs import datamodule
from support import small_trainings, untrained
from support.messages import one_line

CPU = torch.device("cpu")


def test_what_a_model_knows(birds):
    model = models.load(birds[0], device=CPU)
    assert model.class_names == ("class_00", "class_01", "class_02")
    assert model.train_counts.sum() > 15
    assert model.assumed is not None
    np.testing.assert_allclose(model.assumed, model.train_counts / model.train_counts.sum())
    assert (model.preprocessing.size, model.preprocessing.shrunk_side) == (32, 37)
    assert model.groups == Groups()


def test_two_files_are_enough(birds, tmp_path):
    for name in ("model.json", "model.safetensors"):
        shutil.copy(birds[0] / name, tmp_path)
    assert models.load(tmp_path, device=CPU).class_names == ("class_00", "class_01", "class_02")


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
        lambda written: (
            [written.pop(name) for name in ("prior", "groups", "temperature")]
            and written["preprocessing"].pop("shrink_shorter_side")
            and None
        ),
    )
    model = models.load(run, device=CPU)
    assert (model.assumed, model.temperature, model.preprocessing.shrunk_side) == (None, None, None)
    assert model.groups == Groups()


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
        (lambda _: [1, 2], ["Input should be a valid dictionary"]),
    ],
)
def test_a_damaged_description_is_one_line(birds, tmp_path, change, words):
    run = changed(birds[0], tmp_path, change)
    with pytest.raises(ValueError, match=r"model\.json is damaged") as error:
        models.load(run, device=CPU)
    one_line(error, *words)


def test_no_model_is_one_line(birds, tmp_path):
    with pytest.raises(ValueError, match="holds no trained model") as error:
        models.load(tmp_path, device=CPU)
    one_line(error, tmp_path, "model.json")
    assert "resume" not in str(error.value)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(ValueError, match=f"longtail resume {tmp_path}"):
        models.load(tmp_path, device=CPU)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ValueError, match=r"model\.json is damaged: "):
        models.load(tmp_path, device=CPU)
    shutil.copy(birds[0] / "model.json", tmp_path)
    with pytest.raises(ValueError, match=r"model\.safetensors is not there"):
        models.load(tmp_path, device=CPU)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        models.load(tmp_path, device=CPU)


def test_weights_of_another_network_are_one_line(birds, tmp_path):
    run = changed(birds[0], tmp_path, lambda written: written["network"].update(width=8))
    with pytest.raises(ValueError, match="does not fit the network") as error:
        models.load(run, device=CPU)
    one_line(error, tmp_path / "model.safetensors")


def test_a_training_predicts_as_its_run_will():
    settings = small_trainings.settings("ce", "groups.many=30", "groups.few=5")
    data, network = datamodule.load(settings), untrained.model().network
    model = models.in_training(settings, data, network)
    assert model.network is network
    assert (model.class_names, model.train_counts.tolist()) == (data.class_names, data.counts.tolist())
    assert (model.groups, model.temperature) == (Groups(30, 5), None)
    mean, std = settings.augment.mean, settings.augment.std
    assert model.preprocessing == Preprocessing(Normalisation(mean, std), None, None)
