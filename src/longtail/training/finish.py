"""The end of a training: what makes a run folder a finished run."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from lightning_fabric import Fabric

import longtail
from longtail import methods
from longtail.data.crops import resized_side
from longtail.inference import evaluate
from longtail.metrics import Summary
from longtail.recipe import Recipe
from longtail.runs import custom_data
from longtail.runs.datamodule import Task
from longtail.runs.folder import RunDir
from longtail.runs.records import ModelFile, Preprocessing
from longtail.training.state import TrainState


def finish(
    fabric: Fabric,
    run: RunDir,
    settings: Recipe,
    task: Task,
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
        task: the data.
        state: trained.
        logits: of the images that are evaluated.
        message: writes a line to the user.
    Returns: results, with intervals and with the temperature that was fitted on validation images.
    """
    place = {"device": fabric.device, "rank": fabric.global_rank, "world": fabric.world_size}
    temperature = evaluate.temperature(state.classifier, task, settings, logits, **place)
    summary = evaluate.summarise(task, settings, logits, temperature=temperature)
    if fabric.global_rank == 0:
        run.write_weights(state.classifier.state_dict())
        model_file(settings, task, state.method, temperature).write(run.model)
        evaluate.save(run, task, logits, summary)
        # A run is finished without its pictures: drawing them must not cost what was learned.
        with run.optional(run.gallery(), message, command="evaluate"):
            evaluate.show(run, task, settings, state.classifier, logits, device=fabric.device)
    fabric.barrier()
    return summary


def model_file(settings: Recipe, task: Task, method: methods.Method, temperature: float | None) -> ModelFile:
    """All that somebody needs beside the weights to use the model."""
    size, augment = settings.data.image_size, settings.augment
    return ModelFile(
        longtail=longtail.__version__,
        recipe=settings.name,
        network=settings.network,
        head=settings.head,
        class_names=task.class_names,
        train_counts=task.counts.tolist(),
        prior=method.assumed_prior(task.counts).tolist(),
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
