"""The end of a training: what makes a run folder a finished run."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from lightning_fabric import Fabric

import longtail
from longtail import methods
from longtail.data.crops import resized_side
from longtail.inference import evaluate
from longtail.inference import model as models
from longtail.inference.evaluate import Evaluated, Loading
from longtail.metrics import Summary
from longtail.recipe import Recipe
from longtail.runs import custom_data
from longtail.runs.datamodule import DataModule
from longtail.runs.folder import RunDir
from longtail.runs.records import ModelFile, Preprocessing
from longtail.runtime.distributed import Process
from longtail.training.state import TrainState


def finish(
    fabric: Fabric,
    run: RunDir,
    settings: Recipe,
    data: DataModule,
    state: TrainState,
    logits: Float[np.ndarray, "images classes"],
    *,
    message: Callable[[str], object],
) -> Summary:
    """Write the weights, `model.json`, predictions, results and gallery of a run; every process must call it.

    Args:
        fabric: launched; the first process writes.
        run: its folder.
        settings: the recipe.
        data: of the training.
        state: trained.
        logits: of the images that are evaluated.
        message: writes a line to the user.
    Returns: results, with intervals and with the temperature that was fitted on validation images.
    """
    model = models.in_training(settings, data, state.classifier)
    temperature = evaluate.temperature(model, data, settings, logits, Process.of(fabric))
    model = replace(model, temperature=temperature)
    source, indices = data.split(data.reported)
    evaluated = Evaluated(indices, logits, {})
    summary = evaluate.summarise(model, source.labels[indices], logits, calibrated=data.reported != "validation")
    if fabric.global_rank == 0:
        run.write_weights(state.classifier.state_dict())
        model_file(settings, data, state.method, temperature).write(run.model)
        evaluate.save(run, source, evaluated, summary)
        # A run is finished without its pictures: drawing them must not cost what was learned.
        with run.optional(run.gallery(), message, command="evaluate"):
            evaluate.save_gallery(run, model, source, evaluated, loading=Loading.of(settings.data))
    fabric.barrier()
    return summary


def model_file(settings: Recipe, data: DataModule, method: methods.Method, temperature: float | None) -> ModelFile:
    """All that somebody needs beside the weights to use the model."""
    size, augment = settings.data.image_size, settings.augment
    return ModelFile(
        longtail=longtail.__version__,
        recipe=settings.name,
        network=settings.network,
        head=settings.head,
        class_names=data.class_names,
        train_counts=data.counts.tolist(),
        prior=method.assumed_prior(data.counts).tolist(),
        temperature=temperature,
        groups=settings.groups,
        preprocessing=Preprocessing(
            mean=augment.mean,
            std=augment.std,
            shrink_shorter_side=custom_data.shrunk_side(settings.data),
            resize_shorter_side=size and round(resized_side(size)),
            centre_crop=size,
        ),
    )
