"""Prediction: a finished run and images in any state in, class probabilities or a reason for each image out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from longtail import recipe
from longtail.data.class_counts import Counts
from longtail.data.crops import centre_crop, shrunk
from longtail.data.decode import UnreadableError, decode
from longtail.data.loader import by_workers
from longtail.data.source import Pixels
from longtail.data.worker_pool import cores
from longtail.inference import evaluate
from longtail.inference.inputs import Queries, Query
from longtail.inference.label_shift import Prior
from longtail.networks import ImageClassifier
from longtail.runs.folder import RunDir
from longtail.runs.records import ModelFile
from longtail.text import one_line

# That go through the network at once where images keep their sizes: some may be photographs.
_PIXELS = 4_000_000


@dataclass(frozen=True)
class Model:
    """What a finished run keeps to predict with.

    Args:
        network: normalised images to logits, on the device.
        class_names: C names.
        train_counts: `(C,)` training images per class.
        assumed: `(C,)`, the class distribution that its probabilities assume; `None` if an old run does not say.
        colours: how images are normalised.
        shrunk_side: shorter side to which larger images are shrunk before all else; `None`: they are not.
        size: side of the square that is cut out of the centre; `None`: images stay as they are.
        device: that predicts.
        temperature: by which logits are divided, so that probabilities mean what they say; `None`: none was fitted.
    """

    network: ImageClassifier
    class_names: tuple[str, ...]
    train_counts: Counts
    assumed: Prior | None
    colours: recipe.Augment
    shrunk_side: int | None
    size: int | None
    device: torch.device
    temperature: float | None = None


class ScoredBatch(NamedTuple):
    """What the network said of some images, in their order.

    Args:
        names: of all n.
        logits: `(m, C)`, of those that could be predicted.
        reasons: why not, of the others, by their position.
    """

    names: Sequence[str]
    logits: Float[np.ndarray, "predicted classes"]
    reasons: Mapping[int, str]


class PredictedBatch(NamedTuple):
    """What came of some images, in their order.

    Args:
        names: of all n.
        probabilities: `(m, C)`, of those that could be predicted.
        reasons: why not, of the others, by their position.
    """

    names: Sequence[str]
    probabilities: Float[np.ndarray, "predicted classes"]
    reasons: Mapping[int, str]


def load(path: Path, *, device: torch.device) -> Model:
    """Read the model of a finished run: `model.json` and `model.safetensors` are all that is needed of its folder.

    Args:
        path: the folder.
        device: that will predict.
    Raises: ValueError if there is no model, or it is damaged.
    """
    run = RunDir(path)
    if not run.model.is_file():
        advice = f"; finish the training first: longtail resume {path}" if run.recipe.is_file() else ""
        raise ValueError(f"{path} holds no trained model: {run.model.name} is not there{advice}")
    written = ModelFile.read(run.model)
    pixels, names = written.preprocessing, written.class_names
    weights = run.read_weights()
    return Model(
        evaluate.trained(run, written.network, written.head, weights, classes=len(names), device=device),
        names,
        np.array(written.train_counts, np.int64),
        None if written.prior is None else np.array(written.prior, np.float64),
        recipe.Augment(mean=pixels.mean, std=pixels.std),
        pixels.shrink_shorter_side,
        pixels.centre_crop,
        device,
        written.temperature,
    )


def predict(
    model: Model,
    queries: Queries,
    *,
    batch: int = 64,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[PredictedBatch]:
    """Predict images, in the order in which they are asked about. Memory does not grow with their number.

    An image is prepared exactly as those on which the run was measured. Where these were taken as they are, images may
    differ in size, also from those that were trained on.

    Args:
        model: of `load`.
        queries: the images.
        batch: images that are decoded, and go through the network, together; at least 1.
        workers: processes that decode; 0: this one; `None`: one for each core if there are many images.
        progress: is told how many images are done, and of how many, if that is known.
    Yields: a batch at a time; an image that cannot be read, or that the network cannot take, has a reason instead of
        probabilities.
    """
    for scored in score(model, queries, batch=batch, workers=workers, progress=progress):
        yield PredictedBatch(scored.names, _probabilities(model, scored.logits), scored.reasons)


def score(
    model: Model,
    queries: Queries,
    *,
    batch: int = 64,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[ScoredBatch]:
    """Logits of images, without the model's temperature; everything else as in `predict`.

    Args:
        model: see `predict`.
        queries: see `predict`.
        batch: see `predict`.
        workers: see `predict`.
        progress: see `predict`.
    Yields: a batch at a time.
    """
    if workers is None:
        workers = 0 if queries.total is not None and queries.total <= 2 * batch else cores()
    done, each = 0, iter(queries)
    chunks = iter(lambda: list(islice(each, batch)), [])
    for decoded in by_workers(partial(_decode, model.shrunk_side, model.size), chunks, workers=workers):
        yield _scored(model, decoded)
        done += len(decoded.names)
        if progress:
            progress(done, queries.total)


class _Decoded(NamedTuple):
    """A batch of images: those of one size together, with their positions; and why the others are not there."""

    names: list[str]
    # Arrays, not tensors: those would keep a file descriptor each while they wait to be used.
    images: list[tuple[list[int], UInt8[np.ndarray, "some h w 3"]]]
    reasons: dict[int, str]


def _decode(shrunk_side: int | None, size: int | None, queries: Sequence[Query]) -> _Decoded:
    by_size: dict[tuple[int, ...], tuple[list[int], list[Pixels]]] = {}
    reasons = dict[int, str]()
    for position, query in enumerate(queries):
        try:
            pixels = centre_crop(shrunk(decode(query.encoded, query.name), shrunk_side), size)
        except UnreadableError as error:
            reasons[position] = error.reason
            continue
        positions, images = by_size.setdefault(pixels.shape, ([], []))
        positions.append(position)
        images.append(pixels)
    stacked = [(positions, np.stack(images)) for positions, images in by_size.values()]
    return _Decoded([query.name for query in queries], stacked, reasons)


def _scored(model: Model, decoded: _Decoded) -> ScoredBatch:
    logits = np.empty((len(decoded.names), len(model.class_names)), np.float32)
    reasons = dict(decoded.reasons)
    for positions, images in decoded.images:
        try:
            logits[positions] = _logits(model, images)
        except Exception as error:  # a network may fail in any way when an image is too small for it
            if model.size is not None:
                raise
            _, height, width, _ = images.shape
            reason = f"has {width} x {height} pixels, which the network cannot take: {one_line(error)}"
            reasons |= dict.fromkeys(positions, reason)
    known = [position for position in range(len(decoded.names)) if position not in reasons]
    return ScoredBatch(decoded.names, logits[known], reasons)


def _logits(model: Model, images: UInt8[np.ndarray, "some h w 3"]) -> Float[np.ndarray, "some classes"]:
    _, height, width, _ = images.shape
    shown = torch.from_numpy(images).permute(0, 3, 1, 2)
    at_once = len(shown) if model.size is not None else max(1, _PIXELS // (height * width))
    return evaluate.predict(model.network, shown.split(at_once), model.colours, device=model.device).cpu().numpy()


def _probabilities(model: Model, logits: Float[np.ndarray, "some classes"]) -> Float[np.ndarray, "some classes"]:
    return (torch.from_numpy(logits).double() / (model.temperature or 1.0)).softmax(1).float().numpy()
