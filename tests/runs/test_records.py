"""Records of a run: what is written is read again, older files have defaults, and damage is named in a line."""

import json

import pytest

from longtail.recipe import load
from longtail.runs.records import Environment, ModelFile, Preprocessing, SplitFile, TimeSpent, read_json, write_json


@pytest.fixture
def model() -> ModelFile:
    settings = load("digits-lt/hybrid-psc")
    return ModelFile(
        network=settings.network,
        head=settings.head,
        class_names=("cat", "dog"),
        train_counts=(30, 2),
        prior=(0.5, 0.5),
        preprocessing=Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), centre_crop=None),
    )


def test_what_is_written_is_read(tmp_path, model):
    file = tmp_path / "file.json"
    split = SplitFile(split="test", class_names=("ä", "b"), counts=(2, 1), train=(4, 0, 7), unreadable={3: "is empty"})
    environment = Environment(device="cpu", time=TimeSpent(budget=5.0, spent=4.9, steps=40, epochs=10.0))
    for record in (model, split, environment):
        record.write(file)
        assert type(record).read(file) == record
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "device": "cpu",
        "time": {"budget": 5.0, "spent": 4.9, "steps": 40, "epochs": 10.0},
    }, "what was not set is not written"


def test_older_files_have_defaults_and_newer_ones_keep_what_they_have(tmp_path):
    file = tmp_path / "environment.json"
    write_json(file, {"device": "cpu", "weather": "rain"})
    environment = Environment.read(file)
    assert (environment.precision, environment.resumed, environment.time) == (None, (), None)
    environment.model_copy(update={"resumed": ("today",)}).write(file)
    assert read_json(file) == {"device": "cpu", "resumed": ["today"], "weather": "rain"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": []}, r"class_names is \[\]: "),
        ({"train_counts": [1]}, "train_counts is for 1 classes, class_names for 2"),
        ({"prior": [1.0]}, "prior is for 1 classes, class_names for 2"),
        ({"temperature": 0}, "temperature is 0: "),
        ({"preprocessing": {"mean": [0, 0, 0]}}, r"preprocessing\.std is missing"),
    ],
)
def test_damage_is_named_in_a_line(tmp_path, model, change, message):
    file = tmp_path / "model.json"
    write_json(file, {**model.to_dict(), **change})
    with pytest.raises(ValueError, match=rf"model\.json is damaged: {message}") as error:
        ModelFile.read(file)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_json_is_named(tmp_path):
    file = tmp_path / "split.json"
    with pytest.raises(ValueError, match=r"split\.json is not there; has the run finished\?"):
        SplitFile.read(file)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"split\.json is damaged"):
        SplitFile.read(file)
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(file, {"rate": float("nan")})
