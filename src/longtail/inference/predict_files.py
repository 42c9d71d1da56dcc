"""Predictions of files: images by their paths in, rows of predictions out."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from longtail.inference import output, predict, target_prior
from longtail.inference.inputs import Queries
from longtail.inference.output import Output, Tally
from longtail.inference.predict import Model


def predict_files(
    model: Model,
    images: Queries,
    out: Output,
    *,
    prior: str | None = None,
    batch: int = 64,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Tally:
    """Predict images, and write a row for each, in order, also for one that is broken.

    Args:
        model: of a finished run.
        images: see `inputs.read`.
        out: where to write. If it names more classes than there are, all are written.
        prior: see `target_prior.shift`.
        batch: see `predict.predict`.
        workers: see `predict.predict`.
        progress: see `predict.predict`.
    Raises: ValueError if there is no image, or as `target_prior.shift` and `output.write`; a file that was there stays.
    """
    out, tally = replace(out, top=min(out.top, len(model.class_names))), Tally()

    def rows() -> Iterable[output.Prediction]:
        # In here, so that all that can be wrong with the output is known before an estimate asks for every image.
        found = predict.predict(model, images, batch=batch, workers=workers, progress=progress)
        shifted = target_prior.shift(model, found, prior)
        tally.estimate = shifted.estimate
        yield from tally.count(output.predictions(shifted.found, model.class_names, top=out.top))
        if not tally.images:
            raise ValueError("no image was predicted; none was named")

    output.write(rows(), out, inputs=images.paths)
    return tally
