"""Words: numbers with their nouns, and the first of many names."""

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "class"), count(2, "class"), count(1000, "image")
    ('1 class', '2 classes', '1,000 images')
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending * (number != 1)}"


def few(names: Sequence[str]) -> str:
    """The first of many names.

    >>> few(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    return ", ".join(map(printed, names[:4])) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")


def printed(name: str) -> str:
    r"""A name on one line, whatever is in it.

    >>> printed("a b"), printed("a\nb")
    ('a b', "'a\\nb'")
    """
    return name if name.isprintable() else repr(name)
