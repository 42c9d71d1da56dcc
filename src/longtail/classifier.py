"""Classifiers: images of your own, training and prediction in three steps of Python."""

import sys
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path

from longtail import report
from longtail.data.source import Part
from longtail.inference import evaluate, inputs, output, predict, target_prior
from longtail.inference import model as models
from longtail.inference.output import Prediction
from longtail.metrics import Summary
from longtail.planning import preflight
from longtail.recipe import Recipe
from longtail.recipe import load as load_recipe
from longtail.report import model_card
from longtail.runs import folder as run_folder
from longtail.runs.custom_data import Listed
from longtail.runs.folder import RunDir
from longtail.runtime import hardware
from longtail.training import train

Paths = str | PathLike[str] | Iterable[str | PathLike[str]]


class Classifier:
    """A classifier of images: its settings, and once it is trained its run folder.

    Everything it does is a command too: `longtail train`, `evaluate` and `predict` take and make the same folders.

    Args:
        settings: of the training.
        reasons: why these settings, in lines.
        run: the folder of a finished training; `None`: it is to be trained.
        listed: custom data as it was read for these settings; `None`: training reads it.

    >>> classifier = Classifier.from_folder("photos").fit()  # doctest: +SKIP
    >>> for each in classifier.predict(["new/1.jpg", "new/2.jpg"]):  # doctest: +SKIP
    ...     print(each.path, each.predicted, each.confidence)
    """

    def __init__(
        self,
        settings: Recipe,
        *,
        reasons: tuple[str, ...] = (),
        run: Path | None = None,
        listed: Listed | None = None,
    ) -> None:
        self.settings, self.reasons, self.run, self._listed = settings, reasons, run, listed

    @classmethod
    def from_folder(
        cls,
        path: str | PathLike[str],
        settings: Mapping[str, object] | None = None,
        *,
        recipe: str | None = None,
    ) -> "Classifier":
        """Prepare a training on images of your own; what is chosen for them is in `reasons`.

        Args:
            path: a folder with a folder for each class, a manifest, parquet with images in it: see `sources.read`.
            settings: what you decide, by the names of a recipe, such as `{"epochs": 20, "data.test_share": 0.3}`.
            recipe: to start from; `None`: one that suits the images.
        Raises: ValueError or FileNotFoundError if the data cannot be read, or a setting is wrong.
        """
        plan = preflight.prepare(Path(path), settings or {}, template=recipe)
        return cls(plan.settings, reasons=plan.reasons, listed=plan.listed)

    @classmethod
    def load(cls, run: str | PathLike[str]) -> "Classifier":
        """Take one that was trained before.

        Args:
            run: its run folder.
        Raises: ValueError if the folder holds no finished run.
        """
        opened = RunDir.open(Path(run))
        opened.read_summary()
        return cls(load_recipe(str(opened.recipe)), run=opened.path)

    def fit(self, out: str | PathLike[str] | None = None, *, device: str = "auto") -> "Classifier":
        """Train it.

        Args:
            out: the run folder; `None`: `runs/NAME/seed-N`, with a number if that exists.
            device: see `hardware.runtime`.
        Returns: itself.
        Raises: as `train.train`.
        """
        usual = Path("runs") / self.settings.name / f"seed-{self.settings.seed}"
        folder = run_folder.unused(usual) if out is None else Path(out)
        train.train(self.settings, folder, advice=self.reasons, data=self._listed, device=device)
        report.write_pages(RunDir(folder), lambda line: sys.stderr.write(f"{line}\n"))
        self.run = folder
        return self

    def evaluate(self, split: Part | None = None, *, device: str = "auto") -> Summary:
        """Measure it.

        Args:
            split: "test", "validation" or "train"; `None`: that on which its training was measured.
            device: see `hardware.runtime`.
        Raises: ValueError if it is not trained, or there is no such split.
        """
        run = RunDir(self._trained())
        if split in (None, run.measured()):
            return run.read_summary()
        summary = evaluate.evaluate(run, split=split, device=hardware.runtime(device=device).device)
        run.write_card(model_card.render(run))
        return summary

    def predict(
        self, paths: Paths, *, top: int = 5, prior: str | None = None, device: str = "auto"
    ) -> list[Prediction]:
        """Predict the classes of images.

        Args:
            paths: of images, folders, or files that list images: see `inputs.read`.
            top: classes to name for each, at least 1.
            prior: how frequent classes are among these images; see `target_prior.shift`.
            device: see `hardware.runtime`.
        Returns: one for each image, in order; that of an image that cannot be read says why.
        Raises: ValueError if it is not trained, or a path lists no images.
        """
        several = [paths] if isinstance(paths, (str, PathLike)) else paths
        model = models.load(self._trained(), device=hardware.runtime(device=device).device)
        asked = inputs.read([fspath(path) for path in several])
        shifted = target_prior.shift(model, predict.predict(model, asked), prior)
        return [*output.predictions(shifted.found, model.class_names, top=top)]

    def _trained(self) -> Path:
        if self.run is None:
            raise ValueError("this classifier is not trained yet; call fit first, or load a run folder")
        return self.run
