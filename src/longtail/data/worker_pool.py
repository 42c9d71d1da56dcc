"""A worker pool: the same work on every image of a source once, in several processes, with results in order.

Training loads its batches by torch's `DataLoader` (`data.batches`) instead: that keeps its workers over all epochs and
hands tensors over in shared memory, but knows batches of tensors alone. Here results are any objects, chunks of images
come in the order of the source, and nothing needs torch: the audit and the decoding of custom data run before it is
imported.
"""

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
Progress = Callable[[int, int], None]  # called with how many images of how many are done


class _Worker(NamedTuple):
    """What a process of the pool gets when it starts, and not again with each chunk: a source may be large to send."""

    work: Work
    source: Source


_worker: _Worker  # of this process, if it is one of a pool


def cores() -> int:
    """How many processor cores this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def map_chunks(
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
    >>> [result for _, result in map_chunks(source, lambda source, chunk: source.ids[chunk[0]], workers=0, chunk=2)]
    ['a', 'c']
    """
    images = range(len(source.labels))
    chunks = (images[start : start + chunk] for start in images[::chunk])
    if not workers:
        for each in chunks:
            yield each, work(source, each)
        return
    with ProcessPoolExecutor(workers, initializer=_join, initargs=(work, source)) as pool:
        # Only a few chunks ahead: results that wait for a slow consumer would fill the memory.
        waiting = [(each, pool.submit(_do, each)) for each in islice(chunks, 4 * workers)]
        try:
            while waiting:
                each, future = waiting.pop(0)
                yield each, future.result()
                waiting += [(each, pool.submit(_do, each)) for each in islice(chunks, 1)]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _join(work: Work, source: Source) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    _worker = _Worker(work, source)


def _do(chunk: range) -> Any:
    return _worker.work(_worker.source, chunk)
