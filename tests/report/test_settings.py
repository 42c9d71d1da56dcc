"""Settings and environment side by side."""

import re

from longtail.report import run as run_reading
from longtail.report import settings


def test_settings_that_differ_stand_first(run, other):
    table = settings.settings(run_reading.read([run, other]))
    assert ("seed", ("0", "3")) in table.different
    assert ("method.kind", ("hybrid-psc", "ce")) in table.different
    assert ("epochs", "20") in table.same
    assert not {name for name, _ in table.same} & {name for name, _ in table.different}
    alone = settings.settings(run_reading.read([run]))
    assert alone.different == []
    assert all(re.fullmatch(r"[a-z0-9_.]+", name) for name, _ in alone.same)
