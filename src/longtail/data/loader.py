"""Loader: a function of many keys, worked out ahead and in order by other processes."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

K = TypeVar("K")
V = TypeVar("V")


def by_workers(function: Callable[[K], V], keys: Iterable[K], *, workers: int, pin_memory: bool = False) -> Iterator[V]:
    """The function's values for all keys, in order, worked out ahead by other processes if wanted.

    Args:
        function: of one key; where processes are not forked, one that can be pickled.
        keys: asked for one by one, a few ahead of what is given.
        workers: processes; 0 works here.
        pin_memory: put tensors into page-locked memory.
    Raises: ValueError if the function does, with the same words.

    >>> list(by_workers(len, ["a", "bc"], workers=0))
    [1, 2]
    """
    loader = DataLoader(
        _Function(function),
        batch_size=None,
        sampler=keys,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_trainer if workers else None,
        generator=torch.Generator(),  # the loader draws a number; not from the chance of others
    )
    for value in loader:
        if isinstance(value, ValueError):
            raise value
        yield value


class _Function(Dataset[V | ValueError], Generic[K, V]):
    """A function as PyTorch's loader wants it.

    A user's mistake is returned, not raised: the loader would put the worker's traceback into its message.
    """

    def __init__(self, function: Callable[[K], V]) -> None:
        self.function = function

    def __getitem__(self, key: K) -> V | ValueError:
        try:
            return self.function(key)
        except ValueError as error:
            picklable = ValueError(str(error))  # unlike others, sure to get through the queue
            picklable.add_note(traceback.format_exc())
            return picklable


def _as_it_is(value: V) -> V:
    return value


def _leave_signals_to_trainer(_worker: int) -> None:
    """Ignore Ctrl-C, and SIGTERM from anybody but the process that trains.

    Terminals and schedulers signal all processes of a run. The one that trains finishes the step it is in, saves, and
    ends its workers; until then it needs them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere a process cannot ask who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_trainer, daemon=True).start()


def _end_with_trainer() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
