"""Tasks: what there is to learn, and on what it is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from longtail import recipe
from longtail.data import class_counts, sources
from longtail.data.source import PARTS, Part
from longtail.data.worker_pool import Progress
from longtail.runs import custom_data
from longtail.runs.folder import RunDir
from longtail.runs.records import SplitFile

Measured = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Task:
    """What there is to learn, and on what it is measured.

    Args:
        train: source of the training images.
        chosen: `(N,)` positions in `train` of the images to learn from, by class and then by position: the order in
            which files list images does not decide what is trained.
        held: positions in `train` of the validation images, maybe none.
        measured: source of the images that are evaluated.
        shown: positions in `measured` of those images.
        counts: `(C,)` training images per class.
        split: which images are evaluated.
        fingerprint: of the data as it was read.
        test: positions in `train` of the test images; none if these are a source of their own.
        unreadable: positions in `train` of images that cannot be decoded, each with the reason.
        notes: what was understood of somebody's own data, in lines.
    """

    train: sources.Source
    chosen: Int[np.ndarray, " images"]
    held: Int[np.ndarray, " held"]
    measured: sources.Source
    shown: Int[np.ndarray, " shown"]
    counts: Int[np.ndarray, " classes"]
    split: Measured
    fingerprint: str
    test: Int[np.ndarray, " test"] = field(default_factory=lambda: np.empty(0, np.int64))
    unreadable: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def record(self) -> SplitFile:
        """What a run remembers of its data, and by which another look notices that it has changed."""
        return SplitFile(
            fingerprint=self.fingerprint,
            split=self.split,
            class_names=self.class_names,
            counts=self.counts.tolist(),
            train=self.chosen.tolist(),
            validation=self.held.tolist(),
            test=self.test.tolist(),
            unreadable=dict(self.unreadable),
            notes=self.notes,
        )

    @property
    def quarantine(self) -> tuple[tuple[str, str, str], ...]:
        """Of each unreadable image the name, the class and the reason."""
        labels, names = self.train.labels, self.class_names
        return tuple((self.train.ids[i], names[labels[i]], reason) for i, reason in sorted(self.unreadable.items()))

    @property
    def labels(self) -> Int[np.ndarray, " images"]:
        return self.train.labels[self.chosen]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.train.class_names


def load(
    settings: recipe.Recipe,
    *,
    run: RunDir | None = None,
    split: Measured | None = None,
    listed: custom_data.Listed | None = None,
    data_root: Path | None = None,
    download: bool = False,
    say: Callable[[str], object] = lambda _: None,
    progress: Progress | None = None,
) -> Task:
    """Open the data and choose the images.

    Args:
        settings: of the run.
        run: a run that was started with them; its images are taken again.
        split: what to measure; `None` as the recipe says.
        listed: custom data that was read already, by the same settings; `None`: it is read here.
        data_root: see `sources.load`; for own data where it is, if not where the recipe says.
        download: see `sources.load`.
        say: is told what is understood of own data, line by line, while it is looked at.
        progress: is told how many of its images of how many are decoded, if they are not yet.
    Raises: ValueError or FileNotFoundError if the data is not there, damaged, too small for the recipe, or not what it
        was when the run was started.
    """
    if settings.data.name != "own":
        task = _named(settings, split=split, data_root=data_root, download=download)
        if run is not None and SplitFile.read(run.split) != task.record().model_copy(
            update={"split": settings.split or "test"}
        ):
            raise _changed(run)
        return task
    if run is not None:
        return _own_again(settings, run, split=split, path=data_root, progress=progress)
    return _own(settings, listed, split=split, path=data_root, say=say, progress=progress)


def _changed(run: RunDir) -> ValueError:
    return ValueError(f"the data is not what it was when {run.path} was started: {run.split} differs from it")


def _named(settings: recipe.Recipe, *, split: Measured | None, data_root: Path | None, download: bool) -> Task:
    data, split = settings.data, split or settings.split or "test"
    assert data.name != "own"
    train = sources.load(data.name, "train", data_root=data_root, download=download)
    chosen, held = _cut(train.labels, train.class_names, data, holds_out=settings.split == "validation")
    if split == "validation" and not len(held):
        raise ValueError("this run held no validation images out; allowed splits: test, train")
    chosen = _by_class(train, chosen)
    measured, shown = train, held if split == "validation" else chosen
    if split == "test":
        measured = sources.load(data.name, "test", data_root=data_root, download=download)
        if measured.class_names != train.class_names:
            raise ValueError(f"{data.name}: the test split has other classes than the training split")
        shown = np.arange(len(measured.labels))
    each = class_counts.count(train.labels[chosen], len(train.class_names))
    return Task(train, chosen, held, measured, shown, each, split, sources.fingerprint(train))


def _own(
    settings: recipe.Recipe,
    listed: custom_data.Listed | None,
    *,
    split: Measured | None,
    path: Path | None,
    say: Callable[[str], object],
    progress: Progress | None,
) -> Task:
    data, notes = settings.data, list[str]()

    def note(lines: Sequence[str]) -> None:
        for line in lines:
            say(line)
        notes.extend(lines)

    listing = custom_data.read(data, path=path) if listed is None else listed.listing
    note(sources.describe(listing))
    headers = None if listed is None else listed.header_sizes
    source, unreadable = custom_data.decode(listing.source, data, header_sizes=headers, progress=progress)
    note(custom_data.check_unreadable(listing, unreadable, data))
    readable = np.setdiff1d(np.arange(len(source.labels)), [*unreadable])
    source, lines = custom_data.merge_rare(source, readable, data)
    note(lines)
    found, lines = custom_data.split(listing, source, readable, settings)
    note(lines)
    chosen, _ = _cut(source.labels[found.train], source.class_names, data, holds_out=False)
    if len(chosen) < len(found.train):
        note([f"took {len(chosen):,} of {len(found.train):,} training images (data.profile {data.profile})"])
    train = _by_class(source, found.train[chosen])
    parts: dict[Part, np.ndarray] = {"train": train, "validation": found.validation, "test": found.test}
    split = split or settings.split or found.evaluation_part
    return _of_parts(source, parts, split, sources.fingerprint(listing.source), unreadable, notes)


def _own_again(
    settings: recipe.Recipe, run: RunDir, *, split: Measured | None, path: Path | None, progress: Progress | None
) -> Task:
    """The task of own data with the images that a run has recorded."""
    recorded = SplitFile.read(run.split)
    try:
        listing = custom_data.read(settings.data, path=path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; if it was moved, name its new place with --data-root") from error
    fingerprint = sources.fingerprint(listing.source)
    if recorded.fingerprint != fingerprint:
        raise _changed(run)
    unreadable = dict(recorded.unreadable)
    source = custom_data.decode_again(listing.source, settings.data, unreadable, progress=progress)
    readable = np.setdiff1d(np.arange(len(source.labels)), [*unreadable])
    source, _ = custom_data.merge_rare(source, readable, settings.data)
    positions = zip(PARTS, (recorded.train, recorded.validation, recorded.test), strict=True)
    parts: dict[Part, np.ndarray] = {part: np.array(some, np.int64) for part, some in positions}
    return _of_parts(source, parts, split or recorded.split, fingerprint, unreadable, recorded.notes)


def _of_parts(
    source: sources.Source,
    parts: Mapping[Part, Int[np.ndarray, " images"]],
    split: Measured,
    fingerprint: str,
    unreadable: Mapping[int, str],
    notes: Sequence[str],
) -> Task:
    """A task whose parts are all of one source."""
    shown = parts[split]
    if not len(shown):
        there = " and ".join(part for part in PARTS if len(parts[part]))
        raise ValueError(
            f"there is no {split} image, only images for {there}; data.{split}_share says how many are held out, and "
            "data.group_by which stay together"
        )
    return Task(
        source,
        parts["train"],
        parts["validation"],
        source,
        shown,
        class_counts.count(source.labels[parts["train"]], len(source.class_names)),
        split,
        fingerprint,
        parts["test"],
        unreadable,
        tuple(notes),
    )


def _by_class(source: sources.Source, positions: Int[np.ndarray, " images"]) -> Int[np.ndarray, " images"]:
    return positions[np.lexsort((positions, source.labels[positions]))]


def _cut(
    labels: Int[np.ndarray, " images"], class_names: Sequence[str], data: recipe.Data, *, holds_out: bool
) -> tuple[Int[np.ndarray, " chosen"], Int[np.ndarray, " held"]]:
    """Positions of the images that a profile of class counts leaves, and of those held out for validation."""
    classes, natural = len(class_names), data.profile_used == "natural"
    available = class_counts.count(labels, classes)
    n_max = data.n_max or int(available.max() if natural else available.min())
    # A tenth is held out for a recipe that measures on it; other recipes learn from every image they may.
    held_out = data.validation if data.validation is not None else max(1, n_max // 10) * holds_out
    wanted = available if natural else _profile(data.profile_used)(n_max, classes, data.imbalance)
    if wanted.min() == 0 and available.min() > 0:
        raise ValueError(
            f"data.imbalance is {data.imbalance:g} and n_max {n_max}: {(wanted == 0).sum()} classes would have no "
            f"image; allowed: an imbalance of at most {n_max}"
        )
    return class_counts.subset(labels, wanted, seed=data.seed, held_out=held_out, class_names=class_names)


def _profile(name: str) -> Callable[[int, int, float], class_counts.Counts]:
    return {"exponential": class_counts.exponential, "pareto": class_counts.pareto, "step": class_counts.step}[name]
