"""Made-up runs that tests of sections share."""

import pytest

from longtail.report import run as run_reading
from support import fake_runs


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a run."""
    return fake_runs.write(tmp_path_factory.mktemp("runs") / "one").path


@pytest.fixture(scope="session")
def read(run):
    """The same run, read."""
    return run_reading.read([run])[0]


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """The folder of another one, of the same images."""
    path = tmp_path_factory.mktemp("runs") / "other"
    fake_runs.write(path, method="ce", skill=1.0, seed=3)
    return path
