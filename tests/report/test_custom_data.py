"""What a page says of custom data."""

from longtail.report import run as run_reading
from longtail.report.custom_data import custom_data
from support import fake_runs


def test_notes_and_unreadable_images_of_custom_data(read, tmp_path):
    assert custom_data(read) is None, "digits are built in"
    quarantine = [(f"{n}.png", "cat", "is empty") for n in range(30)]
    own = ["data.name=own", f"data.path={tmp_path}", "data.n_max=null"]
    run = fake_runs.write(tmp_path / "run", overrides=own, record={"notes": ["a note"]}, quarantine=quarantine)
    found = custom_data(run_reading.read([run.path])[0])
    assert found is not None
    assert (found.notes, found.unreadable, found.first) == (["a note"], 30, quarantine[:20])
