"""The processes of one training: they start together and end together, and only the first returns to the caller."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning_fabric import Fabric

from longtail.runtime import hardware


class CommonError(ValueError):
    """An error that all processes of a training raise in the same step: the first one alone reports it."""


@contextmanager
def started(fabric: Fabric, run: Path, message: Callable[[str], object]) -> Iterator[None]:
    """Start the other processes, if there are to be any, and end them after the block.

    Only the first process leaves the block; the others end with it.

    Args:
        fabric: not launched yet.
        run: the run folder, for the message.
        message: writes a line to the user.
    Raises: ValueError if another process stopped, in words; whatever the block raises.
    """
    hardware.launch(fabric)
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if fabric.world_size > 1:
            _end(error, fabric, run, message)
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if fabric.global_rank:
        # The launcher runs the whole program in each process. Returning would let this one go on in the caller's code.
        sys.exit(0)


def _end(error: BaseException, fabric: Fabric, run: Path, message: Callable[[str], object]) -> None:
    """After an error in one of several processes, let one line say so: the others only notice that it is gone."""
    if fabric.global_rank:
        if isinstance(error, CommonError):
            sys.exit(0)
        if isinstance(error, (ValueError, OSError)):
            message(f"process {fabric.global_rank}: {error}")
        os._exit(1)  # at once: leaving in order would wait for the others
    if isinstance(error, RuntimeError):
        raise ValueError(
            f"another process has stopped, or cannot be reached; the last saved state is in {run} ({error})"
        ) from error
