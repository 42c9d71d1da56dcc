"""What is decided about custom data before a training: settings of a path, and all that an audit adds."""

from pathlib import Path

import pytest

from longtail import recipe
from longtail.data import sources
from longtail.planning import preflight
from longtail.runs import custom_data, datamodule
from support import fake_datasets, messy_data


def test_prepare_makes_settings_of_a_path(tmp_path, monkeypatch):
    written = messy_data.write_folder(tmp_path / "birds: 1.5")
    monkeypatch.chdir(tmp_path)
    prepared = preflight.prepare(Path("birds: 1.5"), {"epochs": 2, "data.test_share": 0.3})
    chosen = prepared.settings
    assert chosen.name == "birds: 1.5"
    assert chosen.data.name == "own"
    assert chosen.data.path == str(written.root)
    assert chosen.data.test_share == 0.3
    assert chosen.epochs == 2
    assert prepared.reasons[0].startswith("recipe=own/small: ")


def test_settings_of_the_data_are_heeded_when_it_is_read(tmp_path):
    written = messy_data.write_manifest(tmp_path / "traps")
    moved = tmp_path / "elsewhere.csv"
    written.root.rename(moved)
    prepared = preflight.prepare(moved, {"data.root": str(tmp_path / "traps"), "data.form": "table"})
    assert prepared.settings.data.root == str(tmp_path / "traps")
    assert prepared.settings.name == "elsewhere"
    with pytest.raises(ValueError, match=r"read as|coco"):
        preflight.prepare(tmp_path / "traps", {"data.form": "coco"})


def test_data_without_a_readable_image_is_refused(tmp_path):
    for name in ("wren", "crow"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").touch()
    with pytest.raises(ValueError, match="longtail audit says why"):
        preflight.prepare(tmp_path)


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_name_is_a_recipe_or_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messy_data.write_folder(tmp_path / "birds")
    (tmp_path / "mine.yaml").write_text(recipe.text_of("digits-lt/ce"))
    assert preflight.choose("digits-lt/ce") == preflight.Plan(recipe.load("digits-lt/ce"))
    assert preflight.choose("mine.yaml", {"epochs": 3}).settings.epochs == 3
    for name in ("birds", "./birds", str(tmp_path / "birds")):
        chosen = preflight.choose(name, {"epochs": 3})
        assert (chosen.settings.name, chosen.settings.epochs) == ("birds", 3)
        assert chosen.reasons


def test_a_name_of_both_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messy_data.write_folder(tmp_path / "digits-lt/ce")
    with pytest.raises(ValueError, match=r"is a shipped recipe, and a folder here; for the folder say \./digits-lt/ce"):
        preflight.choose("digits-lt/ce")
    assert preflight.choose("./digits-lt/ce").settings.data.name == "own"


def test_a_template_is_for_data_only():
    with pytest.raises(ValueError, match=r"--recipe is own/small, but digits-lt/ce is no data"):
        preflight.choose("digits-lt/ce", template="own/small")


# --- once -------------------------------------------------------------------------------------------------------------


def test_the_training_takes_the_data_as_it_was_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake_datasets.write_folder(tmp_path / "photos", [12, 8, 4])
    plan = preflight.prepare(tmp_path / "photos", {"data.workers": 0})
    assert plan.listed is not None and len(plan.listed.header_sizes) == 24
    anew = datamodule.load(plan.settings)
    for name in ("read", "size_of"):
        monkeypatch.setattr(custom_data, name, lambda *_, **__: pytest.fail("read again"))
    monkeypatch.setattr(sources, "read", lambda *_, **__: pytest.fail("listed again"))
    assert datamodule.load(plan.settings, listed=plan.listed).record() == anew.record()
