"""Lengths of time, as people write and read them."""

import pytest

from longtail.text import duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h", 3600), ("1h30m", 5400), (" 1H 30M 5s ", 5405), ("0.5m", 30), ("2h0m1s", 7201)],
)
def test_reading(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "15", "m", "15x", "30m1h", "1m1m", "-5m", "1:30", "15 minutes", "1e3s", "nan"]
)
def test_anything_else_is_one_clear_line(text):
    with pytest.raises(ValueError, match=r"it is '.*'; allowed: a time with its units, such as 90s, 15m") as error:
        parse_duration(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.04, "0.0s"), (1.26, "1.3s"), (59.6, "1m"), (60, "1m"), (3725, "1h2m5s")]
)
def test_writing(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("seconds", [1, 59, 60, 61, 3599, 3600, 3601, 90_061])
def test_what_is_written_can_be_read(seconds):
    assert parse_duration(duration(seconds)) == seconds
