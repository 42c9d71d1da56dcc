"""Findings: what a person should know of a data set, kind by kind, after every image was decoded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from longtail.data.audit import duplicates
from longtail.data.audit.duplicates import Duplicates, Positions
from longtail.data.audit.scan import Scan
from longtail.data.class_counts import Counts
from longtail.data.source import PARTS, Listing, Part
from longtail.text import printable, quantity

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note")

_TINY = 8  # pixels a side
_LONG = 4  # times as long as wide
_SCARCE = 5  # test images below which a class's recall says little

_Listed = Callable[[Sequence[Positions]], tuple[dict[str, Any], ...]]  # sets of images, as items of a finding


@dataclass(frozen=True)
class Finding:
    """One kind of thing that a person should know.

    Args:
        kind: for programs: "unreadable", "conflict", "leak", "split group", "exact", "near", ...
        level: "problem": results or classes are at stake; "warning": check it; "note": nothing to do.
        title: what was found, with numbers.
        advice: what to do, or what will happen.
        items: all that was found, one by one, in plain values; those of a kind have the same keys.
    """

    kind: str
    level: Level
    title: str
    advice: str
    items: tuple[Mapping[str, Any], ...]

    def in_words(self) -> list[str]:
        """Each item on a line."""
        return [_in_words(item) for item in self.items]


def _in_words(item: Mapping[str, Any]) -> str:
    match item:
        case {"image": name, "reason": reason}:
            return f"{printable(name)} {reason}"
        case {"image": name}:
            return printable(name)
        case {"images": [*images]}:
            return ", ".join(_place(image, images) for image in images)
        case {"group": kind, "first": first, "parts": parts}:
            shares = ", ".join(f"{part} {images:,}" for part, images in parts.items())
            return f"{kind} of {printable(first)}: {shares}"
        case {"class": name, "images": images, "evaluated": evaluated}:
            return f"{printable(name)}: {evaluated:,} of {quantity(images, 'image')}"
        case {"class": name, "images": images}:
            return f"{printable(name)}: {quantity(images, 'image')}"
    raise AssertionError(item)


def _place(image: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> str:
    """The name of one of several images, with what distinguishes it from the others."""
    differs = [image[key] or "no part" for key in ("class", "part") if len({each[key] for each in images}) > 1]
    return printable(image["image"]) + (f" ({', '.join(map(printable, differs))})" if differs else "")


def _image(listing: Listing, position: int) -> dict[str, Any]:
    """By what a person finds an image, and what the data says of it."""
    source = listing.source
    part = -1 if listing.parts is None else int(listing.parts[position])
    return {
        "image": source.ids[position],
        "class": source.class_names[source.labels[position]],
        "part": PARTS[part] if part >= 0 else None,
    }


def unreadable(listing: Listing, scanned: Scan, counts: Counts) -> Iterator[Finding]:
    """Images that cannot be decoded, and classes that have no others."""
    if not scanned.unreadable:
        return
    yield Finding(
        "unreadable",
        "problem",
        f"{quantity(len(scanned.unreadable), 'image')} cannot be decoded",
        "training leaves them out; mend or remove them",
        tuple({**_image(listing, i), "reason": reason} for i, reason in sorted(scanned.unreadable.items())),
    )
    classes = np.flatnonzero(counts == 0)
    if len(classes):
        yield Finding(
            "unreadable class",
            "problem",
            f"{quantity(len(classes), 'class')} without a readable image",
            "training stops before it would lose a class: mend the images, or remove the class",
            tuple({"class": listing.source.class_names[c], "images": 0} for c in classes),
        )


def duplicated(listing: Listing, scanned: Scan, split: Int[np.ndarray, " images"]) -> Iterator[Finding]:
    """Exact and near-duplicates, and what is wrong with them beyond that they are.

    Args:
        listing: all images.
        scanned: what they look like.
        split: `(N,)` positions in `PARTS` of the split that a training will use, -1 for none.
    """
    found = duplicates.groups(scanned.digests, scanned.thumbnails)
    listed = partial(_sets, listing, scanned)
    yield from _conflicts(found, listing, listed)
    yield from _leaks(found, listing, split, listed)
    yield from _copies(found, listed)


def _conflicts(found: Duplicates, listing: Listing, listed: _Listed) -> Iterator[Finding]:
    groups = [group for group in found.groups if len(np.unique(listing.source.labels[group])) > 1]
    if groups:
        title = f"{_number(groups)} stand under more than one class"
        advice = "decide which class is right: both cannot be learned"
        yield Finding("conflict", "problem", title, advice, listed(groups))


def _leaks(
    found: Duplicates, listing: Listing, split: Int[np.ndarray, " images"], listed: _Listed
) -> Iterator[Finding]:
    groups = [group for group in found.groups if len(np.unique(split[group])) > 1]
    if groups and listing.parts is not None:
        title = f"{_number(groups)} stand in more than one part of the split"
        advice = "results on them are worth nothing: remove them from all parts but one"
        yield Finding("leak", "problem", title, advice, listed(groups))
    elif groups:  # the split is still to be drawn, so there is time to keep them together
        title = f"{_number(groups)} would be torn apart by the split that training draws"
        advice = "results on them would be worth nothing: remove copies, and give images of one origin a group"
        yield Finding("leak", "warning", title, advice, listed(groups))


def _copies(found: Duplicates, listed: _Listed) -> Iterator[Finding]:
    if found.exact:
        title = f"{_number(found.exact)} have the same pixels"
        yield Finding("exact", "warning", title, "remove all but one of each", listed(found.exact))
    if found.near:
        title = f"{_number(found.near)} are nearly the same"
        advice = "give images of one origin a group, such as a sequence, so that a split keeps them together"
        yield Finding("near", "warning", title, advice, listed(found.near))


def _number(groups: Sequence[Positions]) -> str:
    return f"{sum(map(len, groups)):,} images in {quantity(len(groups), 'set')}"


def _sets(listing: Listing, scanned: Scan, groups: Sequence[Positions]) -> tuple[dict[str, Any], ...]:
    """Sets of images that are alike, in each of them those with the same pixels beside each other."""
    sets = []
    for group in groups:
        first = {scanned.digests[i]: i for i in reversed(group.tolist())}
        order = sorted(group.tolist(), key=lambda i: (first[scanned.digests[i]], i))
        how = "nearly the same" if len(first) > 1 else "same pixels"
        sets.append({"alike": how, "images": [_image(listing, i) for i in order]})
    return tuple(sets)


def split_groups(listing: Listing) -> Iterator[Finding]:
    """Groups of which a given split puts some images into one part and some into another."""
    if listing.parts is None:
        return
    for name, numbers in listing.groups.items():
        placed = (listing.parts >= 0) & (numbers >= 0)
        table = np.zeros((int(numbers.max()) + 1, len(PARTS)), np.int64)
        np.add.at(table, (numbers[placed], listing.parts[placed]), 1)
        apart = np.flatnonzero((table > 0).sum(1) > 1)
        known, first = np.unique(numbers, return_index=True)
        if len(apart):
            yield Finding(
                "split group",
                "problem",
                f"{quantity(len(apart), name)} in more than one part of the given split",
                "images of a group are alike, so results will be too good: split by group",
                tuple(
                    {
                        "group": name,
                        "first": listing.source.ids[int(first[np.searchsorted(known, number)])],
                        "parts": {part: int(n) for part, n in zip(PARTS, table[number], strict=True) if n},
                    }
                    for number in apart
                ),
            )


def unevaluated(names: Sequence[str], counts: Counts, parts: Mapping[Part, Counts]) -> Iterator[Finding]:
    """Classes that cannot be learned or not be evaluated, or whose figures will be rough.

    Args:
        names: of the classes.
        counts: readable images of each class.
        parts: readable images of each class in each part of the split.
    """
    evaluated = "test" if parts["test"].any() else "validation"
    tested = parts[evaluated]
    untrained = np.flatnonzero((parts["train"] == 0) & (counts > 0))
    if len(untrained):
        yield Finding(
            "untrained",
            "problem",
            f"{quantity(len(untrained), 'class')} without a training image",
            "move images of them into the training part",
            tuple({"class": names[c], "images": int(counts[c])} for c in untrained.tolist()),
        )
    none = np.flatnonzero((tested == 0) & (counts > 0))
    few = np.flatnonzero((tested > 0) & (tested < _SCARCE))
    if len(none):
        yield Finding(
            "unevaluated",
            "warning",
            f"{quantity(len(none), 'class')} without a {evaluated} image",
            "they are learned, but nobody can say how well: get more images of them",
            tuple({"class": names[c], "images": int(counts[c])} for c in none.tolist()),
        )
    if len(few):
        yield Finding(
            "scarce",
            "note",
            f"{quantity(len(few), 'class')} with fewer than {_SCARCE} {evaluated} images",
            "their accuracies will be rough, as their intervals show",
            tuple({"class": names[c], "images": int(counts[c]), "evaluated": int(tested[c])} for c in few.tolist()),
        )


def unusual(listing: Listing, scanned: Scan) -> Iterator[Finding]:
    """What is unusual about files and sizes, though it is dealt with."""
    kinds: dict[str, list[int]] = {}
    for position, described in sorted(scanned.unusual.items()):
        for kind in described:
            kinds.setdefault(kind, []).append(position)
    width, height = scanned.sizes.T
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    for words, which in (
        (f"shorter side below {_TINY} pixels", (shorter < _TINY) & (shorter > 0)),
        (f"more than {_LONG} times as long as wide, or as wide as long", longer > _LONG * shorter),
    ):
        if which.any():
            kinds[words] = np.flatnonzero(which).tolist()
    for kind, positions in kinds.items():
        yield Finding(
            f"unusual: {kind}",
            "note",
            f"{quantity(len(positions), 'image')}: {kind}",
            "",
            tuple(_image(listing, position) for position in positions),
        )
