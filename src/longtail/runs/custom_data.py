"""Custom data of a run: listed, decoded once, without unreadable images and rare classes, and split."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import numpy as np
from jaxtyping import Int

from longtail import recipe
from longtail.data import class_counts, decoded_cache, sources, splits, worker_pool
from longtail.data.crops import resized_side
from longtail.data.decode import size_of
from longtail.data.source import PARTS
from longtail.data.sources.columns import GROUPS
from longtail.data.worker_pool import Progress
from longtail.recipe.data import Keep, Merge, Refuse
from longtail.text import first_few, printable, quantity

Positions = Int[np.ndarray, " images"]

_HEADERS = 2000  # that are read to know the sizes of images
_MANY = 300  # images; to start processes for fewer takes longer than to decode them


@dataclass(frozen=True)
class Listed:
    """Custom data of which no image is decoded yet.

    Args:
        listing: what its files say.
        header_sizes: width and height of up to 2,000 images, spread over all, by their headers; those that cannot be
            read are left out.
    """

    listing: sources.Listing
    header_sizes: Int[np.ndarray, "headers 2"]


def listed(data: recipe.Data) -> Listed:
    """List custom data and read the headers of some images, once for recommendation, room in the cache and training.

    Raises: as `read`.
    """
    listing = read(data)
    source = listing.source
    assert source.encoded
    some = np.unique(np.linspace(0, len(source.labels) - 1, _HEADERS).astype(np.int64)).tolist()
    sizes = [size for i in some if (size := size_of(source.encoded(i))) is not None]
    return Listed(listing, np.array(sizes, np.int64).reshape(-1, 2))


def read(data: recipe.Data, *, path: Path | None = None) -> sources.Listing:
    """Read the files that list the images; none of them is opened.

    Args:
        data: settings of custom data.
        path: where the data is; `None`: where the settings say.
    Raises: ValueError or FileNotFoundError as `sources.read`, and ValueError if no place is given or all images are of
        one class.
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
    return round(resized_side(data.image_size))


