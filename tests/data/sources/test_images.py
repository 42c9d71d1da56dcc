"""Images without labels: their names, and where their files are looked for."""

import numpy as np
import pytest

from longtail.data.sources.images import Names, file_names


def test_names_are_a_sequence() -> None:
    names = Names(file_names(["a", "b", "c"]))
    assert list(names) == names[:] == ["a", "b", "c"] and len(names) == 3
    assert names[-1] == names[np.int64(2)] == "c" and names[::-2] == ["c", "a"] and "b" in names
    with pytest.raises(IndexError):
        names[3]
