"""Splits into training, validation and test images that keep every class in training and groups together."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from longtail.data.class_counts import count
from longtail.data.source import PARTS
from longtail.runtime.seeds import SPLIT
from longtail.text import first_few, quantity

_TRAIN, _VALIDATION, _TEST = range(len(PARTS))


@dataclass(frozen=True)
class Split:
    """Positions of the images of each part, ascending, and the classes that cannot be evaluated.

    Args:
        train: images to learn from.
        validation: images on which choices are made, maybe none.
        test: images on which the result is evaluated, maybe none.
        unevaluated: numbers of the classes without an image in the `evaluation_part`.
    """

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]
    unevaluated: Int[np.ndarray, " unevaluated"]

    @property
    def evaluation_part(self) -> Literal["test", "validation"]:
        """The part on which a training is evaluated: test, but validation if only that has images."""
        return "validation" if len(self.validation) and not len(self.test) else "test"


def assign(
    labels: Int[np.ndarray, " images"],
    class_names: Sequence[str],
    *,
    test_share: float,
    validation_share: float,
    seed: int,
    given: Int[np.ndarray, " images"] | None = None,
    groups: Int[np.ndarray, " images"] | None = None,
) -> Split:
    """Draw the parts that the data does not give itself from its training images.

    A part that the data gives stays as it is. Images that the data puts into no part are training images. Of a class
    with `n` training images, `share * n` are drawn, rounded, but at least 1, and at most so many that 1 is left to
    train. So a class with 1 image only trains, one with 2 trains and tests, and one with 3 has an image in each part if
    both shares are wanted.

    Images of one group stay together, so a class that lives in one group trains only, and shares are met only as well
    as groups allow: classes in few groups choose first, and a group is drawn if that brings its classes nearer to their
    shares, with the same weight for each class.

    Which images of a class are drawn depends on the seed, the name of the class and the groups that it shares, not on
    other classes or on their order; nor do the test images depend on the validation share.

    Args:
        labels: `(N,)`, in `[0, C)`.
        class_names: C names, each once; part of the chance.
        test_share: of the training images, in `[0, 1)`; 0: none. Not used if the data gives a test part.
        validation_share: the same for validation.
        seed: chooses the images.
        given: `(N,)` positions in `PARTS`, -1 for none; `None` if the data gives no part at all.
        groups: `(N,)` numbers of the groups, -1 for none.
    Raises: ValueError if the data puts all images into other parts than training.

    >>> split = assign(np.array([0, 0, 0, 0, 0, 1, 1, 2]), ["a", "b", "c"], test_share=0.2, validation_share=0, seed=0)
    >>> len(split.train), len(split.validation), len(split.test), split.unevaluated.tolist()
    (6, 0, 2, [2])
    """
    assert min(test_share, validation_share) >= 0 and test_share + validation_share < 1
    parts = np.zeros(len(labels), np.int64) if given is None else np.maximum(given, _TRAIN)
    if not (parts == _TRAIN).any():
        raise ValueError("the data's own split has no training image; a classifier cannot learn from others")
    classes = len(class_names)
    # Names, unlike numbers, stay when a class is added: each class is drawn as before.
    keys = [zlib.crc32(name.encode()) for name in class_names]
    members = _numbered(groups, len(labels))
    available = count(labels[parts == _TRAIN], classes)
    for part, share in ((_TEST, test_share), (_VALIDATION, validation_share)):
        if share == 0 or (parts == part).any():
            continue
        pool = np.flatnonzero(parts == _TRAIN)
        left = count(labels[pool], classes)
        wanted = np.minimum(np.maximum(np.floor(share * available + 0.5).astype(np.int64), 1), left - 1)
        # Groups are drawn, not images: whatever a class wants, a group comes with its images of all other classes.
        cells = _Cells(labels[pool], members[pool], classes)
        drawn = _draw(cells, wanted, left, [[seed, SPLIT, part, key] for key in keys])
        parts[pool[np.isin(members[pool], drawn)]] = part
    train, validation, test = (np.flatnonzero(parts == part) for part in (_TRAIN, _VALIDATION, _TEST))
    evaluated = test if len(test) else validation
    return Split(train, validation, test, np.flatnonzero(count(labels[evaluated], classes) == 0))


def describe(split: Split, labels: Int[np.ndarray, " images"], class_names: Sequence[str]) -> tuple[str, ...]:
    """Sizes of the parts, and the classes that cannot be evaluated or learned, in lines.

    Args:
        split: of these images.
        labels: `(N,)`, in `[0, C)`.
        class_names: C names.

    >>> labels = np.array([0, 0, 1])
    >>> names = ["cat", "lynx"]
    >>> describe(assign(labels, names, test_share=0.2, validation_share=0, seed=0), labels, names)
    ('parts: 2 training images, 1 test image', '1 class has no test image and cannot be evaluated: lynx')
    """
    sizes = {"training": split.train, "validation": split.validation, "test": split.test}
    lines = [f"parts: {', '.join(quantity(len(part), f'{name} image') for name, part in sizes.items() if len(part))}"]
    untrained = np.flatnonzero(count(labels[split.train], len(class_names)) == 0)
    for classes, lack, cannot in (
        (split.unevaluated, f"no {split.evaluation_part} image", "evaluated"),
        (untrained, "no training image", "learned"),
    ):
        if len(classes):
            has = "has" if len(classes) == 1 else "have"
            names = first_few([class_names[c] for c in classes.tolist()])
            lines.append(f"{quantity(len(classes), 'class')} {has} {lack} and cannot be {cannot}: {names}")
    return tuple(lines)


def _numbered(groups: Int[np.ndarray, " images"] | None, images: int) -> Int[np.ndarray, " images"]:
    """Number groups by their first image, whatever numbers they had; an image in no group is a group of its own."""
    alone = np.arange(images)
    if groups is None:
        return alone
    values = np.where(groups < 0, groups.max(initial=-1) + 1 + alone, groups)
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse]


class _Cells:
    """How many images of which classes each group has, as lists, since groups are visited one by one."""

    def __init__(self, labels: np.ndarray, members: np.ndarray, classes: int) -> None:
        keys, sizes = np.unique(members * classes + labels, return_counts=True)
        group, label = np.divmod(keys, classes)
        self._label, self._size = label.tolist(), sizes.tolist()
        numbers, start = np.unique(group, return_index=True)
        self._span = dict(zip(numbers.tolist(), zip(start, [*start[1:], len(group)], strict=True), strict=True))
        order = np.argsort(label, kind="stable")
        self.groups_of = np.split(group[order], np.searchsorted(label[order], np.arange(1, classes)))

    def of(self, group: int) -> Iterator[tuple[int, int]]:
        """Class and number of images, for each class in a group."""
        first, end = self._span[group]
        return zip(self._label[first:end], self._size[first:end], strict=True)


def _draw(cells: _Cells, wanted: np.ndarray, left: np.ndarray, keys: list[list[int]]) -> list[int]:
    """Groups that hold about so many images of each class as are wanted, and never all that are left of one."""
    goal, most, has = wanted.tolist(), (left - 1).tolist(), [0] * len(wanted)
    drawn = dict[int, None]()

    def allowed(group: int) -> bool:
        return all(has[c] + size <= most[c] for c, size in cells.of(group))

    def cost(group: int) -> float:
        """By how much drawing a group changes the squared relative distance from what is wanted."""
        changes = ((has[c] + size - goal[c], has[c] - goal[c], goal[c]) for c, size in cells.of(group))
        return sum((after**2 - before**2) / of**2 for after, before, of in changes)

    def draw(group: int) -> None:
        drawn[group] = None
        for c, size in cells.of(group):
            has[c] += size

    wanting = [c for c in range(len(goal)) if goal[c] > 0]
    # Classes in few groups choose first: for them there may be one group only that leaves another to train.
    for c in sorted(wanting, key=lambda c: (len(cells.groups_of[c]), left[c], keys[c])):
        candidates = np.random.default_rng(keys[c]).permutation(cells.groups_of[c]).tolist()
        for group in candidates:
            if has[c] >= goal[c]:
                break
            if group not in drawn and allowed(group) and cost(group) < 0:
                draw(group)
        # A group with more images than are wanted is better than none: without an image the class cannot be evaluated.
        if not has[c] and (possible := [group for group in candidates if allowed(group)]):
            draw(min(possible, key=cost))
    return list(drawn)
