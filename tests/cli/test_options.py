"""How texts of the command line become values."""

from pathlib import Path

import pytest
import typer

from longtail.cli import options


def test_integers_and_their_bounds():
    assert options.integer("3") == 3
    assert options.at_least(2)("2") == 2
    with pytest.raises(typer.BadParameter, match=r"'1\.5' is not an integer"):
        options.integer("1.5")
    with pytest.raises(typer.BadParameter, match="it is 1; allowed: at least 2"):
        options.at_least(2)("1")


def test_paths(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert options.path("~/runs") == Path("/somewhere/runs")
    with pytest.raises(typer.BadParameter, match="it is empty"):
        options.path("")


def test_an_interruption_names_the_command_that_goes_on(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["longtail", "compare", "a b"])
    for run, again, line in (
        (tmp_path, False, "interrupted"),
        (None, True, "interrupted; continue with: longtail compare 'a b'"),
    ):
        with pytest.raises(KeyboardInterrupt), options.interruptible(run, again=again):
            raise KeyboardInterrupt
        assert capsys.readouterr().err == f"{line}\n"
