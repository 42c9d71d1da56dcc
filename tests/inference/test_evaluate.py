"""Evaluation: shares of processes, images that cannot be read, and the temperature that validation images give."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest
import torch

from longtail import metrics, recipe
from longtail.data.decode import UnreadableError
from longtail.inference import evaluate, predict
from longtail.inference import model as models
from longtail.inference.evaluate import Loading
from longtail.inference.inputs import Queries, Query
from longtail.runs import datamodule, records
from longtail.runs.folder import RunDir
from longtail.runtime.distributed import Process
from longtail.training import train
from support import fake_datasets, small_trainings, untrained


def digits(*overrides):
    """A model that has learned nothing, and its data."""
    settings = small_trainings.settings("ce", "split=validation", "data.validation=1", *overrides)
    data = datamodule.load(settings)
    return settings, data, models.in_training(settings, data, untrained.model(data.class_names).network)


def test_images_of_several_processes_come_back_in_order(monkeypatch):
    """Shares of an odd number of images, as three processes would see them."""
    settings, data, model = digits()
    source, indices = data.split("validation")
    processes = [Process(torch.device("cpu"), rank, 3) for rank in range(3)]
    parts = [
        evaluate.predict_batches(model, evaluate.split_batches(model, source, indices, settings.data, process)())
        for process in processes
    ]
    assert {len(part) for part in parts} == {4}
    monkeypatch.setattr(evaluate.distributed, "gather", lambda _: torch.from_numpy(np.concatenate(parts)))
    alone = evaluate.predict(model, source, indices, loading=Loading(batch=4, workers=0))
    assert alone.indices.tolist() == indices.tolist()
    for process in processes:
        found = evaluate.joined(parts[process.rank], images=10, process=process)
        np.testing.assert_allclose(found, alone.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_in_memory_are_decoded_once(in_memory):
    settings, data, model = digits(f"data.in_memory={str(in_memory).lower()}", "data.workers=0")
    source, indices = data.split("validation")
    asked = []
    counting = replace(source, image=lambda i: asked.append(i) or source.image(i))
    again = evaluate.split_batches(model, counting, indices, settings.data, Process(torch.device("cpu")))
    one, other = (evaluate.predict_batches(model, again()) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert len(asked) == (10 if in_memory else 20)


def test_what_cannot_be_read_is_left_out_or_an_error():
    _, data, model = digits()
    source, indices = data.split("validation")

    def broken(i):
        if i == indices[3]:
            raise UnreadableError("3.png", "is broken")
        return source.image(i)

    damaged, progress = replace(source, image=broken), []
    found = evaluate.predict(
        model, damaged, indices, loading=Loading(batch=4, workers=0), progress=lambda *each: progress.append(each)
    )
    assert found.indices.tolist() == [i for i in indices.tolist() if i != indices[3]]
    assert found.unreadable == {int(indices[3]): "is broken"}
    assert len(found.logits) == 9
    assert progress == [(4, 10), (8, 10), (10, 10)]
    batches = evaluate.split_batches(model, damaged, indices, digits()[0].data, Process(torch.device("cpu")))
    with pytest.raises(ValueError, match="is broken"):
        evaluate.predict_batches(model, batches())


def test_a_temperature_is_fitted_on_validation_images_and_used(tmp_path):
    """Never on those that are reported: with none held out, there is none."""
    short = ["epochs=2", "network.width=4", "tensorboard=false"]
    train.train(
        recipe.load("digits-lt/ce", recipe.parse_overrides([*short, "data.validation=5"])),
        tmp_path / "run",
        device="cpu",
    )
    run = RunDir(tmp_path / "run")
    fitted, summary = records.read_json(run.model)["temperature"], run.read_summary()
    device = torch.device("cpu")
    on_validation = evaluate.evaluate(run, split="validation", device=device)
    kept = pyarrow.parquet.read_table(run.predictions("validation"))
    logits = np.array(kept["logits"].to_pylist())
    assert fitted == metrics.fit_temperature(logits, kept["label"].to_numpy()) != 1.0
    assert (summary.temperature, on_validation.temperature) == (fitted, fitted)
    assert summary.ece_calibrated is not None
    assert on_validation.ece_calibrated is None, "it would prove nothing where it was fitted"
    assert evaluate.evaluate(run, device=device) == summary
    model = models.load(run.path, device=device)
    assert model.temperature == fitted
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    said = [next(predict.predict(each, one(pixels))) for each in (model, replace(model, temperature=None))]
    warm = np.log(said[0].probabilities) * fitted
    cold = np.log(said[1].probabilities)
    np.testing.assert_allclose(warm - warm.max(), cold - cold.max(), atol=1e-3)


def one(pixels):
    return Queries(iter([Query("one", fake_datasets.encode(pixels))]), 1)


def test_a_run_that_reports_validation_images_has_no_calibrated_error(tmp_path):
    short = [
        "epochs=1",
        "network.width=4",
        "tensorboard=false",
        "split=validation",
        "data.n_max=60",
        "data.imbalance=20",
    ]
    summary = train.train(
        recipe.load("digits-lt/ce", recipe.parse_overrides([*short, "batch_size=16"])), tmp_path / "run", device="cpu"
    )
    assert summary.temperature == small_trainings.json_of(tmp_path / "run/model.json")["temperature"] is not None
    assert summary.ece_calibrated is None
    train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(short[:3])), tmp_path / "other", device="cpu")
    assert small_trainings.json_of(tmp_path / "other/model.json")["temperature"] is None
    assert RunDir(tmp_path / "other").read_summary().temperature is None
