"""The temperature of a run: fitted on validation images, kept with the model, and used for whatever is predicted."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet
import torch

from longtail import metrics, recipe
from longtail.inference import evaluate, predict
from longtail.inference.inputs import Queries, Query
from longtail.runs import records
from longtail.runs.folder import RunDir
from longtail.training import train
from support import fake_datasets, small_trainings


def test_a_temperature_is_fitted_on_validation_images_and_used(tmp_path):
    """Never on those that measure: with none held out, there is none."""
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
    model = predict.load(run.path, device=device)
    assert model.temperature == fitted
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    said = [next(predict.predict(each, one(pixels))) for each in (model, replace(model, temperature=None))]
    warm = np.log(said[0].probabilities) * fitted
    cold = np.log(said[1].probabilities)
    np.testing.assert_allclose(warm - warm.max(), cold - cold.max(), atol=1e-3)


def one(pixels):
    return Queries(iter([Query("one", fake_datasets.encode(pixels))]), 1)


def test_a_run_judged_on_validation_images_has_no_calibrated_error(tmp_path):
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
