"""The three steps in Python: from a folder to predictions."""

from pathlib import Path

import pytest

import longtail
from longtail.classifier import Classifier
from longtail.runs.folder import RunDir
from support import fake_datasets

FEW = {"epochs": 2, "network.width": 4, "tensorboard": False}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake_datasets.write_folder(tmp_path / "photos", [12, 8, 4])


def test_three_steps(tmp_path, capsys):
    classifier = longtail.Classifier.from_folder("photos", {**FEW, "seed": 3})
    assert any(reason.startswith("recipe=own/small: ") for reason in classifier.reasons)
    classifier.fit(device="cpu")
    assert classifier.run == Path("runs/photos/seed-3")
    assert classifier.settings.epochs == 2
    assert capsys.readouterr().out == "", "what is said goes to standard error"
    paths = [tmp_path / "photos/class_01/00000.png", "nowhere.png", tmp_path / "photos/class_00/00000.png"]
    answers = classifier.predict(paths, top=2)
    assert [answer.path for answer in answers] == [str(path) for path in paths]
    assert [answer.error for answer in answers] == [None, "does not exist", None]
    assert all(len(answer.top) == 2 for answer in answers[::2])
    assert len(classifier.predict("photos")) == 24


def test_it_is_measured_where_the_training_was_or_elsewhere():
    classifier = Classifier.from_folder("photos", FEW).fit("run", device="cpu")
    assert classifier.evaluate() == RunDir(Path("run")).read_summary()
    assert classifier.evaluate("train").images > classifier.evaluate("test").images
    with pytest.raises(ValueError, match="there is no validation image"):
        classifier.evaluate("validation")


def test_one_that_was_trained_before_is_loaded():
    first = Classifier.from_folder("photos", FEW).fit("run", device="cpu")
    again = Classifier.load("run")
    assert again.settings == first.settings
    assert again.predict("photos") == first.predict("photos")
    with pytest.raises(ValueError, match="photos holds no run"):
        Classifier.load("photos")


def test_a_second_training_takes_a_folder_of_its_own():
    classifier = Classifier.from_folder("photos", {**FEW, "epochs": 1})
    runs = [classifier.fit(device="cpu").run for _ in range(2)]
    assert runs == [Path("runs/photos/seed-0"), Path("runs/photos/seed-0-2")]


def test_nothing_is_predicted_before_it_is_trained():
    classifier = Classifier.from_folder("photos")
    for ask in (classifier.predict, lambda _: classifier.evaluate()):
        with pytest.raises(ValueError, match="not trained yet; call fit first"):
            ask("photos")


def test_settings_are_those_of_a_recipe():
    classifier = Classifier.from_folder("photos", {"data.test_share": 0.5, "method.kind": "ce"}, recipe="own/small")
    assert (classifier.settings.data.test_share, classifier.settings.method.kind) == (0.5, "ce")
    with pytest.raises(ValueError, match="unknown setting epohcs; did you mean epochs"):
        Classifier.from_folder("photos", {"epohcs": 3})
