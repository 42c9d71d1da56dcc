"""The data of a run: which images train, validate and test it, from the recipe or from what the run has recorded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int

from longtail import recipe
from longtail.data import class_counts, sources
from longtail.data.source import PARTS, Part, Source
from longtail.data.worker_pool import Progress
from longtail.runs import custom_data
from longtail.runs.folder import RunDir
from longtail.runs.records import SplitFile

Positions = Int[np.ndarray, " _"]  # of any number, whatever other numbers there are
Log = Callable[[str], object]


@dataclass(frozen=True)
class DataModule:
    """The images of a run, by what they are for.

    Args:
        source: the images that train, and with them all that are held out of them.
        train_indices: `(N,)` positions in `source`, by class and then by position: the order in which files list
            images does not decide what is trained.
        val_indices: positions in `source` of the validation images, maybe none.
        test_indices: positions in `source` of the test images; none if these are a source of their own.
        counts: `(C,)` training images per class.
        reported: the split whose results are those of the run.
        fingerprint: of the data as it was read.
        open_test: opens the source of the test images, where that is another one.
        unreadable: positions in `source` of images that cannot be decoded, each with the reason.
        notes: what was understood of custom data, in lines.
    """

    source: Source
    train_indices: Positions
    val_indices: Positions
    test_indices: Positions
    counts: Int[np.ndarray, " classes"]
    reported: Part
    fingerprint: str
    open_test: Callable[[], Source] | None = None
    unreadable: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def split(self, name: Part) -> tuple[Source, Positions]:
        """The source of a split's images, and their positions in it.

        Raises: ValueError if there is no such image; FileNotFoundError if test images that are a source of their own
            are not there.
        """
        if name == "test" and self.open_test is not None:
            source = self.open_test()
            return source, np.arange(len(source.labels))
        parts = {"train": self.train_indices, "validation": self.val_indices, "test": self.test_indices}
        if len(parts[name]):
            return self.source, parts[name]
        if self.open_test is not None:
            raise ValueError("this run held no validation images out; allowed splits: test, train")
        there = " and ".join(part for part in PARTS if len(parts[part]))
        raise ValueError(
            f"there is no {name} image, only images for {there}; data.{name}_share says how many are held out, and "
            "data.group_by which stay together"
        )

    def record(self) -> SplitFile:
        """What a run records of its data, by which it also notices later that they have changed."""
        return SplitFile(
            fingerprint=self.fingerprint,
            split=self.reported,
            class_names=self.class_names,
            counts=self.counts.tolist(),
            train=self.train_indices.tolist(),
            validation=self.val_indices.tolist(),
            test=self.test_indices.tolist(),
            unreadable=dict(self.unreadable),
            notes=self.notes,
        )

    @property
    def quarantine(self) -> tuple[tuple[str, str, str], ...]:
        """Of each unreadable image the name, the class and the reason."""
        labels, names = self.source.labels, self.class_names
        return tuple((self.source.ids[i], names[labels[i]], reason) for i, reason in sorted(self.unreadable.items()))

    @property
    def train_labels(self) -> Positions:
        """`(N,)` classes of the training images."""
        return self.source.labels[self.train_indices]

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names."""
        return self.source.class_names


def load(
    settings: recipe.Recipe,
    *,
    run: RunDir | None = None,
    listed: custom_data.Listed | None = None,
    data_root: Path | None = None,
    log: Log = lambda _: None,
    progress: Progress | None = None,
) -> DataModule:
    """Open the data and choose the images.

    Args:
        settings: of the run.
        run: a run that was started with them; the images that it has recorded are taken again.
        listed: custom data that was read already, by the same settings; `None`: it is read here.
        data_root: see `sources.load`; for custom data where it is, if not where the recipe says.
        log: is called with what is understood of custom data, line by line, while they are read.
        progress: is called with how many of its images of how many are decoded, if they are not yet.
    Raises: ValueError or FileNotFoundError if the data is not there, damaged, too small for the recipe, or not what it
        was when the run was started.
    """
    if settings.data.name != "own":
        data = _builtin(settings, data_root=data_root)
        if run is not None and SplitFile.read(run.split) != data.record():
            raise _changed(run)
    else:
        data = _custom(settings, run, listed, path=data_root, log=log, progress=progress)
    data.split(data.reported)  # what cannot be evaluated is not worth a training
    return data


def _changed(run: RunDir) -> ValueError:
    return ValueError(f"the data is not what it was when {run.path} was started: {run.split} differs from it")


