"""Somebody's own data: read as the settings say, decoded once, and decided which images and classes are left."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from longtail import recipe
from longtail.data import class_counts, decoded_cache, sources, splits, worker_pool
from longtail.data.source import PARTS
from longtail.data.sources.columns import GROUPS
from longtail.data.worker_pool import Progress
from longtail.text import first_few, printable, quantity

Say = Callable[[str], object]
Positions = Int[np.ndarray, " images"]

_TEST_SHARE, _VALIDATION_SHARE = 0.2, 0.1
_MANY = 300  # images; to start processes for fewer takes longer than to decode them


def read(data: recipe.Data, *, path: Path | None = None) -> sources.Listing:
    """Read the files that list the images; none of them is opened.

    Args:
        data: settings of own data.
        path: where the data is; `None`: where the settings say.
    Raises: ValueError or FileNotFoundError as `sources.read`, and ValueError if nobody says where the data is or all
        images are of one class.
    """
    if path is None and data.path is None:
        raise ValueError("data.path is null; say where your images are: --set data.path=DIR")
    place = path or Path(str(data.path))
    listing = sources.read(
        place,
        form=data.form,
        root=Path(data.root) if data.root is not None else None,
        label_column=data.label_column,
        group_column=data.group_by if data.group_by not in (None, "none", *GROUPS) else None,
    )
    if len(names := listing.source.class_names) == 1:
        raise ValueError(f"{place} has only the class {names[0]!r}; a classifier needs at least 2 classes")
    return listing


def shrunk_side(data: recipe.Data) -> int | None:
    """The shorter side, in pixels, to which larger images are shrunk before all else; `None`: they stay as they are.

    >>> shrunk_side(recipe.Data(name="own", image_size=224)), shrunk_side(recipe.Data(name="digits"))
    (256, None)
    """
    if data.name != "own" or data.packed is False or data.image_size is None:
        return None
    return round(data.image_size * 8 / 7)


def decode(
    source: sources.Source, data: recipe.Data, *, progress: Progress | None = None
) -> tuple[sources.Source, Mapping[int, str]]:
    """Decode all images once, to keep them or at least to know which of them are unreadable.

    Args:
        source: as it was read.
        data: settings of own data.
        progress: is told how many images of how many are done, if it has to be done.
    Returns: the same images, from where they are fastest to get; and positions of unreadable ones, with the reason.
    Raises: ValueError if they are to be kept and there is no room for them.
    """
    workers = worker_pool.cores() if len(source.labels) > _MANY else 0
    if data.packed is False:
        return source, decoded_cache.check(source, workers=workers, progress=progress)
    packed = decoded_cache.pack(
        source,
        shorter_side=shrunk_side(data),
        folder=sources.cache_folder() / "packed",
        workers=workers,
        progress=progress,
    )
    return packed.source, packed.unreadable


def decode_again(
    source: sources.Source, data: recipe.Data, known: Mapping[int, str], *, progress: Progress | None = None
) -> sources.Source:
    """The images from where they are fastest to get, when it is known which are unreadable.

    Args:
        source: as it was read.
        data: settings of own data.
        known: positions of unreadable images, with the reason.
        progress: is told how many images of how many are done, if it has to be done again.
    Raises: ValueError if more have become unreadable, or as `decode`.
    """
    if data.packed is False:
        return source
    packed, unreadable = decode(source, data, progress=progress)
    lost = sorted(unreadable.keys() - known.keys())
    if lost:
        raise ValueError(
            f"{quantity(len(lost), 'image')} could be read when the run was started and cannot be now: "
            f"{printable(source.ids[lost[0]])} {unreadable[lost[0]]}"
        )
    return packed


def check_losses(listing: sources.Listing, unreadable: Mapping[int, str], data: recipe.Data) -> tuple[str, ...]:
    """See that what cannot be read may be done without.

    Args:
        listing: the data.
        unreadable: positions, with the reason.
        data: how much may be unreadable.
    Returns: what is missing, in lines.
    Raises: ValueError if it is too much, or all training images of a class.
    """
    if not unreadable:
        return ()
    source, lost = listing.source, np.array(sorted(unreadable), np.int64)
    some = "; ".join(f"{printable(source.ids[int(i)])} {unreadable[i]}" for i in lost[:3].tolist())
    some += f"; and {len(lost) - 3:,} more" if len(lost) > 3 else ""
    share = len(lost) / len(source.labels)
    if data.max_unreadable is not None and share > data.max_unreadable:
        raise ValueError(
            f"{quantity(len(lost), 'image')} of {len(source.labels):,} cannot be read, more than "
            f"data.max_unreadable {data.max_unreadable:g} allows: {some}"
        )
    trains = np.ones(len(source.labels), bool) if listing.parts is None else listing.parts <= 0
    before = class_counts.count(source.labels[trains], len(source.class_names))
    trains[lost] = False
    after = class_counts.count(source.labels[trains], len(source.class_names))
    vanished = np.flatnonzero((before > 0) & (after == 0)).tolist()
    if vanished:
        names = first_few([source.class_names[c] for c in vanished])
        first = next(int(i) for i in lost if source.labels[i] == vanished[0])
        raise ValueError(
            f"{quantity(len(vanished), 'class')} would vanish, since no training image can be read: {names} "
            f"(the first: {printable(source.ids[first])} {unreadable[first]}); mend the images or take the class "
            "out of the data"
        )
    return (f"left out {quantity(len(lost), 'image')} that cannot be read: {some}",)


def merge_rare(
    source: sources.Source, readable: Positions, data: recipe.Data
) -> tuple[sources.Source, tuple[str, ...]]:
    """Do with rare classes what the settings say.

    Args:
        source: the images.
        readable: positions of those that can be read.
        data: what a rare class is, and what becomes of it.
    Returns: the images, and what was done, in lines.
    Raises: ValueError if there is a rare class and the settings call that an error.
    """
    names, each = source.class_names, class_counts.count(source.labels[readable], len(source.class_names))
    rare = np.flatnonzero(each < (data.min_images or 0)).tolist()
    if not rare:
        return source, ()
    some = first_few([f"{names[c]} ({each[c]:,})" for c in rare])
    what = f"fewer than {quantity(data.min_images or 0, 'image')}: {some}"
    said = f"{quantity(len(rare), 'class')} {'has' if len(rare) == 1 else 'have'} {what}"
    action, _, name = data.on_rare.partition(":")
    name = name.strip()
    if action == "error":
        raise ValueError(f"{said}; add images, lower data.min_images, or set data.on_rare to keep or merge:NAME")
    if action == "keep" or [names[c] for c in rare] == [name]:
        return source, (f"{said}; kept (data.on_rare)",)
    kept = [other for c, other in enumerate(names) if c not in rare or other == name]
    kept = kept if name in kept else [*kept, name]
    if len(kept) < 2:
        raise ValueError(f"{said}; merged, only the class {name!r} would be left, but a classifier needs 2")
    number = {other: i for i, other in enumerate(kept)}
    table = np.array([number[other if other in number else name] for other in names])
    merged = replace(source, labels=table[source.labels], class_names=tuple(kept))
    images = int(np.count_nonzero(merged.labels[readable] == number[name]))
    return merged, (f"{said}; merged into {name}, now with {quantity(images, 'image')} (data.on_rare)",)


def split(
    listing: sources.Listing, source: sources.Source, readable: Positions, settings: recipe.Recipe
) -> tuple[splits.Split, tuple[str, ...]]:
    """Decide which images train, validate and test.

    A part that the data gives is taken. A test part is held out of the training images where the data gives neither a
    test nor a validation part, or where the settings ask for one; a validation part only where the settings ask.

    Args:
        listing: parts and groups.
        source: labels.
        readable: positions of the images that can be read.
        settings: shares, the seed, and what is to be measured.
    Returns: positions in the source, and what was decided, in lines.
    Raises: ValueError if a share is asked for of a part that the data gives.
    """
    data, given = settings.data, listing.parts
    has = {part: given is not None and bool((given == i).any()) for i, part in enumerate(PARTS)}
    shares = {"test": data.test_share, "validation": data.validation_share}
    for part, share in shares.items():
        if has[part] and share is not None:
            raise ValueError(
                f"data.{part}_share is {share:g}, but the data gives a {part} part of its own; set it to null"
            )
    if shares["test"] is None:
        enough = has["validation"] and settings.split != "test"
        shares["test"] = 0.0 if enough else _TEST_SHARE
    if shares["validation"] is None:
        shares["validation"] = _VALIDATION_SHARE if settings.split == "validation" else 0.0
    kind = kept_together(listing, data)
    found = splits.assign(
        source.labels[readable],
        len(source.class_names),
        test_share=shares["test"],
        validation_share=shares["validation"],
        seed=data.seed,
        given=None if given is None else given[readable],
        groups=None if kind is None else listing.groups[kind][readable],
        class_names=source.class_names,
    )
    lines = splits.describe(found, source.labels[readable], source.class_names)
    drawn = [
        f"{share:g} of each class for {part} (data.{part}_share)"
        for part, share in shares.items()
        if share and not has[part]
    ]
    if drawn:
        kept = f", images of one {kind} together (data.group_by)" if kind is not None else ""
        lines = (f"held out {' and '.join(drawn)}, at least 1 image where 1 is left to train{kept}", *lines)
    if found.measured == "validation" and settings.split is None:
        lines = (*lines, "measured on the validation part, as the data gives one and no test part (split)")
    train, validation, test = (readable[part] for part in (found.train, found.validation, found.test))
    return splits.Split(train, validation, test, found.unmeasurable), lines


def kept_together(listing: sources.Listing, data: recipe.Data) -> str | None:
    """Which of the data's groups stay together in one part; `None`: none.

    Args:
        listing: the groups, widest first.
        data: whether one was chosen.
    Raises: ValueError if the data has no such groups.
    """
    match data.group_by:
        case "none":
            return None
        case None:
            several = (name for name, group in listing.groups.items() if len(np.unique(group[group >= 0])) > 1)
            return next(several, None)
        case wanted:
            name = wanted if wanted in GROUPS else "group"  # a column of any name makes groups of that name
            if name not in listing.groups:
                there = ", ".join(listing.groups) or "no groups"
                raise ValueError(f"data.group_by is {wanted}; the data has {there}")
            return name
