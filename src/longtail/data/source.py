"""Sources: labelled images, whose labels are in memory and whose images are decoded one by one."""

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
    """Labelled images: labels in memory, images decoded one by one.

    Args:
        labels: `(N,)`, in `[0, C)`.
        class_names: C names.
        image: decodes image `i`, in `[0, N)`, to RGB: `(h, w, 3)`, uint8.
        ids: N names that identify the images for people.
        encoded: the file of image `i`, or what it holds; `None` where images are no files.
    """

    labels: Int[np.ndarray, " images"]
    class_names: tuple[str, ...]
    image: Callable[[int], Pixels]
    ids: Sequence[str]
    encoded: Callable[[int], Path | bytes] | None = None


@dataclass(frozen=True)
class Listing:
    """Custom data as its files list it, before any image is opened.

    Args:
        source: all images that have a label, in the order of the file that lists them, or else of their names.
        form: the detected format, for people: "image folder", "CSV manifest", ...
        parts: `(N,)` positions in `PARTS` by the split that the data gives, -1 for an image in none; `None` if it gives
            no split.
        groups: by name ("group", "location", "sequence"), widest first: `(N,)` numbers of the group that an image
            belongs to, -1 for none. Images of one group resemble each other and must stay in one part.
        notes: for people, a line each, such as files that were passed over.
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
