"""Messy data and what an audit finds in it, made once for all tests of audits."""

import pytest

from longtail.data import sources
from longtail.data.audit import audit
from support import messy_data


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """By kind, what was written and what an audit of it finds."""
    root = tmp_path_factory.mktemp("messy")
    written = {
        "folder": messy_data.write_folder(root / "folder"),
        "split": messy_data.write_split_folder(root / "split"),
        "manifest": messy_data.write_manifest(root / "manifest"),
        "split groups": messy_data.write_manifest(root / "bursts", split=True),
    }
    return {kind: (each, audit.audit(sources.read(each.root))) for kind, each in written.items()}
