"""Lengths of time as people write them: 90s, 15m, 1h30m, and 1:30:00 on a clock."""

import re

_UNITS = {"h": 3600, "m": 60, "s": 1}
_FORM = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in _UNITS))


def parse(text: str) -> float:
    """Read a length of time, in seconds.

    Args:
        text: hours, minutes and seconds, in this order, at least one of them, each with its unit.
    Raises: ValueError if it is anything else; a number without a unit, too, as nobody can know which one is meant.

    >>> [parse(text) for text in ("90s", "15m", "1h30m", "1.5h")]
    [90.0, 900.0, 5400.0, 5400.0]
    """
    found = _FORM.fullmatch(text.strip().lower())
    if not text.strip() or found is None:
        raise ValueError(f"it is {text!r}; allowed: a time with its units, such as 90s, 15m, 1h or 1h30m")
    return float(sum(float(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number))


def words(seconds: float) -> str:
    """Write a length of time, to the second if it is long.

    Args:
        seconds: at least 0.

    >>> [words(seconds) for seconds in (2.34, 90, 900, 5400, 5401)]
    ['2.3s', '1m30s', '15m', '1h30m', '1h30m1s']
    """
    if seconds < 10 and seconds != round(seconds):
        return f"{seconds:.1f}s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n) or "0s"


def clock(seconds: float) -> str:
    """Write a length of time as a clock that counts down shows it.

    Args:
        seconds: at least 0.

    >>> clock(5), clock(3671.4)
    ('0:05', '1:01:11')
    """
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
