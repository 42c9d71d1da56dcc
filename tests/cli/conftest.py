"""A command line in the process, a finished run, and data sets that look like the real ones."""

import sys
from pathlib import Path

import pytest

from longtail import recipe
from longtail.cli import main
from longtail.training import train
from support import fake_datasets
from support.commands import SMALL, Command, Said


@pytest.fixture
def longtail_(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LONGTAIL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def command(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["longtail", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capsys.readouterr()
        return Said(int(caught.value.code or 0), out, err)

    return command


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that held nothing out."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    overrides = [*SMALL[1:-2:2], "data.n_max=40", "data.imbalance=20", "batch_size=32"]
    train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(overrides)), path, device="cpu")
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    fake_datasets.write_cifar_parquet(folder, "cifar10", per_class_train=20, per_class_test=2)
    return folder
