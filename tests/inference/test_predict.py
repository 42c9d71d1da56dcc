"""Prediction: the probabilities that a run gave its own test images, of any list of images, in any state."""

import numpy as np
import pyarrow.parquet
import pytest
import torch

from longtail import recipe
from longtail.data import sources
from longtail.inference import forward, predict
from longtail.inference import model as models
from longtail.inference.inputs import Queries, Query, read
from longtail.training import train
from support import fake_datasets, untrained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "run"
    overrides = ["epochs=1", "tensorboard=false", "network.width=4"]
    train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(overrides)), path, device="cpu")
    return path


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
    found, probabilities, reasons = whole(models.load(run, device=CPU), read([f"{data}/{name}" for name in names]))
    assert found == [f"{data}/{name}" for name in names]
    assert reasons == {}
    np.testing.assert_allclose(probabilities, right, atol=1e-6)


def test_digits_get_the_probabilities_of_the_training(digits):
    _, right = recorded(digits)
    source = sources.load("digits", "test")
    queries = (Query(name, fake_datasets.encode(source.image(i))) for i, name in enumerate(source.ids))
    names, probabilities, _ = whole(models.load(digits, device=CPU), Queries(queries, None), batch=100, workers=0)
    assert names == [*source.ids]
    np.testing.assert_allclose(probabilities, right, atol=1e-6)


# --- order, reasons, batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 16])
def test_batches_and_workers_change_nothing(size):
    model = untrained.model(size=size)
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
    model = untrained.model()
    _, right, _ = whole(model, Queries(images(10), 10), workers=0)
    monkeypatch.setattr(forward, "_PIXELS", 1)
    _, probabilities, _ = whole(model, Queries(images(10), 10), workers=0)
    np.testing.assert_allclose(probabilities, right, atol=1e-6)


def test_what_the_network_cannot_take_is_a_reason(monkeypatch):
    model = untrained.model()

    def picky(_network, images, _normalisation):
        if images.shape[-1] < 8:
            raise RuntimeError("Kernel size can't be\ngreater than the input")
        return forward.Output(torch.zeros(len(images), 2), torch.zeros(len(images), 3))

    monkeypatch.setattr(forward, "forward", picky)
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
    monkeypatch.setattr(forward, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        whole(untrained.model(size=16), Queries(images(1), 1))


def test_no_image_gives_no_batch():
    assert list(predict.predict(untrained.model(), Queries(iter([]), 0))) == []


def test_progress_is_reported():
    reported = []
    for total in (10, None):
        found = predict.predict(
            untrained.model(),
            Queries(images(10), total),
            batch=4,
            workers=0,
            progress=lambda *each: reported.append(each),
        )
        assert sum(len(each.names) for each in found) == 10
    assert reported == [(4, 10), (8, 10), (10, 10), (4, None), (8, None), (10, None)]


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (2, 5)])
def test_images_are_asked_for_as_they_are_needed(workers, ahead):
    """So that memory does not grow with their number: this one has no end."""
    asked = []

    def endless():
        encoded = fake_datasets.encode(fake_datasets.picture(0, seed=0, height=16, width=16))
        while True:
            asked.append(None)
            yield Query("a.png", encoded)

    found = predict.predict(untrained.model(), Queries(endless(), None), batch=3, workers=workers)
    for done in range(1, 6):
        assert len(next(found).names) == 3
        assert len(asked) <= 3 * (done + ahead)
