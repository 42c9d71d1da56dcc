"""Axes and paths of SVG charts: where a value stands, and which values are written beside it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

SPAN = 1000  # a chart is a square of so many units, stretched to where it stands


@dataclass(frozen=True)
class Tick:
    """A value that is written beside an axis, and where: a share of its length in %."""

    label: str
    at: float


@dataclass(frozen=True)
class Linear:
    """An axis of equal steps.

    Args:
        low, high: values at its ends; `low < high`.

    >>> axis = Linear(0.0, 2.0)
    >>> axis.place(0.5), [tick.label for tick in axis.ticks()]
    (250.0, ['0', '0.5', '1', '1.5', '2'])
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """Units from the start."""
        return SPAN * (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[Tick]:
        """Round values."""
        step = _round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [Tick(_short(n * step, digits), self.place(n * step) / SPAN * 100) for n in range(first, last + 1)]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _short(value: float, digits: int) -> str:
    if digits > 3:
        return f"{value:.0e}".replace("e-0", "e-") if value else "0"
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class Log:
    """An axis of equal factors, for counts; 0 has a place of its own before the smallest.

    Args:
        low, high: counts at its ends; `1 <= low < high`.
        zero: whether there is a 0.

    >>> axis = Log(1, 1000, zero=False)
    >>> round(axis.place(100)), [tick.label for tick in axis.ticks()]
    (667, ['1', '10', '100', '1,000'])
    """

    low: float
    high: float
    zero: bool

    @classmethod
    def around(cls, counts: Iterable[float]) -> "Log":
        """An axis that holds all of these counts, and is not without length."""
        counts = list(counts)
        positive = [count for count in counts if count > 0] or [1]
        # A little room, so that no point lies on the edge; half a decade, so that equal counts stand in the middle.
        low, high = min(positive) / 1.25, max(positive) * 1.25
        if high / low < 3:
            low, high = low / 1.8, high * 1.8
        return cls(low, high, zero=len(positive) < len(counts))

    def place(self, value: float) -> float:
        """Units from the start."""
        if value <= 0:
            return 0.025 * SPAN
        start = 0.06 * SPAN if self.zero else 0
        return start + (SPAN - start) * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[Tick]:
        """Powers of ten; of a short axis also twice and five times of them."""
        decades = math.log10(self.high / self.low)
        factors = (1,) if decades > 2.2 else (1, 3) if decades > 1.5 else (1, 2, 5)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        values = [
            factor * 10**power
            for power in range(max(0, first), last + 1)
            for factor in factors
            if self.low <= factor * 10**power <= self.high
        ]
        zero = [Tick("0", self.place(0) / SPAN * 100)] * self.zero
        return zero + [Tick(_count(value), self.place(value) / SPAN * 100) for value in values]


def _count(value: int) -> str:
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if value >= 10 * size or (value >= size and letter == "M"):
            return f"{value // size:,}{letter}"
    return f"{value:,}"


def line(points: Iterable[tuple[float, float]]) -> str:
    """The path of a line through points, in units from the left and from the bottom.

    >>> line([(0, 0), (500.0, 250.04)])
    'M0 1000L500 750'
    """
    corners = [f"{_number(x)} {_number(SPAN - y)}" for x, y in points]
    if len(corners) == 1:
        return f"M{corners[0]}h0"  # a dot, where ends are round
    return "M" + "L".join(corners) if corners else ""


def dots(points: Iterable[tuple[float, float]]) -> str:
    """The path of dots: lines without length, which round ends make visible.

    >>> dots([(10, 0)])
    'M10 1000h0'
    """
    return "".join(f"M{_number(x)} {_number(SPAN - y)}h0" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
