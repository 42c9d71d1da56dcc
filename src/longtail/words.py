"""Words: numbers as people read them on a page."""

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A share; a dash for none.

    >>> percent(0.868), percent(None)
    ('86.8 %', '–')
    """
    return DASH if fraction is None else f"{100 * fraction:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of shares, in percentage points, with its sign.

    >>> points(0.0123), points(-0.5), points(0.0)
    ('+1.2', '−50.0', '0.0')
    """
    rounded = round(100 * difference, 1)
    return f"{'+' if rounded > 0 else MINUS if rounded < 0 else ''}{abs(rounded):.1f}"


def between(interval: tuple[float, float] | None) -> str:
    """An interval of shares.

    >>> between((0.3, 0.954))
    '30.0 to 95.4'
    """
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "image"), count(1200, "class", "classes")
    ('1 image', '1,200 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(values: list[str]) -> str:
    """Several things in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(values[:-1]), values[-1]]))


def split(name: str) -> str:
    """The images that were measured.

    >>> split("train")
    'training'
    """
    return {"train": "training"}.get(name, name)
