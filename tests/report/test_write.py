"""Pages in a run folder: both are there, and one that fails costs a line."""

import pytest

from longtail import report
from longtail.report import model_card, write
from support import fake_runs


def test_a_finished_run_gets_a_card_and_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(model_card, "render", lambda run: f"the card of {run.path.name}")
    run, lines = fake_runs.write(tmp_path / "run"), list[str]()
    report.write_pages(run, lines.append)
    assert lines == []
    assert run.card.read_text(encoding="utf-8") == "the card of run"
    assert run.report.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("where", "name", "file", "command"),
    [(write, "render", "report.html", "report"), (model_card, "render", "MODEL_CARD.md", "evaluate")],
)
def test_a_page_that_cannot_be_written_costs_a_line(tmp_path, monkeypatch, where, name, file, command):
    def fail(_):
        raise RuntimeError("no\npaper")

    monkeypatch.setattr(model_card, "render", lambda _: "the card")
    monkeypatch.setattr(where, name, fail)
    run, lines = fake_runs.write(tmp_path / "run"), list[str]()
    report.write_pages(run, lines.append)
    assert lines == [f"{run.path / file} was not written: no paper; try longtail {command} {run.path}"]
    assert run.card.exists() != run.report.exists()
