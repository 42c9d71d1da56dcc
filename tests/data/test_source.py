"""Sources: what their fingerprint sees."""

from typing import Any

import numpy as np

from longtail.data import sources


def test_the_fingerprint_sees_labels_names_and_ids() -> None:
    def source(labels: list[int], names: tuple[str, ...] = ("a", "b"), ids: tuple[str, ...] = ("x", "y")) -> Any:
        return sources.Source(np.array(labels), names, lambda i: np.zeros((i + 1, 1, 3), np.uint8), ids)

    prints = [
        sources.fingerprint(s)
        for s in (
            source([0, 1]),
            source([1, 0]),
            source([0, 1], names=("a", "c")),
            source([0, 1], names=("b", "a")),
            source([0, 1], ids=("y", "x")),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert sources.fingerprint(source([0, 1])) == prints[0]
    assert all(len(digest) == 16 for digest in prints)
