"""Finished runs without a training: folders as one leaves them behind, of any number of classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from longtail import metrics, recipe
from longtail.data import class_counts, thumbnails
from longtail.metrics import scores
from longtail.runs import examples
from longtail.runs.examples import Gallery
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment, SplitFile
from support.fake_datasets import picture


def write(
    path: Path,
    *,
    classes: int = 10,
    per_class: int = 10,
    n_max: int = 500,
    imbalance: float = 100,
    skill: float = 2.0,
    data: int = 0,
    seed: int = 0,
    names: Sequence[str] | None = None,
    pictured: bool = True,
    method: str = "hybrid-psc",
    overrides: Sequence[str] = (),
    record: dict[str, Any] | None = None,
    quarantine: Sequence[tuple[str, str, str]] = (),
) -> RunDir:
    """A run whose network knows frequent classes better than rare ones.

    Args:
        path: of the folder.
        classes: number of classes.
        per_class: test images of each.
        n_max, imbalance: of the training images.
        skill: the higher, the better the network; 0 guesses.
        data: seed of the images; those of one seed are the same.
        seed: of the run.
        names: of the classes.
        pictured: whether it kept a gallery.
        method: of the recipe.
        overrides: of its settings.
        record: changes to `split.json`.
        quarantine: images that could not be read.
    """
    run, rng = RunDir(path), np.random.default_rng([classes, seed])
    run.make()
    settings = recipe.load(f"digits-lt/{method}", recipe.parse_overrides([f"seed={seed}", "epochs=20", *overrides]))
    each = class_counts.exponential(n_max, classes, imbalance)
    names = names or [f"class {c:04}" for c in range(classes)]
    labels = np.random.default_rng([data, classes]).permutation(np.repeat(np.arange(classes), per_class))
    known = skill * (0.4 + np.log(each + 1) / np.log(n_max + 1))
    logits = rng.normal(size=(len(labels), classes)).astype(np.float32) + 0.5 * np.log(each).astype(np.float32)
    logits[np.arange(len(labels)), labels] += known[labels] * rng.normal(2, 1, len(labels))
    masks = bounds(settings).masks(each)
    summary = metrics.summarise(
        logits, labels, train_counts=each, class_names=names, groups=bounds(settings), resamples=100
    )
    split = {"fingerprint": "made up", "split": "test", "class_names": names, "counts": each.tolist()}
    run.write_split(SplitFile.model_validate(split | (record or {})), quarantine)
    Environment(data_root=None, command=("longtail", "train"), longtail="0.1.0", libraries={"torch": "2"}).write(
        run.environment
    )
    _write_log(run, summary, epochs=settings.epochs)
    run.write_predictions([f"images/{row:05}.png" for row in range(len(labels))], labels, logits)
    run.write_summary(summary)
    if pictured:
        confidences, _ = scores.confidences_and_losses(logits, logits.argmax(1))
        chosen = examples.choose(labels, logits.argmax(1), confidences, masks)
        rows = sorted({*chosen.pictured, *chosen.mapped})
        centres = np.random.default_rng(data).normal(size=(classes, 16)) * 3
        features = centres[labels[rows]] + rng.normal(size=(len(rows), 16))
        files = [thumbnails.webp(picture(int(labels[row]), seed=row), 40) for row in rows]
        run.write_gallery(Gallery(rows, files, features.astype(np.float16)))
    run.write_recipe(recipe.dump(settings))
    return run


def bounds(settings: recipe.Recipe) -> class_counts.Groups:
    return class_counts.Groups(many=settings.groups.many, few=settings.groups.few)


def _write_log(run: RunDir, summary: metrics.Summary, *, epochs: int) -> None:
    for epoch in range(epochs):
        left = 1 - epoch / epochs
        terms = {"loss": 1 + left, "contrast": 2 * left - 1, "cross_entropy": 3 * left}
        run.log(
            {"step": 2 * epoch + 2, "epoch": epoch, "lr": left / 10, **terms, "alpha": left, "seconds": 2.0 * epoch}
        )
        shares = {name: getattr(summary, name) for name in ("top1", "many", "medium", "few")}
        grown = {name: None if value is None else value * (1 - left**2) for name, value in shares.items()}
        run.log({"step": 2 * epoch + 2, "epoch": epoch, "split": "test", **grown})
