"""Target priors: predictions for images whose class distribution is not the one that the model assumes."""

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from longtail.data import class_counts
from longtail.data.sources.records import clean
from longtail.data.sources.tables import KINDS, read_table
from longtail.inference import label_shift
from longtail.inference.label_shift import Estimate, Prior
from longtail.inference.model import Model
from longtail.inference.predict import PredictedBatch
from longtail.runtime.files import write_text
from longtail.text import first_few, join_or, one_line, printable, quantity, yaml_value

WORDS = ("train", "uniform", "estimate")


class Shifted(NamedTuple):
    """Predictions under the target prior.

    Args:
        found: the predictions.
        estimate: that distribution, if it was estimated from the images.
    """

    found: Iterable[PredictedBatch]
    estimate: Estimate | None


def shift(model: Model, found: Iterator[PredictedBatch], prior: str | None) -> Shifted:
    """Correct predictions for the class distribution that is to be expected.

    Args:
        model: that predicted.
        found: its predictions. They are asked for one by one, unless the distribution is estimated: that needs all of
            them at once, 8 bytes for each image and class.
        prior: "train": that of the training images; "uniform": all classes equally frequent; "estimate": that of the
            images themselves (see `label_shift.estimate`); or a file, see `read`. `None` corrects nothing.
    Returns: the predictions; without an estimate if there is no image to estimate from.
    Raises: ValueError, before anything is predicted, if the run does not say what its probabilities assume, or the
        file is wrong.
    """
    if prior is None:
        return Shifted(found, None)
    if model.assumed is None:
        raise ValueError(
            f"prior is {prior}, but model.json of this run does not say which class distribution its probabilities "
            "assume, since it was trained with an earlier version; train it again, or leave --prior out"
        )
    if prior == "estimate":
        return _estimated([*found], model.assumed)
    wanted = _wanted(model, prior, model.assumed)
    return Shifted(_adjusted(found, model.assumed, wanted), None)


def _estimated(found: Sequence[PredictedBatch], assumed: Prior) -> Shifted:
    some = [each.probabilities for each in found if len(each.probabilities)]
    if not some:
        return Shifted(found, None)
    every = np.concatenate(some)
    estimate = label_shift.estimate(every, assumed=assumed)
    return Shifted(_adjusted(found, assumed, estimate.prior), estimate)


def _adjusted(found: Iterable[PredictedBatch], assumed: Prior, wanted: Prior) -> Iterator[PredictedBatch]:
    for each in found:
        yield each._replace(probabilities=label_shift.adjust(each.probabilities, assumed=assumed, wanted=wanted))


def _wanted(model: Model, prior: str, assumed: Prior) -> Prior:
    match prior:
        case "train":
            return class_counts.priors(model.train_counts)
        case "uniform":
            return class_counts.priors((assumed > 0).astype(np.int64))
    wanted = read(Path(prior).expanduser(), model.class_names)
    unseen = np.flatnonzero((wanted > 0) & (assumed == 0)).tolist()
    if unseen:
        raise ValueError(
            f"{prior} gives a share to {first_few([model.class_names[c] for c in unseen])}, of which the model has "
            "seen no image; give 0"
        )
    return wanted


