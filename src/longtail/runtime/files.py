"""Files that are there whole or not at all, and locks that end with the process."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Write a file, or make a folder, beside its place, and put it there when it is whole.

    Whoever looks, even after a crash, finds the old file or the new one. Gives the path to write to.

    Args:
        target: its place; a folder that is there already must be empty.
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        yield target  # a pipe or a device, which nothing can replace
        return
    new = target.with_name(f".{target.name}.new")
    _remove(new)  # of an interruption
    try:
        yield new
        if new.is_file():
            with new.open("rb+") as file:
                os.fsync(file.fileno())  # or a power cut may leave a file of the right length with nothing in it
        new.replace(target)
    except BaseException:
        _remove(new)
        raise


def write_text(target: Path, text: str) -> None:
    """Write a file of text, in UTF-8, whole."""
    with replacing(target) as new:
        new.write_text(text, encoding="utf-8")


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other processes out of the block. The lock ends with the process, however that ends.

    Args:
        file: that is locked; it is made if need be.
    Raises: BlockingIOError if another process has the lock.
    """
    with (by_library if sys.platform == "win32" else by_system)(file):
        yield


@contextmanager
def by_system(file: Path) -> Iterator[None]:
    """The lock of POSIX."""
    import fcntl

    with file.open("w") as opened:
        try:
            # Not flock: workers that decode would inherit it, and live a little longer than a killed training.
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from error
        yield


@contextmanager
def by_library(file: Path) -> Iterator[None]:
    """The lock of whatever system this is: Windows has no `fcntl`."""
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BlockingIOError(f"{file} is locked") from error
    try:
        yield
    finally:
        lock.release()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():
        path.unlink()
