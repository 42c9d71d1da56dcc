"""Signals that interrupt."""

import signal
import threading

import pytest

from longtail.runtime import signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_a_flag_and_second_one_raises(number):
    before = signal.getsignal(number)
    with signals.flagged() as flag:
        assert not flag.is_set()
        signal.raise_signal(number)
        assert flag.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_handlers_come_back_after_an_error():
    before, told = signal.getsignal(signal.SIGTERM), []

    def fail_within() -> None:
        with signals.handled(lambda number, _: told.append(number), "SIGTERM", "SIGNONE"):
            signal.raise_signal(signal.SIGTERM)
            raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fail_within()
    assert told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_leaves_the_handlers_alone():
    seen = []

    def work() -> None:
        with signals.flagged() as flag:
            seen.extend([signal.getsignal(signal.SIGTERM), flag.is_set()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM), False]
