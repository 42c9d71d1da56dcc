"""TEMPORARY stand-in by ENGINE, not committed, until DECODING's is there: overwrite it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from longtail.data.decoding import UnreadableError
from longtail.data.source import Pixels, Source


@dataclass(frozen=True)
class Pack:
    """Stand-in."""

    source: Source
    unreadable: Mapping[int, str]


def pack(
    source: Source,
    *,
    shorter_side: int | None,
    folder: Path,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Pack:
    """Stand-in."""
    return Pack(replace(source), check(source))


def check(
    source: Source, *, workers: int = 0, progress: Callable[[int, int], None] | None = None
) -> Mapping[int, str]:
    """Stand-in."""
    bad = {}
    for i in range(len(source.labels)):
        try:
            source.image(i)
        except UnreadableError as error:
            bad[i] = error.reason
    return bad
