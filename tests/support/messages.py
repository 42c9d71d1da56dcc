"""What messages must be."""

import pytest


def one_line(error: pytest.ExceptionInfo[BaseException], *words: object) -> None:
    """A message is one line and names what is wrong."""
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, message
