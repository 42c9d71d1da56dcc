"""The command that writes a report: where it goes, and what is wrong in one line."""

import sys

import pytest

from longtail import report
from longtail.cli import main
from longtail.runs.folder import RunDir
from longtail.training import train
from support import fake_runs, small_trainings


@pytest.fixture
def longtail(capsys, monkeypatch, tmp_path):
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["longtail", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return command


def test_the_report_of_a_run_is_in_its_folder(longtail, tmp_path):
    path = fake_runs.write(tmp_path / "run").path
    assert longtail("report", path) == (0, "", f"the report is in {path / 'report.html'}\n")
    assert (path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert longtail("report", path, "--out", "page.html")[0] == 0
    assert (tmp_path / "page.html").read_text() == (path / "report.html").read_text()


def test_the_report_of_several_runs_is_here(longtail, tmp_path):
    paths = [fake_runs.write(tmp_path / name, seed=n).path for n, name in enumerate("ab")]
    assert longtail("report", *paths) == (0, "", "the report is in report.html\n")
    assert "seed 1" in (tmp_path / "report.html").read_text()
    assert not (paths[0] / "report.html").exists()


def test_mistakes_are_one_line(longtail, tmp_path):
    run = fake_runs.write(tmp_path / "run")
    named = fake_runs.write(tmp_path / "named", names=[*"abcdefghij"]).path
    for arguments, words in (
        ((tmp_path,), "holds no run"),
        ((tmp_path / "nowhere",), "holds no run"),
        ((run.path, named), "must know the same"),
        ((run.path, "--out", "nowhere/page.html"), "--out is nowhere/page.html; there is no folder nowhere"),
        ((run.path, "--out", tmp_path), "Is a directory"),
    ):
        code, out, err = longtail("report", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and err.count("\n") == 1 and words in err, err
    run.summary().unlink()
    code, _, err = longtail("report", run.path)
    assert code == 2 and "run has not finished" in err and "longtail resume" in err
    assert longtail("report")[0] == 2


def test_help_fits_80_columns(longtail):
    code, out, _ = longtail("report", "--help")
    assert code == 0
    assert "Usage: longtail report " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_training_ends_with_a_report_and_evaluating_keeps_what_it_needs(tmp_path):
    path = tmp_path / "run"
    train.train(small_trainings.settings("ce", "epochs=1"), path, device="cpu")
    report.write_pages(RunDir.open(path), print)
    text = (path / "report.html").read_text()
    assert "Last epoch" not in text
    assert "One epoch, weights averaged over time (0.9), one seed (0), test split of 500 images." in text
    gallery = RunDir.open(path).read_gallery()
    assert gallery is not None
    assert [*gallery.rows] == [*range(500)], "there are fewer images than a map holds"
    assert gallery.features.shape == (500, 32)
    assert text.count("<img ") > 20
