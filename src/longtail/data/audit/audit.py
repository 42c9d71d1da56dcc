"""The audit of a data set: what is in it, and what is wrong with it, before anything is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int

from longtail.data.audit import findings
from longtail.data.audit.duplicates import Positions
from longtail.data.audit.findings import Finding
from longtail.data.audit.scan import scan
from longtail.data.class_counts import Counts, Groups, count, gini
from longtail.data.source import PARTS, Listing, Part
from longtail.data.splits import Split, assign
from longtail.data.worker_pool import Progress

Divide = Callable[[Positions], Split]


@dataclass(frozen=True)
class Sizes:
    """How large the readable images are, in pixels of their shorter side, and in width and height.

    Args:
        smallest, median, largest: of the shorter sides.
        kinds: how many different widths and heights there are.
        usual: the most frequent width and height.
        pixels: of all images together.
    """

    smallest: int
    median: int
    largest: int
    kinds: int
    usual: tuple[int, int]
    pixels: int


@dataclass(frozen=True)
class Audit:
    """What is known of a data set after every image was decoded.

    Args:
        form: the format that was detected, for people.
        images: listed, with the unreadable ones.
        classes: names with their readable images, in the order of their numbers.
        parts: readable images of each class in each part of the split that a training will use.
        given: whether the data gives that split, or a part of it.
        imbalance: images of the largest class over those of the smallest that has any.
        gini: inequality of the class sizes, 0 (all the same) to 1.
        groups: number of many-, medium- and few-shot classes, by training images.
        bounds: of these groups, in training images: more than "many", fewer than "few".
        sizes: `None` if no image is readable.
        findings: problems first.
    """

    form: str
    images: int
    classes: Mapping[str, int]
    parts: Mapping[Part, Sequence[int]]
    given: bool
    imbalance: float
    gini: float
    groups: Mapping[str, int]
    bounds: Mapping[str, int]
    sizes: Sizes | None
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values, for JSON."""
        return asdict(self)

    @property
    def training_images(self) -> int:
        """Readable training images."""
        return sum(self.parts["train"])

    @property
    def evaluated_images(self) -> int:
        """Readable images on which a training is evaluated."""
        return sum(self.parts["test"]) or sum(self.parts["validation"])

    @property
    def problems(self) -> int:
        """How many kinds of problems there are."""
        return sum(finding.level == "problem" for finding in self.findings)


def audit(
    listing: Listing,
    *,
    divide: Divide | None = None,
    bounds: Groups = Groups(),
    workers: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Decode every image once, and check all of them together.

    Args:
        listing: images, classes, and what the data says of splits and groups.
        divide: splits the images at the given positions as a training will; `None`: as the data does, and where it
            gives no test part, with a fifth of each class.
        bounds: of many-, medium- and few-shot classes.
        workers: processes that decode; 0: this one.
        progress: is called with how many images of how many are done.
    """
    scanned = scan(listing.source, workers=workers, progress=progress)
    names, labels = listing.source.class_names, listing.source.labels
    readable = np.array([i for i in range(len(labels)) if i not in scanned.unreadable], np.int64)
    counts = count(labels[readable], len(names))
    split = _split(listing, readable, divide or partial(_divide, listing))
    parts: dict[Part, Counts] = {part: count(labels[split == i], len(names)) for i, part in enumerate(PARTS)}
    found = [
        *findings.unreadable(listing, scanned, counts),
        *findings.duplicated(listing, scanned, split),
        *findings.split_groups(listing),
        *findings.unevaluated(names, counts, parts),
        *findings.unusual(listing, scanned),
        *(Finding("listing", "note", note, "", ()) for note in listing.notes),
    ]
    present = counts[counts > 0]
    return Audit(
        form=listing.form,
        images=len(labels),
        classes=dict(zip(names, counts.tolist(), strict=True)),
        parts={part: of_part.tolist() for part, of_part in parts.items()},
        given=listing.parts is not None,
        imbalance=float(present.max() / present.min()) if len(present) else 1.0,
        gini=gini(counts),
        groups={name: int(mask.sum()) for name, mask in bounds.masks(parts["train"]).items()},
        bounds=asdict(bounds),
        sizes=sizes_of(scanned.sizes[readable]) if len(readable) else None,
        findings=tuple(sorted(found, key=lambda finding: findings.LEVELS.index(finding.level))),
    )


def _split(listing: Listing, readable: Positions, divide: Divide) -> Int[np.ndarray, " images"]:
    """Positions in `PARTS` of the split that a training will use, -1 for unreadable images."""
    parts = np.full(len(listing.source.labels), -1)
    if listing.parts is not None:
        parts[readable] = listing.parts[readable]
    if not np.isin(parts[readable], (-1, PARTS.index("train"))).any():
        return parts  # without a training image there is nothing to divide
    split = divide(readable)
    for i, positions in enumerate((split.train, split.validation, split.test)):
        parts[positions] = i
    return parts


def _divide(listing: Listing, readable: Positions) -> Split:
    names = listing.source.class_names
    split = assign(
        listing.source.labels[readable],
        names,
        test_share=0.2,
        validation_share=0.0,
        seed=0,
        given=None if listing.parts is None else listing.parts[readable],
    )
    return Split(readable[split.train], readable[split.validation], readable[split.test], split.unevaluated)


def sizes_of(sizes: Int[np.ndarray, "images 2"]) -> Sizes:
    """Sum up widths and heights, at least one of each.

    >>> sizes_of(np.array([[30, 20], [40, 60], [40, 60]])).median
    40
    """
    shorter = np.sort(sizes.min(1))
    same, number = np.unique(sizes, axis=0, return_counts=True)
    width, height = same[number.argmax()].tolist()
    return Sizes(
        smallest=int(shorter[0]),
        median=int(shorter[len(shorter) // 2]),
        largest=int(shorter[-1]),
        kinds=len(same),
        usual=(width, height),
        pixels=int(sizes.prod(1).sum()),
    )
