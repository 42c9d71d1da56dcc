"""Duplicates: images with the same pixels, and near-duplicates by difference hash (dHash) and correlation."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from longtail.data.source import Pixels

SIDE = 16  # of a thumbnail
_GRID = 9  # side of the grid whose neighbours the hash compares
_HAMMING = 16  # bits of 128 in which the hashes of two near-duplicates may differ
_NEIGHBOURS = 64  # in sorted order, with which a hash is compared, in each band
_CORRELATION = 0.98  # of the thumbnails of two near-duplicates
_LOW_CONTRAST = 4.0  # standard deviation, in 0..255, below which thumbnails are not compared: fog, walls, night
_AT_ONCE = 4096  # images whose thumbnails are floats at a time

Thumbnails = UInt8[np.ndarray, "images 16 16 3"]
Hashes = UInt8[np.ndarray, "images 16"]  # 128 bits each
Positions = Int[np.ndarray, " _"]  # of any number of images


@dataclass(frozen=True)
class Duplicates:
    """Groups of images, each ascending.

    Args:
        exact: images with the same pixels.
        near: images that are nearly the same, with the exact duplicates of each of them.
    """

    exact: tuple[Positions, ...]
    near: tuple[Positions, ...]

    @property
    def groups(self) -> tuple[Positions, ...]:
        """All groups, those of exact duplicates that are part of a larger one left out."""
        inside = {int(i) for group in self.near for i in group}
        return (*self.near, *(group for group in self.exact if int(group[0]) not in inside))


def groups(digests: Sequence[bytes], thumbnails: Thumbnails) -> Duplicates:
    """Find all duplicates.

    Args:
        digests: N, from `digest`; empty for images that are left out, as unreadable ones.
        thumbnails: `(N, 16, 16, 3)`, from `thumbnail`.

    >>> flat = np.zeros((3, 16, 16, 3), np.uint8)
    >>> [group.tolist() for group in groups([b"a", b"", b"a"], flat).exact]
    [[0, 2]]
    """
    readable = np.array([i for i, each in enumerate(digests) if each], np.int64)
    exact = [readable[group] for group in exact_groups([digests[i] for i in readable])]
    # One image of each exact group stands for the others, which would only add to the pairs that are compared.
    copies = {int(i) for group in exact for i in group[1:]}
    single = np.array([i for i in readable.tolist() if i not in copies], np.int64)
    chains = [single[group] for group in near_groups(thumbnails[single])]
    together = joined([*chains, *exact], images=len(digests))
    # Joined with nothing else, an exact group has one digest; it is no near-duplicate.
    return Duplicates(tuple(exact), tuple(group for group in together if len({digests[i] for i in group}) > 1))


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


def exact_groups(digests: Sequence[bytes]) -> list[Positions]:
    """Groups of images with the same digest, by their first member.

    >>> [group.tolist() for group in exact_groups([b"a", b"b", b"a"])]
    [[0, 2]]
    """
    members: dict[bytes, list[int]] = {}
    for position, each in enumerate(digests):
        members.setdefault(each, []).append(position)
    return [np.array(group) for group in members.values() if len(group) > 1]


def near_groups(thumbnails: Thumbnails) -> list[Positions]:
    """Groups of images that are the same but for compression, size, brightness, or a few cut-off pixels.

    Two images are near-duplicates if their thumbnails correlate by at least 0.98 over all pixels and colours, which
    brightness and contrast leave alone; a group is a chain of such pairs. Only candidates are correlated: pairs whose
    difference hashes have a Hamming distance of at most 16 of 128 bits, agree in one of eight bands of 16 bits, and
    stand close to each other when the hashes are sorted by that band, so the time grows with N log N. Images without
    contrast are in no group. The precision of the groups is not measured yet.

    Args:
        thumbnails: `(N, 16, 16, 3)`, from `thumbnail`.
    Returns: positions, ascending in each group, and groups by their first member.

    >>> gradient = np.arange(16, dtype=np.uint8)[:, None, None] * np.full((16, 3), 8, np.uint8)
    >>> [group.tolist() for group in near_groups(np.stack([gradient, gradient.swapaxes(0, 1), gradient + 5]))]
    [[0, 2]]
    """
    compared = np.flatnonzero(_contrast(thumbnails) >= _LOW_CONTRAST)
    component = np.arange(len(thumbnails))
    for pairs in _candidates(difference_hashes(thumbnails[compared])):
        # In a burst of thousands of frames, most candidates are in one group by then: to correlate only those that
        # would join two groups keeps the work linear where all pairs would be quadratic.
        open_ = compared[pairs]
        open_ = open_[component[open_[:, 0]] != component[open_[:, 1]]]
        close = [chunk[_correlation(thumbnails, chunk) >= _CORRELATION] for chunk in _chunks(open_)]
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


def difference_hashes(thumbnails: Thumbnails) -> Hashes:
    """128 bits an image: whether it becomes lighter from each of 9 x 9 places to the next, to the right and downwards.

    Source: the difference hash (dHash), after N. Krawetz, "Kind of Like That", 2013; here in both directions.

    >>> np.bitwise_count(difference_hashes(np.zeros((1, 16, 16, 3), np.uint8))).sum()
    np.uint64(0)
    """
    shrink = _shrinking()
    bits = np.empty((len(thumbnails), 2, _GRID - 1, _GRID - 1), bool)
    for start in range(0, len(thumbnails), _AT_ONCE):
        grey = thumbnails[start : start + _AT_ONCE].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        grid = np.round(shrink @ grey @ shrink.T)  # what differs by less than a level is the same
        bits[start : start + _AT_ONCE, 0] = grid[:, :-1, 1:] > grid[:, :-1, :-1]
        bits[start : start + _AT_ONCE, 1] = grid[:, 1:, :-1] > grid[:, :-1, :-1]
    # Neighbouring bits, which agree in many images, go into different bytes, so that a band of two bytes sees the whole
    # image: sorted by it, near-duplicates stand together, and images that only share a corner do not.
    spread = bits.reshape(-1, 16, 8).swapaxes(1, 2).reshape(-1, 128)
    return np.packbits(spread, axis=1)


def _shrinking() -> Float32[np.ndarray, "9 16"]:
    """Weights of a triangle around each of 9 places in 16 pixels."""
    centres = (np.arange(_GRID) + 0.5) * SIDE / _GRID
    weights = np.maximum(0, 1 - np.abs(np.arange(SIDE) + 0.5 - centres[:, None]) * _GRID / SIDE)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _candidates(hashes: Hashes) -> Iterator[Int[np.ndarray, "pairs 2"]]:
    """Pairs with a small Hamming distance, those first that stand next to each other in some order.

    Hashes that differ in at most 16 of 128 bits mostly agree in one of eight bands of 16 bits. Sorted by that band
    first, they are near each other, so each is compared with a few neighbours rather than with all.
    """
    words, bands = hashes.view(np.uint64), hashes.view(np.uint16)
    orders = [np.lexsort((words[:, 1], words[:, 0], band)) for band in bands.T]
    # Nearest neighbours of all bands first: most groups are joined by them, and what follows is compared no more.
    for step in range(1, min(_NEIGHBOURS, len(hashes) - 1) + 1):
        for band, order in zip(bands.T, orders, strict=True):
            pairs = np.stack([order[:-step], order[step:]], axis=1)
            pairs = pairs[band[pairs[:, 0]] == band[pairs[:, 1]]]
            distance = np.bitwise_count(words[pairs[:, 0]] ^ words[pairs[:, 1]]).sum(1)
            yield pairs[distance <= _HAMMING]


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
    """Standard deviation over pixels and colours."""
    parts = [chunk.reshape(len(chunk), -1).std(1, dtype=np.float32) for chunk in _chunks(thumbnails)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _correlation(thumbnails: Thumbnails, pairs: Int[np.ndarray, "pairs 2"]) -> Float32[np.ndarray, " pairs"]:
    a, b = (thumbnails[pairs[:, side]].reshape(len(pairs), -1).astype(np.float32) for side in (0, 1))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    """Views of some rows each, so that no copy in float32 takes much memory."""
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
