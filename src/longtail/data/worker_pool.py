"""Crews: the same work on every image of a source, over several processes, with results in order."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from longtail.data.source import Source

Result = TypeVar("Result")
Work = Callable[[Source, range], Result]
Progress = Callable[[int, int], None]  # is told how many images of how many are done


class _Member(NamedTuple):
    """What a process of a crew was given when it started: images are no part of its orders."""

    work: Work
    source: Source


_member: _Member  # of this process, if it is one of a crew


def cores() -> int:
    """How many processor cores this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def over(
    source: Source, work: Work[Result], *, workers: int, chunk: int = 64
) -> Generator[tuple[range, Result], None, None]:
    """Do some work on all images, a chunk of neighbours at a time.

    Args:
        source: N images.
        work: a function of the source and positions in it; not a lambda, since other processes must find it.
        workers: processes; 0 works here.
        chunk: images at a time, at least 1.
    Yields: positions and the result of the work on them, in the order of the source.

    >>> import numpy as np
    >>> source = Source(np.zeros(3, np.int64), ("cat",), lambda i: np.zeros((8, 8, 3), np.uint8), ["a", "b", "c"])
    >>> [result for _, result in over(source, lambda source, chunk: source.ids[chunk[0]], workers=0, chunk=2)]
    ['a', 'c']
    """
    images = range(len(source.labels))
    chunks = (images[start : start + chunk] for start in images[::chunk])
    if not workers:
        for each in chunks:
            yield each, work(source, each)
        return
    with ProcessPoolExecutor(workers, initializer=_join, initargs=(work, source)) as pool:
        # A few chunks ahead, so that what is not asked for yet takes no memory.
        waiting = [(each, pool.submit(_do, each)) for each in islice(chunks, 4 * workers)]
        try:
            while waiting:
                each, future = waiting.pop(0)
                yield each, future.result()
                waiting += [(each, pool.submit(_do, each)) for each in islice(chunks, 1)]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _join(work: Work, source: Source) -> None:
    global _member
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts speaks to the first process
    _member = _Member(work, source)


def _do(chunk: range) -> Any:
    return _member.work(_member.source, chunk)
