"""What a source is: labels at hand, images decoded one by one when asked for."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8

Pixels = UInt8[np.ndarray, "_ _ 3"]  # height, width; unnamed, since a function may take one size and give another
Part = Literal["train", "validation", "test"]

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """Labelled images: labels at hand, images decoded one by one when asked for.

    Args:
        labels: `(N,)`, in `[0, C)`.
        class_names: C names.
        image: decodes image `i`, in `[0, N)`, to RGB: `(h, w, 3)`, uint8.
        ids: N names by which a person finds an image again.
        encoded: the file of image `i`, or what it holds; `None` where images are no files.
    """

    labels: Int[np.ndarray, " images"]
    class_names: tuple[str, ...]
    image: Callable[[int], Pixels]
    ids: Sequence[str]
    encoded: Callable[[int], Path | bytes] | None = None


@dataclass(frozen=True)
class Listing:
    """What the files of somebody's own data say, before any image is opened.

    Args:
        source: all images that have a label, in the order of the file that lists them, or else of their names.
        form: what the data was taken for, in words: "image folder", "CSV manifest", ...
        parts: `(N,)` positions in `PARTS` of the split that the data itself puts an image into, -1 where it says
            nothing of an image; `None` if it says nothing at all.
        groups: by name ("group", "location", "sequence"), widest first: `(N,)` numbers of the group that an image
            belongs to, -1 for none. Images of one group are alike and must not be split.
        notes: what a person should know of it, a line each, such as files that were passed over.
    """

    source: Source
    form: str
    parts: Int[np.ndarray, " images"] | None = None
    groups: Mapping[str, Int[np.ndarray, " images"]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fingerprint(source: Source) -> str:
    """A short digest of labels and names, by which a resumed run notices that its data has changed.

    >>> len(fingerprint(Source(np.array([0]), ("cat",), lambda i: np.zeros((8, 8, 3), np.uint8), ["1.png"])))
    16
    """
    digest = hashlib.sha256(source.labels.tobytes())
    digest.update("\0".join([*source.class_names, *source.ids]).encode())
    return digest.hexdigest()[:16]
