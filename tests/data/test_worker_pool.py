"""Crews: every image once, in order, whoever does the work."""

import os

import numpy as np
import pytest

from longtail.data import worker_pool
from longtail.data.source import Source


def names(source, chunk):
    return os.getpid(), [source.ids[i] for i in chunk]


def fail(source, chunk):
    if 7 in chunk:
        raise ValueError(f"{source.ids[7]} is bad")
    return 0


def numbered(images):
    return Source(
        np.zeros(images, np.int64), ("cat",), lambda _: np.zeros((8, 8, 3), np.uint8), [*map(str, range(images))]
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("images", [0, 1, 10, 100])
def test_every_image_is_worked_on_once_and_in_order(workers, images):
    results = list(worker_pool.map_chunks(numbered(images), names, workers=workers, chunk=3))
    assert [i for chunk, _ in results for i in chunk] == list(range(images))
    assert [name for _, (_, those) in results for name in those] == [*map(str, range(images))]
    here = {process == os.getpid() for _, (process, _) in results}
    assert here <= {workers == 0}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_reaches_the_caller(workers):
    with pytest.raises(ValueError, match=r"^7 is bad$"):
        list(worker_pool.map_chunks(numbered(100), fail, workers=workers, chunk=3))


def test_who_stops_listening_ends_the_work():
    results = worker_pool.map_chunks(numbered(1000), names, workers=2, chunk=1)
    _, (process, _) = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
