"""Runs that stand side by side have names that distinguish them."""

from longtail.report import run as run_reading
from support import fake_runs


def test_names_distinguish_runs(run, other, tmp_path):
    twin = fake_runs.write(tmp_path / "twin", seed=5).path
    again = fake_runs.write(tmp_path / "again", seed=5).path
    assert [each.name for each in run_reading.read([run])] == ["hybrid-psc"]
    assert [each.name for each in run_reading.read([run, other])] == ["hybrid-psc", "ce"]
    assert [each.name for each in run_reading.read([run, twin])] == [f"digits-lt/hybrid-psc, seed {n}" for n in (0, 5)]
    assert [each.name for each in run_reading.read([twin, again])] == [str(twin), str(again)]
    assert [each.name for each in run_reading.read([twin, again], names=["x", "y"])] == ["x", "y"]