def decode(
    source: sources.Source,
    data: recipe.Data,
    *,
    header_sizes: Int[np.ndarray, "headers 2"] | None = None,
    progress: Progress | None = None,
) -> tuple[sources.Source, Mapping[int, str]]:
    """Decode all images once, to keep them or at least to know which of them are unreadable.

    Args:
        source: as it was read.
        data: settings of custom data.
        header_sizes: width and height of some images, for an estimate of the room; `None`: their headers are read.
        progress: called with how many images of how many are done, if it has to be done.
    Returns: the same images, from where they are fastest to get; and positions of unreadable ones, with the reason.
    Raises: ValueError if they are to be kept and there is no room for them.
    """
    workers = worker_pool.cores() if len(source.labels) > _MANY else 0
    if data.packed is False:
        return source, decoded_cache.find_unreadable(source, workers=workers, progress=progress)
    packed = decoded_cache.decode_once(
        source,
        shorter_side=shrunk_side(data),
        folder=sources.cache_folder() / "packed",
        header_sizes=header_sizes,
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
        data: settings of custom data.
        known: positions of unreadable images, with the reason.
        progress: called with how many images of how many are done, if it has to be done again.
    Raises: ValueError if more have become unreadable, or as `decode`.
    """
    if data.packed is False:
        return source
    packed, unreadable = decode(source, data, progress=progress)
    missing = sorted(unreadable.keys() - known.keys())
    if missing:
        raise ValueError(
            f"{quantity(len(missing), 'image')} could be read when the run was started and cannot be now: "
            f"{printable(source.ids[missing[0]])} {unreadable[missing[0]]}"
        )
    return packed


def check_unreadable(listing: sources.Listing, unreadable: Mapping[int, str], data: recipe.Data) -> tuple[str, ...]:
    """Check that a training can do without the images that cannot be read.

    Args:
        listing: the data.
        unreadable: positions, with the reason.
        data: how much may be unreadable.
    Returns: what is missing, in lines.
    Raises: ValueError if it is too much, or all training images of a class.
    """
    if not unreadable:
        return ()
    source, missing = listing.source, np.array(sorted(unreadable), np.int64)
    some = "; ".join(f"{printable(source.ids[int(i)])} {unreadable[i]}" for i in missing[:3].tolist())
    some += f"; and {len(missing) - 3:,} more" if len(missing) > 3 else ""
    share = len(missing) / len(source.labels)
    if data.max_unreadable is not None and share > data.max_unreadable:
        raise ValueError(
            f"{quantity(len(missing), 'image')} of {len(source.labels):,} cannot be read, more than "
            f"data.max_unreadable {data.max_unreadable:g} allows: {some}"
        )
    trains = np.ones(len(source.labels), bool) if listing.parts is None else listing.parts <= 0
    before = class_counts.count(source.labels[trains], len(source.class_names))
    trains[missing] = False
    after = class_counts.count(source.labels[trains], len(source.class_names))
    vanished = np.flatnonzero((before > 0) & (after == 0)).tolist()
    if vanished:
        names = first_few([source.class_names[c] for c in vanished])
        first = next(int(i) for i in missing if source.labels[i] == vanished[0])
        raise ValueError(
            f"{quantity(len(vanished), 'class')} would vanish, since no training image can be read: {names} "
            f"(the first: {printable(source.ids[first])} {unreadable[first]}); mend the images or take the class "
            "out of the data"
        )
    return (f"left out {quantity(len(missing), 'image')} that cannot be read: {some}",)


def merge_rare(
    source: sources.Source, readable: Positions, data: recipe.Data
) -> tuple[sources.Source, tuple[str, ...]]:
    """Keep, refuse or merge rare classes, as the settings say.

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
    have = f"{quantity(len(rare), 'class')} {'has' if len(rare) == 1 else 'have'}"
    note = f"{have} fewer than {quantity(data.min_images or 0, 'image')}: {some}"
    match data.rare_classes:
        case Refuse():
            raise ValueError(f"{note}; add images, lower data.min_images, or set data.on_rare to keep or merge:NAME")
        case Keep():
            return source, (f"{note}; kept (data.on_rare)",)
        case Merge(name) if [names[c] for c in rare] == [name]:  # it is what the others would be merged into
            return source, (f"{note}; kept (data.on_rare)",)
        case Merge(name):
            merged = _merged(source, rare, name)
            if len(merged.class_names) < 2:
                raise ValueError(f"{note}; merged, only the class {name!r} would be left, but a classifier needs 2")
            images = int(np.count_nonzero(merged.labels[readable] == merged.class_names.index(name)))
            return merged, (f"{note}; merged into {name}, now with {quantity(images, 'image')} (data.on_rare)",)
        case other:
            assert_never(other)


def _merged(source: sources.Source, rare: list[int], name: str) -> sources.Source:
    """The images with rare classes as one class, which may be there already."""
    names = source.class_names
    kept = [other for c, other in enumerate(names) if c not in rare or other == name]
    kept = kept if name in kept else [*kept, name]
    number = {other: i for i, other in enumerate(kept)}
    table = np.array([number[other if other in number else name] for other in names])
    return replace(source, labels=table[source.labels], class_names=tuple(kept))


@dataclass(frozen=True)
class SplitNotes:
    """What was decided about a split.

    Args:
        drawn: parts that were held out of the training images, with the share of each class.
        kept_together: images of one such group are in one part; `None`: there are no groups.
        validation_only: whether results are those of the validation part, because the data gives no test part.
    """

    drawn: Mapping[str, float]
    kept_together: str | None
    validation_only: bool

    def before(self) -> tuple[str, ...]:
        """Lines that stand before the sizes of the parts."""
        if not self.drawn:
            return ()
        drawn = [f"{share:g} of each class for {part} (data.{part}_share)" for part, share in self.drawn.items()]
        kept = f", images of one {self.kept_together} together (data.group_by)" if self.kept_together else ""
        return (f"held out {' and '.join(drawn)}, at least 1 image where 1 is left to train{kept}",)

    def after(self) -> tuple[str, ...]:
        """Lines that stand behind them."""
        note = "evaluated on the validation part, as the data gives one and no test part (split)"
        return (note,) if self.validation_only else ()


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
        settings: shares, the seed, and what is to be evaluated.
    Returns: positions in the source, and what was decided, in lines.
    Raises: ValueError if a share is asked for of a part that the data gives.
    """
    data, given = settings.data, listing.parts
    there = [part for i, part in enumerate(PARTS) if given is not None and bool((given == i).any())]
    shares = data.shares(there, split=settings.split)
    kind = kept_together(listing, data)
    found = splits.assign(
        source.labels[readable],
        source.class_names,
        test_share=shares.test,
        validation_share=shares.validation,
        seed=data.seed,
        given=None if given is None else given[readable],
        groups=None if kind is None else listing.groups[kind][readable],
    )
    drawn = {"test": shares.test, "validation": shares.validation}
    notes = SplitNotes(
        {part: share for part, share in drawn.items() if share and part not in there},
        kind,
        validation_only=found.evaluation_part == "validation" and settings.split is None,
    )
    sizes = splits.describe(found, source.labels[readable], source.class_names)
    train, validation, test = (readable[part] for part in (found.train, found.validation, found.test))
    divided = splits.Split(train, validation, test, found.unevaluated)
    return divided, (*notes.before(), *sizes, *notes.after())


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
