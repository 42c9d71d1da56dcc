"""Elsewhere: a finished run measured on other images than those it was given, with the classes that it knows."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from longtail import metrics, recipe
from longtail.data import sources
from longtail.data.class_counts import Groups
from longtail.data.source import PARTS, Listing, Part
from longtail.data.sources.detect import detect
from longtail.inference import predict
from longtail.inference.inputs import Queries, Query
from longtail.metrics import Summary
from longtail.report import model_card
from longtail.runs.folder import RunDir
from longtail.runs.records import ModelFile, SplitFile, read_json, write_json
from longtail.text import first_few, printable, quantity


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Args:
        summary: the results.
        name: by which the run folder keeps them, as in `RunDir.read_summary(split=name)`.
        title: the images, in words.
        notes: what a person should know of them, in lines.
    """

    summary: Summary
    name: str
    title: str
    notes: tuple[str, ...]


def evaluate(
    run: RunDir,
    data: Path,
    *,
    part: Part | None = None,
    device: torch.device,
    progress: Callable[[int, int | None], None] | None = None,
) -> Measured:
    """Measure a finished run on images of your own, and write what comes out into its folder, beside its own results.

    Classes are matched by their names. The data may have any of them; one that it lacks is not measured.
    Images are prepared as for `predict`; those that cannot be read are left out, and told.

    Args:
        run: a finished run, of any data.
        data: a folder, a manifest or parquet, as training takes it.
        part: "test", "validation" or "train", where the data is divided so; `None`: its test part, else its validation
            part, else all of it.
        device: that predicts.
        progress: is told how many images of how many are done.
    Raises: ValueError if the run has not finished, the data cannot be read or is what the run was trained with, it has
        no such part, or a class that the run does not know.
    """
    model = predict.load(run.path, device=device)
    listing = _read(run, data)
    source = listing.source
    part = part or _preferred(listing)
    chosen = _chosen(listing, part, data)
    labels = _matched(source.class_names, source.labels[chosen], model.class_names, data=data, run=run)
    assert source.encoded
    encoded, positions = source.encoded, [int(i) for i in chosen]
    queries = Queries((Query(source.ids[i], encoded(i)) for i in positions), len(positions))
    logits, reasons = list[np.ndarray](), dict[int, str]()
    first = 0
    for scored in predict.score(model, queries, progress=progress):
        logits.append(scored.logits)
        reasons |= {first + row: reason for row, reason in scored.reasons.items()}
        first += len(scored.names)
    known = np.setdiff1d(np.arange(len(chosen)), [*reasons])
    lost = [f"{printable(source.ids[positions[row]])} {reason}" for row, reason in sorted(reasons.items())]
    if not len(known):
        raise ValueError(f"no image of {data} can be measured; the first: {lost[0]}")
    summary = metrics.summarise(
        every := np.concatenate(logits),
        labels[known],
        train_counts=model.train_counts,
        class_names=model.class_names,
        groups=Groups(**ModelFile.read(run.model).groups.model_dump()),
        temperature=model.temperature,
    )
    title = f"{data.resolve().name} {part or ''}".strip()
    name = _name(run, title, data)
    run.write_predictions([source.ids[int(i)] for i in chosen[known]], labels[known], every, split=name)
    run.write_summary(summary, split=name)
    run.write_card(model_card.render(run))
    notes = (f"{data} is read as {listing.form}", *listing.notes)
    if lost:
        more = f"; and {len(lost) - 3:,} more" if len(lost) > 3 else ""
        notes = (*notes, f"left out {quantity(len(lost), 'image')}: {'; '.join(lost[:3])}{more}")
    return Measured(summary, name, title, notes)


def _name(run: RunDir, title: str, data: Path) -> str:
    """A name for the results that no other data has; the same again for the same data."""
    known: dict[str, str] = read_json(run.elsewhere) if run.elsewhere.exists() else {}
    plain, place = "data-" + re.sub(r"[^\w.-]+", "-", title), str(data.resolve())
    names = (plain, *(f"{plain}-{number}" for number in range(2, len(known) + 2)))
    name = next(name for name in names if known.get(name, place) == place)
    write_json(run.elsewhere, known | {name: place})
    return name


def _read(run: RunDir, data: Path) -> Listing:
    own = recipe.load(str(run.recipe)).data
    column = own.label_column if own.name == "own" else None
    if column is not None and not detect(data, label_column=column).format.has_columns:
        column = None  # the run learnt from a table, and this is none
    listing = sources.read(data, label_column=column)
    if sources.fingerprint(listing.source) == SplitFile.read(run.split).fingerprint:
        raise ValueError(
            f"{data} holds the images that {run.path} was trained with; to measure those that were held out, leave out "
            "--data, and say with --data-root where they are now if they were moved"
        )
    return listing


def _preferred(listing: Listing) -> Part | None:
    parts: tuple[Part, ...] = ("test", "validation")
    return next((part for part in parts if listing.parts is not None and PARTS.index(part) in listing.parts), None)


def _chosen(listing: Listing, part: Part | None, data: Path) -> Int[np.ndarray, " images"]:
    """Positions of the images that are measured."""
    if part is None:
        return np.arange(len(listing.source.labels))
    there = [] if listing.parts is None else [each for i, each in enumerate(PARTS) if i in listing.parts]
    if listing.parts is None or part not in there:
        has = f"is divided into {' and '.join(there)}" if there else "is not divided"
        raise ValueError(f"split is {part}, but {data} {has}; leave out --split to measure what there is")
    return np.flatnonzero(listing.parts == PARTS.index(part))


def _matched(
    names: tuple[str, ...],
    labels: Int[np.ndarray, " images"],
    known: tuple[str, ...],
    *,
    data: Path,
    run: RunDir,
) -> Int[np.ndarray, " images"]:
    """The labels as the run numbers its classes.

    Raises: ValueError if it does not know one of them.
    """
    numbers = {name: number for number, name in enumerate(known)}
    unknown = [names[c] for c in np.unique(labels).tolist() if names[c] not in numbers]
    if unknown:
        raise ValueError(
            f"{data} has {quantity(len(unknown), 'class')} that {run.path} does not know: {first_few(unknown)}; "
            f"it knows {first_few(known)}"
        )
    return np.array([numbers.get(name, -1) for name in names])[labels]
