"""Commands that run in the process of a test, and what they must print when the user is wrong."""

from collections.abc import Callable
from typing import NamedTuple

SMALL = ("--set", "epochs=1", "--set", "tensorboard=false", "--set", "network.width=4", "--device", "cpu")


class Said(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Said]


def assert_mistake(said: Said, *parts: str) -> None:
    """Exit code 2, nothing where results go, one error line at the end, with all that helps."""
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.endswith("\n")
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert lines == said.err.splitlines()[-1:], said.err
    for part in parts:
        assert part in lines[0], said.err
