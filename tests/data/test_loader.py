"""A function of many keys: in order, whoever works it out, and its mistakes in one line."""

import os

import pytest

from longtail.data.loader import by_workers


def of(key: int) -> tuple[int, int]:
    if key == 7:
        raise ValueError(f"key is {key}; allowed: any other")
    return key, os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_values_come_in_the_order_of_their_keys(workers: int) -> None:
    values = list(by_workers(of, [3, 1, 2, 0], workers=workers))
    assert [key for key, _ in values] == [3, 1, 2, 0]
    assert (os.getpid() in {process for _, process in values}) == (workers == 0)
    assert list(by_workers(of, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_of_a_user_comes_with_its_own_words_and_after_what_was_before(workers: int) -> None:
    values = by_workers(of, [1, 7, 2], workers=workers)
    assert next(values)[0] == 1
    with pytest.raises(ValueError, match=r"^key is 7; allowed: any other") as caught:
        next(values)
    assert str(caught.value) == "key is 7; allowed: any other"
    assert "in of" in "".join(caught.value.__notes__)  # where it was raised
