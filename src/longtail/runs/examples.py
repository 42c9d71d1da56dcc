"""Exhibits: which of the images that were measured are worth looking at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from longtail.runtime import seeds

Rows = Int[np.ndarray, " rows"]
Classes = Int[np.ndarray, " images"]
Confidences = Float[np.ndarray, " images"]

MISTAKES, PAIRS, OF_A_PAIR, MAPPED = 24, 12, 5, 2000


@dataclass(frozen=True)
class Gallery:
    """What a run keeps of some images, so that whoever looks at it needs neither the data nor the network.

    Args:
        rows: of the predictions, ascending.
        pictures: WebP files, one for each row: what the network saw, small.
        features: `(n, D)` output of the backbone.
    """

    rows: Sequence[int]
    pictures: Sequence[bytes]
    features: Float[np.ndarray, "images dim"]


@dataclass(frozen=True)
class Pair:
    """A class that was taken for another.

    Args:
        true: the class.
        taken: what it was taken for.
        images: how many of its images were.
        of: its images.
        rows: some of those that were, most confident first.
        example: the image of the other class that was recognised with most confidence; `None` if none was.
    """

    true: int
    taken: int
    images: int
    of: int
    rows: tuple[int, ...]
    example: int | None


@dataclass(frozen=True)
class Exhibits:
    """Rows of predictions that are worth looking at.

    Args:
        mistakes: wrong ones, most confident first.
        pairs: confusions of the tail, most frequent first.
        tail: which classes the tail is: "few", "medium" or "many", the first of them that has a measured class.
        mapped: a sample, alike of all classes.
    """

    mistakes: tuple[int, ...]
    pairs: tuple[Pair, ...]
    tail: str
    mapped: tuple[int, ...]

    @property
    def pictured(self) -> tuple[int, ...]:
        """All rows of mistakes and confusions, ascending."""
        of_pairs = {row for pair in self.pairs for row in (*pair.rows, pair.example) if row is not None}
        return tuple(sorted({*self.mistakes, *of_pairs}))


def choose(
    labels: Classes,
    predicted: Classes,
    confidences: Confidences,
    masks: Mapping[str, Bool[np.ndarray, " classes"]],
) -> Exhibits:
    """Choose from the predictions of a run.

    The same predictions give the same choice: when they are made, which keeps pictures, and when a report is written.

    Args:
        labels: `(N,)` true classes, in `[0, C)`.
        predicted: `(N,)`, in `[0, C)`.
        confidences: `(N,)` probabilities of the predicted classes.
        masks: which classes are many, medium and few, as `Groups.masks` says.

    >>> labels, predicted = np.array([0, 1, 1]), np.array([0, 0, 1])
    >>> masks = {"many": np.array([True, False]), "medium": np.zeros(2, bool), "few": np.array([False, True])}
    >>> chosen = choose(labels, predicted, np.array([0.9, 0.8, 0.7]), masks)
    >>> chosen.mistakes, chosen.tail, chosen.pairs[0]
    ((1,), 'few', Pair(true=1, taken=0, images=1, of=2, rows=(1,), example=0))
    """
    tail = next((group for group in ("few", "medium") if masks[group][labels].any()), "many")
    falling = np.argsort(-confidences, kind="stable")
    wrong = falling[labels[falling] != predicted[falling]]
    return Exhibits(
        mistakes=tuple(wrong[:MISTAKES].tolist()),
        pairs=_pairs(labels, predicted, falling, wrong[masks[tail][labels[wrong]]]),
        tail=tail,
        mapped=tuple(sample(labels, most=MAPPED).tolist()),
    )


def _pairs(labels: Classes, predicted: Classes, falling: Rows, wrong: Int[np.ndarray, " wrong"]) -> tuple[Pair, ...]:
    """The most frequent pairs among wrong rows; of equally frequent ones those that are more of their class."""
    each = np.bincount(labels)
    pairs, where, images = np.unique(
        np.stack([labels[wrong], predicted[wrong]]), axis=1, return_inverse=True, return_counts=True
    )
    order = np.lexsort((pairs[1], pairs[0], each[pairs[0]], -images))[:PAIRS]
    found = []
    for number in order.tolist():
        true, taken = pairs[:, number].tolist()
        right = falling[(labels[falling] == taken) & (predicted[falling] == taken)]
        found.append(
            Pair(
                true,
                taken,
                int(images[number]),
                int(each[true]),
                tuple(wrong[where.ravel() == number][:OF_A_PAIR].tolist()),
                int(right[0]) if len(right) else None,
            )
        )
    return tuple(found)


def sample(labels: Classes, *, most: int) -> Rows:
    """Take images of all classes alike: of classes with few images all, of others equally many.

    Args:
        labels: `(N,)`, in `[0, C)`.
        most: images to take, at least 1.
    Returns: rows, ascending, at most `most`; always the same for the same labels.

    >>> sample(np.array([0, 0, 0, 0, 0, 1, 2]), most=4).tolist()
    [2, 4, 5, 6]
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    mixed = np.random.default_rng([0, seeds.EXHIBIT]).permutation(len(labels))
    by_class = mixed[np.argsort(labels[mixed], kind="stable")]
    _, first, each = np.unique(labels[by_class], return_index=True, return_counts=True)
    turn = np.arange(len(labels)) - np.repeat(first, each)  # the first image of each class, the second, ...
    # Within the last turn, chance decides which classes still get one.
    return np.sort(by_class[np.lexsort((np.argsort(mixed)[by_class], turn))[:most]])
