"""The model of a run: its network, and all that is needed beside to predict and to evaluate."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from longtail import recipe
from longtail.data.class_counts import Counts, Groups
from longtail.inference.label_shift import Prior
from longtail.inference.preprocessing import Normalisation, Preprocessing
from longtail.networks import ImageClassifier
from longtail.recipe import build
from longtail.runs.datamodule import DataModule
from longtail.runs.folder import RunDir
from longtail.runs.records import ModelFile


@dataclass(frozen=True)
class Model:
    """A network, and all that is needed beside to predict and to evaluate with it.

    Args:
        network: normalised images to logits, on the device that predicts.
        preprocessing: of images.
        class_names: C names.
        train_counts: `(C,)` training images per class.
        assumed: `(C,)`, the class distribution that its probabilities assume; `None` if an old run does not say.
        groups: bounds of many-, medium- and few-shot classes.
        temperature: by which logits are divided, so that probabilities mean what they say; `None`: none was fitted.
    """

    network: ImageClassifier
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    train_counts: Counts
    assumed: Prior | None = None
    groups: Groups = field(default_factory=Groups)
    temperature: float | None = None


def in_training(settings: recipe.Recipe, data: DataModule, network: ImageClassifier) -> Model:
    """The model of a training that has not ended: whatever its network learns later, it predicts with.

    Args:
        settings: of the training.
        data: of the training.
        network: that is trained, or its moving average.
    """
    return Model(network, Preprocessing.of(settings), data.class_names, data.counts, groups=build.groups(settings))


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
    pixels = written.preprocessing
    return Model(
        _network(run, written, device),
        Preprocessing(Normalisation(pixels.mean, pixels.std), pixels.shrink_shorter_side, pixels.centre_crop),
        written.class_names,
        np.array(written.train_counts, np.int64),
        None if written.prior is None else np.array(written.prior, np.float64),
        Groups(written.groups.many, written.groups.few),
        written.temperature,
    )


def _network(run: RunDir, written: ModelFile, device: torch.device) -> ImageClassifier:
    """The network with its weights, in their precision."""
    weights = run.read_weights()
    network = build.classifier(written.network, written.head, classes=len(written.class_names), fetch=False)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{run.weights} does not fit the network of {run.path}; was one of them changed?") from error
    network.to(device, next(weight.dtype for weight in weights.values() if weight.is_floating_point()))
    return network.to(memory_format=cast(Any, torch.channels_last))
