"""Alike images: which have the same pixels, and which are nearly the same, among very many."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from longtail.data.source import Pixels

SIDE = 16  # of a thumbnail
_GRID = 9  # side of the grid of which an outline compares neighbours
_BITS = 16  # of 128 in which the outlines of two near duplicates may differ
_REACH = 64  # neighbours in sorted order that an outline is compared with, in each band
_CORRELATION = 0.98  # of the thumbnails of two near duplicates
_PLAIN = 4.0  # standard deviation, in 0..255, below which a thumbnail says nothing: fog, walls, night

Thumbnails = UInt8[np.ndarray, "images 16 16 3"]
Positions = Int[np.ndarray, " _"]  # of any number of images


def digest(pixels: Pixels) -> bytes:
    """16 bytes that are the same for images with the same pixels, whatever their files look like.

    >>> digest(np.zeros((2, 3, 3), np.uint8)) == digest(np.zeros((3, 2, 3), np.uint8))
    False
    """
    return hashlib.blake2b(
        np.ascontiguousarray(pixels).data, digest_size=16, person=b"%dx%d" % pixels.shape[:2]
    ).digest()


def thumbnail(pixels: Pixels) -> UInt8[np.ndarray, "16 16 3"]:
    """An image squeezed into a small square.

    >>> thumbnail(np.full((40, 30, 3), 7, np.uint8)).shape
    (16, 16, 3)
    """
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0))


def same(digests: Sequence[bytes]) -> list[Positions]:
    """Groups of images with the same digest, by their first member.

    >>> [group.tolist() for group in same([b"a", b"b", b"a"])]
    [[0, 2]]
    """
    members: dict[bytes, list[int]] = {}
    for position, each in enumerate(digests):
        members.setdefault(each, []).append(position)
    return [np.array(group) for group in members.values() if len(group) > 1]


def nearly(thumbnails: Thumbnails) -> list[Positions]:
    """Groups of images that are the same but for compression, size, brightness, or a few cut-off pixels.

    Two images are if their thumbnails correlate by at least 0.98 over all pixels and colours, which brightness and
    contrast leave alone; a group is a chain of such pairs. Only those are compared that agree in at least 16 of the
    128 bits of their outlines and stand close to each other when the outlines are sorted by these 16: the time grows
    with N log N. Images without contrast are in no group. `benchmarks/audit.md` says how many of such pairs a person
    calls duplicates.

    Args:
        thumbnails: `(N, 16, 16, 3)`, from `thumbnail`.
    Returns: positions, ascending in each group, and groups by their first member.

    >>> gradient = np.arange(16, dtype=np.uint8)[:, None, None] * np.full((16, 3), 8, np.uint8)
    >>> [group.tolist() for group in nearly(np.stack([gradient, gradient.swapaxes(0, 1), gradient + 5]))]
    [[0, 2]]
    """
    told = np.flatnonzero(_contrast(thumbnails) >= _PLAIN)
    component = np.arange(len(thumbnails))
    for pairs in _candidates(outlines(thumbnails[told])):
        # In a crowd, most candidates are known to be in one group; comparing them all would take a long time.
        new = told[pairs]
        new = new[component[new[:, 0]] != component[new[:, 1]]]
        close = [chunk[_correlation(thumbnails, chunk) >= _CORRELATION] for chunk in _chunks(new)]
        if any(map(len, close)):
            component = _linked(component[np.concatenate(close)], len(component))[component]
    return _members(component)


def joined(groups: Sequence[Positions], *, images: int) -> list[Positions]:
    """Join groups that share a member, ascending.

    Args:
        groups: positions in `[0, images)`.
        images: N.

    >>> [group.tolist() for group in joined([np.array([0, 3]), np.array([1, 2]), np.array([3, 4])], images=6)]
    [[0, 3, 4], [1, 2]]
    """
    if not groups:
        return []
    links = np.concatenate([np.stack([np.full(len(group), group[0]), group], axis=1) for group in groups])
    return _members(_linked(links, images))


def outlines(thumbnails: Thumbnails) -> UInt8[np.ndarray, "images 16"]:
    """128 bits an image: whether it becomes lighter from each of 9 x 9 places to the next, to the right and downwards.

    Source: the difference hash, after N. Krawetz, "Kind of Like That", 2013; here in both directions.

    >>> np.bitwise_count(outlines(np.zeros((1, 16, 16, 3), np.uint8))).sum()
    np.uint64(0)
    """
    shrink = _shrinking()
    bits = np.empty((len(thumbnails), 2, _GRID - 1, _GRID - 1), bool)
    for start in range(0, len(thumbnails), 4096):
        grey = thumbnails[start : start + 4096].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        grid = np.round(shrink @ grey @ shrink.T)  # what differs by less than a level is the same
        bits[start : start + 4096, 0] = grid[:, :-1, 1:] > grid[:, :-1, :-1]
        bits[start : start + 4096, 1] = grid[:, 1:, :-1] > grid[:, :-1, :-1]
    # Neighbouring bits go into different bytes: within one place, images are more alike than over all of them.
    spread = bits.reshape(-1, 16, 8).swapaxes(1, 2).reshape(-1, 128)
    return np.packbits(spread, axis=1)


def _shrinking() -> Float32[np.ndarray, "9 16"]:
    """Weights of a triangle around each of 9 places in 16 pixels."""
    centres = (np.arange(_GRID) + 0.5) * SIDE / _GRID
    weights = np.maximum(0, 1 - np.abs(np.arange(SIDE) + 0.5 - centres[:, None]) * _GRID / SIDE)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _candidates(outline: UInt8[np.ndarray, "images 16"]) -> Iterator[Int[np.ndarray, "pairs 2"]]:
    """Pairs with similar outlines, those first that stand next to each other in some order."""
    words, bands = outline.view(np.uint64), outline.view(np.uint16)
    orders = [np.lexsort((words[:, 1], words[:, 0], band)) for band in bands.T]
    for step in range(1, min(_REACH, len(outline) - 1) + 1):
        for band, order in zip(bands.T, orders, strict=True):
            pairs = np.stack([order[:-step], order[step:]], axis=1)
            pairs = pairs[band[pairs[:, 0]] == band[pairs[:, 1]]]
            bits = np.bitwise_count(words[pairs[:, 0]] ^ words[pairs[:, 1]]).sum(1)
            yield pairs[bits <= _BITS]


def _linked(links: Int[np.ndarray, "links 2"], images: int) -> Int[np.ndarray, " images"]:
    """The number of the component of each image when the linked ones are joined."""
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(images, images))
    return connected_components(graph, directed=False)[1]


def _members(component: Int[np.ndarray, " images"]) -> list[Positions]:
    """The images of each component of several, ascending, by their first."""
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def _contrast(thumbnails: Thumbnails) -> Float32[np.ndarray, " images"]:
    """Standard deviation over pixels and colours, 4,096 images at a time."""
    parts = [chunk.reshape(len(chunk), -1).std(1, dtype=np.float32) for chunk in _chunks(thumbnails)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _correlation(thumbnails: Thumbnails, pairs: Int[np.ndarray, "pairs 2"]) -> Float32[np.ndarray, " pairs"]:
    a, b = (thumbnails[pairs[:, side]].reshape(len(pairs), -1).astype(np.float32) for side in (0, 1))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    """Views of 4,096 rows each, so that no copy in float32 takes much memory."""
    return [rows[start : start + 4096] for start in range(0, len(rows), 4096)]
