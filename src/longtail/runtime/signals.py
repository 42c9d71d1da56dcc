"""Signals that interrupt: who handles them, and for how long."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(handler: Callable[[int, FrameType | None], object], *names: str) -> Iterator[None]:
    """Let a function handle some signals, and whoever did before handle them again afterwards.

    Only the main thread may set handlers. In another one this changes nothing: whoever owns the main thread decides.

    Args:
        handler: called with the number of the signal and the frame that it came in.
        names: of the signals; those that the operating system does not have are left out.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def flagged() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into a flag, so that the work at hand can be finished; a second one raises.

    Gives the flag.
    Raises: KeyboardInterrupt at the second signal.
    """
    flag = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    with handled(handle, "SIGINT", "SIGTERM"):
        yield flag
