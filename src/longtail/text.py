"""Numbers, shares, lengths of time, plurals and lists as people read them: the only place that writes them."""

import re
from collections.abc import Sequence
from typing import Any

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"

_UNITS = {"h": 3600, "m": 60, "s": 1}
_FORM = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in _UNITS))


def percent(fraction: float | None, digits: int = 1) -> str:
    """A share; a dash for none.

    >>> percent(0.868), percent(None)
    ('86.8 %', '–')
    """
    return DASH if fraction is None else f"{100 * fraction:.{digits}f} %"


def percent_cell(fraction: float | None) -> str:
    """A share in a table on a terminal: in ASCII, and without a blank, so that programs find the columns.

    >>> percent_cell(0.4497), percent_cell(None)
    ('44.97%', '-')
    """
    return "-" if fraction is None else f"{fraction:.2%}"


def percentage_points(difference: float) -> str:
    """A difference of shares, in percentage points, with its sign.

    >>> percentage_points(0.0123), percentage_points(-0.5), percentage_points(0.0)
    ('+1.2', '−50.0', '0.0')
    """
    rounded = round(100 * difference, 1)
    return f"{'+' if rounded > 0 else MINUS if rounded < 0 else ''}{abs(rounded):.1f}"


def decimal(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """A number that is no share.

    >>> decimal(1.23456), decimal(-0.5, 1), decimal(0.5, sign=True)
    ('1.235', '−0.5', '+0.500')
    """
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}".replace("-", MINUS)


def percent_interval(interval: tuple[float, float] | None) -> str:
    """An interval of shares, in percent.

    >>> percent_interval((0.3, 0.954))
    '30.0 to 95.4'
    """
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def quantity(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, in the plural if it is not 1.

    >>> quantity(1, "class"), quantity(1200, "class"), quantity(3, "index", "indices")
    ('1 class', '1,200 classes', '3 indices')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or noun + ('es' if noun.endswith('s') else 's')}"


def join_and(values: Sequence[str]) -> str:
    """Several things in a sentence.

    >>> join_and(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(values[:-1]), values[-1]]))


def join_or(values: Sequence[str]) -> str:
    """A choice between several things.

    >>> join_or(["ce", "hybrid-sc", "hybrid-psc"])
    'ce, hybrid-sc or hybrid-psc'
    """
    return " or ".join(filter(None, [", ".join(values[:-1]), values[-1]]))


def first_few(names: Sequence[str]) -> str:
    """The first four of many names, and how many more there are.

    >>> first_few(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    return ", ".join(map(printable, names[:4])) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")


def printable(name: str) -> str:
    r"""A name on one line, whatever is in it.

    >>> printable("a b"), printable("a\nb")
    ('a b', "'a\\nb'")
    """
    return name if name.isprintable() else repr(name)


def yaml_value(value: Any) -> str:
    """A value almost as YAML has it, cut if it is long.

    >>> print(yaml_value(None), yaml_value("a text"), yaml_value([1, 2]))
    null 'a text' [1, 2]
    """
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= 80 else f"{text[:76]} ..."


def one_line(error: BaseException) -> str:
    r"""The message of an error without its line breaks.

    >>> one_line(ValueError("a\n  b"))
    'a b'
    """
    return " ".join(str(error).split())


def split_title(name: str) -> str:
    """The name of a split as an adjective.

    >>> split_title("train")
    'training'
    """
    return {"train": "training"}.get(name, name)


def parse_duration(text: str) -> float:
    """Read a length of time, in seconds.

    Args:
        text: hours, minutes and seconds, in this order, at least one of them, each with its unit.
    Raises: ValueError if it is anything else; a number without a unit, too, as nobody can know which one is meant.

    >>> [parse_duration(text) for text in ("90s", "15m", "1h30m", "1.5h")]
    [90.0, 900.0, 5400.0, 5400.0]
    """
    found = _FORM.fullmatch(text.strip().lower())
    if not text.strip() or found is None:
        raise ValueError(f"it is {text!r}; allowed: a time with its units, such as 90s, 15m, 1h or 1h30m")
    return float(sum(float(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number))


def duration(seconds: float) -> str:
    """A length of time, to the second if it is long; `parse_duration` reads it back.

    Args:
        seconds: at least 0.

    >>> [duration(seconds) for seconds in (2.34, 90, 900, 5400, 5401)]
    ['2.3s', '1m30s', '15m', '1h30m', '1h30m1s']
    """
    if seconds < 10 and seconds != round(seconds):
        return f"{seconds:.1f}s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n) or "0s"


def duration_about(seconds: float) -> str:
    """A length of time that is only roughly known, in the unit that suits it.

    >>> [duration_about(seconds) for seconds in (0.2, 45, 100, 3600, 100_000)]
    ['1 second', '45 seconds', '1.7 minutes', '60 minutes', '28 hours']
    """
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            number = seconds / length
            return f"{number:.0f} {unit}s" if number >= 10 else f"{number:.1f} {unit}s"
    return quantity(round(max(1, seconds)), "second")


def rough_duration(seconds: float | None) -> str:
    """A length of time in one unit, for tables; a dash for none.

    >>> rough_duration(47.2), rough_duration(171), rough_duration(None)
    ('47 s', '2.9 min', '–')
    """
    if seconds is None:
        return DASH
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def p_value(p: float) -> str:
    """The p of a test, to as many digits as matter.

    >>> p_value(0.0004), p_value(0.0321), p_value(0.731)
    ('below 0.001', '0.032', '0.73')
    """
    return "below 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def clock_time(seconds: float) -> str:
    """A length of time as a clock that counts down shows it.

    Args:
        seconds: at least 0.

    >>> clock_time(5), clock_time(3671.4)
    ('0:05', '1:01:11')
    """
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
