"""Shapes and types of the whole package are checked while it is tested."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before anything imports torch: tests run side by side, one thread each, and waiting threads must not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started in the background of a shell, a program ignores Ctrl-C, and so do those that it starts: tests of interruptions
# would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: how long an example takes depends on what else the machine does.
settings.register_profile("longtail", deadline=None, derandomize=True)
settings.load_profile("longtail")

# The hook imports no more than `support` itself.
import support.shapes  # noqa: E402, F401

install_import_hook("longtail", "support.shapes.checked")


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run on an image folder, and this folder; no test may change them."""
    from support.small_trainings import train_on_folder

    return train_on_folder(tmp_path_factory.mktemp("birds"))
