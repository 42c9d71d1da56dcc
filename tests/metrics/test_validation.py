"""Arguments that metrics cannot be computed from, and the blocks in which large ones are read."""

import numpy as np
import pytest

from longtail.metrics import validation


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: validation.scores("logits", np.zeros((2, 3)), np.zeros(3, int)), r"shapes \(2, 3\) and \(3,\)"),
        (lambda: validation.indices("labels", np.zeros(0, int), 3), "labels has no image"),
        (lambda: validation.indices("labels", np.array([0, 3]), 3), r"labels\[1\] is 3; it must be .* below 3"),
        (lambda: validation.finite("logits", np.array([[0.0, np.inf]])), r"logits\[0, 1\] is inf"),
        (lambda: validation.square(np.zeros((2, 3))), r"shape \(2, 3\); it must be \(C, C\)"),
    ],
)
def test_what_is_wrong_is_named(check, message):
    with pytest.raises(ValueError, match=message):
        check()


def test_blocks_cover_all_rows_once():
    rows = [n for block in validation.blocks(np.zeros((70, 5000))) for n in range(70)[block]]
    assert rows == [*range(70)]