def _builtin(settings: recipe.Recipe, *, data_root: Path | None) -> DataModule:
    data = settings.data
    assert data.name != "own"
    train = sources.load(data.name, "train", data_root=data_root)
    chosen, held_out = _profile(train.labels, train.class_names, data, holds_out=settings.split == "validation")

    @cache  # opened once, and not before it is asked for: a run may never evaluate it
    def open_test() -> Source:
        assert data.name != "own"
        test = sources.load(data.name, "test", data_root=data_root)
        if test.class_names != train.class_names:
            raise ValueError(f"{data.name}: the test split has other classes than the training split")
        return test

    train_indices = _by_class(train, chosen)
    return DataModule(
        train,
        train_indices,
        held_out,
        np.empty(0, np.int64),
        class_counts.count(train.labels[train_indices], len(train.class_names)),
        settings.split or "test",
        sources.fingerprint(train),
        open_test=open_test,
    )


def _custom(
    settings: recipe.Recipe,
    run: RunDir | None,
    listed: custom_data.Listed | None,
    *,
    path: Path | None,
    log: Log,
    progress: Progress | None,
) -> DataModule:
    """Custom data: with a run the images that it has recorded, without one those that the recipe draws."""
    recorded = None if run is None else SplitFile.read(run.split)
    listing = _listing(settings.data, path, moved=run is not None) if listed is None else listed.listing
    fingerprint, notes = sources.fingerprint(listing.source), list[str]()

    def note(lines: Sequence[str]) -> None:
        for line in lines:
            log(line)
        notes.extend(lines)

    if recorded is None:
        note(sources.describe(listing))
        headers = None if listed is None else listed.header_sizes
        source, unreadable = custom_data.decode(listing.source, settings.data, header_sizes=headers, progress=progress)
        note(custom_data.check_unreadable(listing, unreadable, settings.data))
    else:
        if run is not None and recorded.fingerprint != fingerprint:
            raise _changed(run)
        unreadable = dict(recorded.unreadable)
        source = custom_data.decode_again(listing.source, settings.data, unreadable, progress=progress)
    readable = np.setdiff1d(np.arange(len(source.labels)), [*unreadable])
    source, merged = custom_data.merge_rare(source, readable, settings.data)
    if recorded is None:
        note(merged)
        parts, reported, drawn = _drawn(listing, source, readable, settings)
        note(drawn)
    else:
        positions = zip(PARTS, (recorded.train, recorded.validation, recorded.test), strict=True)
        parts = {part: np.array(some, np.int64) for part, some in positions}
        reported, notes = recorded.split, [*recorded.notes]
    return DataModule(
        source,
        parts["train"],
        parts["validation"],
        parts["test"],
        class_counts.count(source.labels[parts["train"]], len(source.class_names)),
        reported,
        fingerprint,
        unreadable=unreadable,
        notes=tuple(notes),
    )


def _listing(data: recipe.Data, path: Path | None, *, moved: bool) -> sources.Listing:
    try:
        return custom_data.read(data, path=path)
    except FileNotFoundError as error:
        if not moved:
            raise
        raise FileNotFoundError(f"{error}; if it was moved, name its new place with --data-root") from error


def _drawn(
    listing: sources.Listing, source: Source, readable: Positions, settings: recipe.Recipe
) -> tuple[dict[Part, Positions], Part, tuple[str, ...]]:
    """Positions of each split's images, the split to report, and what was decided, in lines."""
    found, lines = custom_data.split(listing, source, readable, settings)
    chosen, _ = _profile(source.labels[found.train], source.class_names, settings.data, holds_out=False)
    if len(chosen) < len(found.train):
        profile = f"data.profile {settings.data.profile}"
        lines = (*lines, f"took {len(chosen):,} of {len(found.train):,} training images ({profile})")
    parts: dict[Part, Positions] = {
        "train": _by_class(source, found.train[chosen]),
        "validation": found.validation,
        "test": found.test,
    }
    return parts, settings.split or found.evaluation_part, lines


def _by_class(source: Source, positions: Positions) -> Positions:
    return positions[np.lexsort((positions, source.labels[positions]))]


def _profile(
    labels: Positions, class_names: Sequence[str], data: recipe.Data, *, holds_out: bool
) -> tuple[Positions, Positions]:
    """Positions of the images that a profile of class counts leaves, and of those held out for validation."""
    classes, natural = len(class_names), data.profile_used == "natural"
    available = class_counts.count(labels, classes)
    n_max = data.n_max or int(available.max() if natural else available.min())
    # A tenth is held out for a recipe that reports validation results; other recipes learn from every image they may.
    held_out = data.validation if data.validation is not None else max(1, n_max // 10) * holds_out
    wanted = available if natural else _counts(data.profile_used)(n_max, classes, data.imbalance)
    if wanted.min() == 0 and available.min() > 0:
        raise ValueError(
            f"data.imbalance is {data.imbalance:g} and n_max {n_max}: {(wanted == 0).sum()} classes would have no "
            f"image; allowed: an imbalance of at most {n_max}"
        )
    return class_counts.subset(labels, wanted, seed=data.seed, held_out=held_out, class_names=class_names)


def _counts(profile: str) -> Callable[[int, int, float], class_counts.Counts]:
    return {"exponential": class_counts.exponential, "pareto": class_counts.pareto, "step": class_counts.step}[profile]
