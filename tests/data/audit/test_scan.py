"""Scans: what is kept of each image, readable or not."""

import numpy as np

from longtail.data import sources
from longtail.data.audit.scan import scan
from support.fake_datasets import encode, picture


def test_readable_and_unreadable_images_keep_their_places(tmp_path):
    for name, content in (
        ("a/1.png", encode(picture(0, seed=0, height=8, width=12))),
        ("a/2.png", b"no image"),
        ("b/3.png", encode(picture(1, seed=0, height=16, width=9))),
        ("b/4.jpg", encode(picture(0, seed=0, height=8, width=12))),  # the pixels of the first, and a wrong ending
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    calls = []
    found = scan(sources.read(tmp_path).source, workers=0, progress=lambda done, of: calls.append((done, of)))
    assert found.sizes.tolist() == [[12, 8], [0, 0], [9, 16], [12, 8]]
    assert found.digests[0] == found.digests[3] != found.digests[2] and found.digests[1] == b""
    assert found.thumbnails[[0, 2]].any((1, 2, 3)).all() and not found.thumbnails[1].any()
    np.testing.assert_array_equal(found.thumbnails[0], found.thumbnails[3])
    assert found.unreadable.keys() == {1} and "cannot be decoded" in found.unreadable[1]
    assert found.unusual == {3: ("PNG inside, though the name ends in .jpg",)}
    assert calls == [(4, 4)]
