"""Findings: what a person should know of a data set, kind by kind, after every image was looked at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from longtail.data.audit import duplicates
from longtail.data.audit.scan import Survey
from longtail.data.class_counts import Counts
from longtail.data.source import PARTS, Listing, Part
from longtail.text import printable, quantity

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note")

_TINY = 8  # pixels a side
_LONG = 4  # times as long as wide
_SCARCE = 5  # test images below which a class's recall says little


@dataclass(frozen=True)
class Finding:
    """One kind of thing that a person should know.

    Args:
        kind: for programs: "unreadable", "conflict", "leak", "torn", "same", "near", ...
        level: "problem": results or classes are at stake; "warning": look at it; "note": nothing to do.
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
        case {"class": name, "images": images, "measured": measured}:
            return f"{printable(name)}: {measured:,} of {quantity(images, 'image')}"
        case {"class": name, "images": images}:
            return f"{printable(name)}: {quantity(images, 'image')}"
    raise AssertionError(item)


def _place(image: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> str:
    """The name of one of several images, with what tells it from the others."""
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


def unreadable(listing: Listing, seen: Survey, counts: Counts) -> Iterator[Finding]:
    """Images that cannot be decoded, and classes that have no others."""
    if not seen.unreadable:
        return
    yield Finding(
        "unreadable",
        "problem",
        f"{quantity(len(seen.unreadable), 'image')} cannot be decoded",
        "training leaves them out; mend or remove them",
        tuple({**_image(listing, i), "reason": reason} for i, reason in sorted(seen.unreadable.items())),
    )
    lost = np.flatnonzero(counts == 0)
    if len(lost):
        yield Finding(
            "lost class",
            "problem",
            f"{quantity(len(lost), 'class')} without a readable image",
            "training stops before it would lose a class: mend the images, or remove the class",
            tuple({"class": listing.source.class_names[c], "images": 0} for c in lost),
        )


def alike_images(listing: Listing, seen: Survey, split: Int[np.ndarray, " images"]) -> Iterator[Finding]:
    """Exact and near duplicates, and what is wrong with them beyond that they are.

    Args:
        listing: all images.
        seen: what they look like.
        split: `(N,)` positions in `PARTS` of the split that a training will use, -1 for none.
    """
    readable = np.array([i for i, digest in enumerate(seen.digests) if digest], np.int64)
    same = [readable[group] for group in duplicates.same([seen.digests[i] for i in readable])]
    copies = {int(i) for group in same for i in group[1:]}
    single = np.array([i for i in readable.tolist() if i not in copies], np.int64)
    chains = [single[group] for group in duplicates.nearly(seen.thumbnails[single])]
    # An image that is nearly like one of several copies is so to all of them.
    near = [group for group in duplicates.joined([*chains, *same], images=len(seen.digests)) if _differ(seen, group)]
    inside = {int(i) for group in near for i in group}
    groups = [*near, *(group for group in same if int(group[0]) not in inside)]
    conflicts = [group for group in groups if len(np.unique(listing.source.labels[group])) > 1]
    leaks = [group for group in groups if len(np.unique(split[group])) > 1]
    if conflicts:
        yield Finding(
            "conflict",
            "problem",
            f"{_number(conflicts)} stand under more than one class",
            "decide which class is right: both cannot be learnt",
            _sets(listing, seen, conflicts),
        )
    if leaks and listing.parts is not None:
        yield Finding(
            "leak",
            "problem",
            f"{_number(leaks)} stand in more than one part of the split",
            "results on them are worth nothing: remove them from all parts but one",
            _sets(listing, seen, leaks),
        )
    elif leaks:
        yield Finding(
            "leak",
            "warning",
            f"{_number(leaks)} would be torn apart by the split that training draws",
            "results on them would be worth nothing: remove copies, and give images of one origin a group",
            _sets(listing, seen, leaks),
        )
    if same:
        yield Finding(
            "same",
            "warning",
            f"{_number(same)} have the same pixels",
            "remove all but one of each",
            _sets(listing, seen, same),
        )
    if near:
        yield Finding(
            "near",
            "warning",
            f"{_number(near)} are nearly the same",
            "give images of one origin a group, such as a sequence, so that a split keeps them together",
            _sets(listing, seen, near),
        )


def _number(groups: Sequence[duplicates.Positions]) -> str:
    return f"{sum(map(len, groups)):,} images in {quantity(len(groups), 'set')}"


def _differ(seen: Survey, group: duplicates.Positions) -> bool:
    return len({seen.digests[i] for i in group}) > 1


def _sets(listing: Listing, seen: Survey, groups: Sequence[duplicates.Positions]) -> tuple[dict[str, Any], ...]:
    """Sets of images that are alike, in each of them those with the same pixels beside each other."""
    sets = []
    for group in groups:
        first = {seen.digests[i]: i for i in reversed(group.tolist())}
        order = sorted(group.tolist(), key=lambda i: (first[seen.digests[i]], i))
        how = "nearly the same" if len(first) > 1 else "same pixels"
        sets.append({"alike": how, "images": [_image(listing, i) for i in order]})
    return tuple(sets)


def torn(listing: Listing) -> Iterator[Finding]:
    """Groups of which a given split puts some images into one part and some into another."""
    if listing.parts is None:
        return
    for name, numbers in listing.groups.items():
        placed = (listing.parts >= 0) & (numbers >= 0)
        table = np.zeros((int(numbers.max()) + 1, len(PARTS)), np.int64)
        np.add.at(table, (numbers[placed], listing.parts[placed]), 1)
        torn = np.flatnonzero((table > 0).sum(1) > 1)
        known, first = np.unique(numbers, return_index=True)
        if len(torn):
            yield Finding(
                "torn",
                "problem",
                f"{quantity(len(torn), name)} in more than one part of the given split",
                "images of a group are alike, so results will be too good: split by group",
                tuple(
                    {
                        "group": name,
                        "first": listing.source.ids[int(first[np.searchsorted(known, number)])],
                        "parts": {part: int(n) for part, n in zip(PARTS, table[number], strict=True) if n},
                    }
                    for number in torn
                ),
            )


def unmeasured(names: Sequence[str], counts: Counts, parts: Mapping[Part, Counts]) -> Iterator[Finding]:
    """Classes that cannot be learnt, or of which a test can tell nothing, or little.

    Args:
        names: of the classes.
        counts: readable images of each class.
        parts: readable images of each class in each part of the split.
    """
    measured = "test" if parts["test"].any() else "validation"
    tested = parts[measured]
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
            "unmeasured",
            "warning",
            f"{quantity(len(none), 'class')} without a {measured} image",
            "they are learnt, but nobody can say how well: get more images of them",
            tuple({"class": names[c], "images": int(counts[c])} for c in none.tolist()),
        )
    if len(few):
        yield Finding(
            "scarce",
            "note",
            f"{quantity(len(few), 'class')} with fewer than {_SCARCE} {measured} images",
            "their accuracies will be rough, as their intervals show",
            tuple({"class": names[c], "images": int(counts[c]), "measured": int(tested[c])} for c in few.tolist()),
        )


def odd(listing: Listing, seen: Survey) -> Iterator[Finding]:
    """What is unusual about files and sizes, though it is dealt with."""
    kinds: dict[str, list[int]] = {}
    for position, oddities in sorted(seen.odd.items()):
        for kind in oddities:
            kinds.setdefault(kind, []).append(position)
    width, height = seen.sizes.T
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    for words, which in (
        (f"shorter side below {_TINY} pixels", (shorter < _TINY) & (shorter > 0)),
        (f"more than {_LONG} times as long as wide, or as wide as long", longer > _LONG * shorter),
    ):
        if which.any():
            kinds[words] = np.flatnonzero(which).tolist()
    for kind, positions in kinds.items():
        yield Finding(
            f"odd: {kind}",
            "note",
            f"{quantity(len(positions), 'image')}: {kind}",
            "",
            tuple(_image(listing, position) for position in positions),
        )
