"""External evaluation: a finished run on images of other data, with its classes matched by their names."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from longtail import recipe
from longtail.data import sources
from longtail.data.source import PARTS, Listing, Part, Source
from longtail.data.sources.detect import detect
from longtail.inference import evaluate as evaluation
from longtail.inference import model as models
from longtail.inference.evaluate import Loading
from longtail.metrics import Summary
from longtail.runs.folder import RunDir
from longtail.runs.records import SplitFile, read_json, write_json
from longtail.text import first_few, printable, quantity


@dataclass(frozen=True)
class ExternalResults:
    """Results on other data.

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
) -> ExternalResults:
    """Evaluate a finished run on other data, and write the results into its folder, beside its own.

    Classes are matched by their names. The data may have any of them; one that it lacks is not evaluated. Images that
    cannot be read are left out, and named in the notes.

    Args:
        run: a finished run, of any data.
        data: a folder, a manifest or parquet, as training takes it.
        part: "test", "validation" or "train", where the data is divided so; `None`: its test part, else its validation
            part, else all of it.
        device: that predicts.
        progress: is called with how many images of how many are done.
    Raises: ValueError if the run has not finished, the data cannot be read or is what the run was trained with, it has
        no such part, or a class that the run does not know.
    """
    model = models.load(run.path, device=device)
    listing = _read(run, data)
    part = part or _preferred(listing)
    indices = _of_part(listing, part, data)
    source = _matched(listing.source, indices, model.class_names, data=data, run=run)
    evaluated = evaluation.predict(model, source, indices, loading=Loading(), progress=progress)
    missing = [f"{printable(source.ids[i])} {reason}" for i, reason in evaluated.unreadable.items()]
    if not len(evaluated.indices):
        raise ValueError(f"no image of {data} can be evaluated; the first: {missing[0]}")
    summary = evaluation.summarise(model, source.labels[evaluated.indices], evaluated.logits)
    title = f"{data.resolve().name} {part or ''}".strip()
    name = _name(run, title, data)
    evaluation.save(run, source, evaluated, summary, split=name)
    notes = (f"{data} is read as {listing.form}", *listing.notes)
    if missing:
        more = f"; and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        notes = (*notes, f"left out {quantity(len(missing), 'image')}: {'; '.join(missing[:3])}{more}")
    return ExternalResults(summary, name, title, notes)


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
        column = None  # the run learned from a table, and this is none
    listing = sources.read(data, label_column=column)
    if sources.fingerprint(listing.source) == SplitFile.read(run.split).fingerprint:
        raise ValueError(
            f"{data} holds the images that {run.path} was trained with; to evaluate those that were held out, leave "
            "out --data, and say with --data-root where they are now if they were moved"
        )
    return listing


def _preferred(listing: Listing) -> Part | None:
    parts: tuple[Part, ...] = ("test", "validation")
    return next((part for part in parts if listing.parts is not None and PARTS.index(part) in listing.parts), None)


def _of_part(listing: Listing, part: Part | None, data: Path) -> Int[np.ndarray, " _"]:
    """Positions of the images that are evaluated."""
    if part is None:
        return np.arange(len(listing.source.labels))
    there = [] if listing.parts is None else [each for i, each in enumerate(PARTS) if i in listing.parts]
    if listing.parts is None or part not in there:
        has = f"is divided into {' and '.join(there)}" if there else "is not divided"
        raise ValueError(f"split is {part}, but {data} {has}; leave out --split to evaluate what there is")
    return np.flatnonzero(listing.parts == PARTS.index(part))


def _matched(
    source: Source, indices: Int[np.ndarray, " _"], known: tuple[str, ...], *, data: Path, run: RunDir
) -> Source:
    """The source with its classes numbered as the run does; -1 for those that it does not know.

    Raises: ValueError if one of the images is of such a class.
    """
    numbers = {name: number for number, name in enumerate(known)}
    present = np.unique(source.labels[indices]).tolist()
    unknown = [source.class_names[c] for c in present if source.class_names[c] not in numbers]
    if unknown:
        raise ValueError(
            f"{data} has {quantity(len(unknown), 'class')} that {run.path} does not know: {first_few(unknown)}; "
            f"it knows {first_few(known)}"
        )
    table = np.array([numbers.get(name, -1) for name in source.class_names])
    return replace(source, labels=table[source.labels], class_names=known)
