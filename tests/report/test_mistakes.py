"""The most confident mistakes, with thumbnails where the run kept some."""

from dataclasses import replace

from longtail.report import mistakes


def test_mistakes_have_thumbnails_where_the_run_kept_some(read):
    found = mistakes.mistakes(read)
    assert found
    assert all((each.thumbnail or "").startswith("data:image/webp;base64,") for each in found)
    assert all(each.thumbnail is None for each in mistakes.mistakes(replace(read, gallery=None)))