def read(file: Path, class_names: Sequence[str]) -> Prior:
    """Read a class distribution: a table of two columns, class and share or count, or JSON `{"class": share, ...}`.

    Args:
        file: its ending says what it is; the first line of a CSV file may name the columns, or not.
        class_names: C names, each of which must be there once.
    Returns: `(C,)`, sums to 1.
    Raises: ValueError if the file is not there or damaged, a class is unknown, missing or there twice, or a share is
        negative or no number.
    """
    kinds = (*KINDS, ".json")
    if not file.is_file() or file.suffix.lower() not in kinds:
        fault = "is a folder" if file.is_dir() else f"ends in {file.suffix!r}" if file.is_file() else "does not exist"
        raise ValueError(
            f"prior is {str(file)!r}, which {fault}; allowed: {', '.join(WORDS)}, or a file of classes and shares that "
            f"ends in {join_or(kinds)}"
        )
    pairs = _from_json(file) if file.suffix.lower() == ".json" else _from_table(file)
    shares: dict[str, float] = {}
    for name, text in ((clean(name), text) for name, text in pairs):
        if name not in class_names:
            near = difflib.get_close_matches(name, class_names, n=1)
            hint = f"; did you mean {printable(near[0])}?" if near else f"; it has {first_few(class_names)}"
            raise ValueError(f"{file} names {printable(name)!r}, which is no class of the model{hint}")
        if name in shares:
            raise ValueError(f"{file} has class {printable(name)} twice; each must be there once")
        share = _number(text)
        if share is None or not (math.isfinite(share) and share >= 0):
            raise ValueError(f"{file}: the share of {printable(name)} is {text!r}; allowed: a number of at least 0")
        shares[name] = share
    missing = [name for name in class_names if name not in shares]
    if missing:
        raise ValueError(
            f"{file} lacks {quantity(len(missing), 'class')}: {first_few(missing)}; give 0 to one that does not occur"
        )
    given = np.array([shares[name] for name in class_names])
    if not given.any():
        raise ValueError(f"{file} gives 0 to every class; at least one must occur")
    given /= given.max()  # so that the sum is finite
    return given / given.sum()


def write(file: Path, class_names: Sequence[str], prior: Prior) -> None:
    """Write a class distribution so that `read` can read it."""
    shares = dict(zip(class_names, prior.tolist(), strict=True))
    write_text(file, json.dumps(shares, indent=1, ensure_ascii=False) + "\n")


def _from_json(file: Path) -> list[tuple[str, str]]:
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {one_line(error)}") from error
    if not isinstance(content, _Pairs):
        example = '{"cat": 0.9, "dog": 0.1}'
        raise ValueError(f"{file} does not map classes to shares, as in {example}")
    return [(name, value if isinstance(value, str) else yaml_value(value)) for name, value in content]


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with all its names: a dictionary would forget those that are there twice."""


def _from_table(file: Path) -> list[tuple[str, str]]:
    table = read_table(file)
    if len(table.names) != 2:
        raise ValueError(
            f"{file} has {quantity(len(table.names), 'column')}; needed are 2: the class, and its share or count"
        )
    classes, shares = (table.column(name).to_pylist() for name in table.names)
    # The first line is no row if it names the columns.
    first = [table.names] if _number(table.names[1]) is not None else []
    return [*first, *((name or "", share or "") for name, share in zip(classes, shares, strict=True))]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def describe(model: Model, estimate: Estimate, *, images: int) -> tuple[str, ...]:
    """What was estimated, in lines: what changes most, which classes seem not to occur, and how far to trust it.

    Args:
        model: that predicted.
        estimate: of the class distribution.
        images: from which it was estimated.
    """
    assert model.assumed is not None
    assumed = model.assumed / model.assumed.sum()
    order = np.argsort(-np.abs(estimate.prior - assumed), kind="stable")[:5].tolist()
    changed = [f"{printable(model.class_names[c])} {assumed[c]:.1%} -> {estimate.prior[c]:.1%}" for c in order]
    lines = [f"class distribution estimated from {quantity(images, 'image')}; largest changes: {', '.join(changed)}"]
    absent = np.flatnonzero((estimate.prior * images < 0.5) & (assumed > 0)).tolist()
    if absent:
        verbs = ("seems", "is") if len(absent) == 1 else ("seem", "are")
        lines.append(
            f"{quantity(len(absent), 'class')} {verbs[0]} not to occur, and {verbs[1]} hardly predicted any more: "
            f"{first_few([model.class_names[c] for c in absent])}"
        )
    if estimate.gap > 1e-6:
        lines.append(
            f"the estimate was still changing after {estimate.rounds:,} rounds: the model can hardly tell some of the "
            "classes apart"
        )
    lines.append(
        "the estimate is as good as the model's probabilities (see ECE in its results): a model that is too sure of "
        "itself changes shares too little, one that is not sure enough far too much, and what it never recognises is "
        "not found"
    )
    return tuple(lines)
