"""The run folder: its paths, its lock, and its files that are not JSON, written whole (JSON: `runs.records`)."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save
from torch import Tensor

from longtail.metrics import Summary
from longtail.runs.examples import Gallery
from longtail.runs.records import SplitFile, read_json, write_json
from longtail.runtime import files
from longtail.text import one_line


@dataclass(frozen=True)
class Predictions:
    """Predictions of a network for the images that it was evaluated on.

    Args:
        ids: N names.
        labels: `(N,)` true classes.
        predicted: `(N,)` classes with the highest logits.
        logits: `(N, C)`, float32.
    """

    ids: Sequence[str]
    labels: Int[np.ndarray, " images"]
    predicted: Int[np.ndarray, " images"]
    logits: Float[np.ndarray, "images classes"]


@dataclass(frozen=True)
class RunDir:
    """A folder that holds one training: how it was set up, how it went, and what came out.

    `open` takes one that is there; `check_free` and `make` prepare a new one.
    """

    path: Path

    def check_free(self) -> None:
        """See that a new run may be put here.

        Raises: ValueError if the folder already holds a run.
        """
        if self.recipe.exists():
            raise ValueError(
                f"{self.path} already holds a run; continue it with longtail resume {self.path}, "
                "or choose another --out"
            )

    def make(self) -> None:
        """Make the folder.

        Raises: ValueError if that cannot be done, or `check_free` would.
        """
        self.check_free()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{self.path} cannot be made a run folder: {error.strerror}") from error

    @classmethod
    def open(cls, path: Path) -> "RunDir":
        """Take a folder that holds a run.

        Raises: ValueError if it holds none.
        """
        run = cls(path)
        if not run.recipe.is_file():
            raise ValueError(f"{path} holds no run: {run.recipe.name} is not there")
        return run

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def split(self) -> Path:
        return self.path / "split.json"

    @property
    def quarantine(self) -> Path:
        return self.path / "quarantine.csv"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "last.ckpt"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def model(self) -> Path:
        return self.path / "model.json"

    @property
    def elsewhere(self) -> Path:
        return self.path / "elsewhere.json"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def predictions(self, split: str | None = None) -> Path:
        """Predictions of the run's own split (`None`), or of another."""
        return self.path / (f"predictions-{split}.parquet" if split else "predictions.parquet")

    def summary(self, split: str | None = None) -> Path:
        """Results on the run's own split (`None`), or on another."""
        return self.path / (f"summary-{split}.json" if split else "summary.json")

    @property
    def card(self) -> Path:
        return self.path / "MODEL_CARD.md"

    def others(self) -> list[str]:
        """What else the run was evaluated on than its own split: names for `read_summary` and the like, sorted."""
        files = self.path.glob("summary-*.json")
        return sorted(file.name.removeprefix("summary-").removesuffix(".json") for file in files)

    def write_card(self, text: str) -> None:
        """Write the model card."""
        files.write_text(self.card, text)

    def gallery(self, split: str | None = None) -> Path:
        """Pictures and features of some images of the run's own split (`None`), or of another."""
        return self.path / (f"gallery-{split}.parquet" if split else "gallery.parquet")

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def write_recipe(self, text: str) -> None:
        """Write the recipe: from now on the folder holds a run."""
        files.write_text(self.recipe, text)

    def forget(self) -> None:
        """Hold no run any more: for one that ended before anything was learned."""
        self.recipe.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run. The lock ends with the process, however that ends.

        Raises: ValueError if another process trains it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(files.locked(self.path / ".lock"))
            except BlockingIOError as error:
                raise ValueError(f"{self.path} is being trained by another process; wait until it has ended") from error
            yield

    @contextmanager
    def optional(self, file: Path, message: Callable[[str], object], *, command: str) -> Iterator[None]:
        """Write a file that a finished run can do without: if that fails, a line says how to get it.

        Args:
            file: that is written in the block.
            message: writes a line to the user.
            command: that writes it again.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001  (libraries that draw maps and thumbnails raise what they like)
            message(f"{file} was not written: {one_line(error)}; try longtail {command} {self.path}")

    def write_split(self, record: SplitFile, quarantine: Sequence[tuple[str, str, str]]) -> None:
        """Write which images train, validate and test, and the name, class and reason of each unreadable one."""
        record.write(self.split)
        if quarantine:
            with files.replacing(self.quarantine) as new, new.open("w", encoding="utf-8", newline="") as text:
                csv.writer(text, lineterminator="\n").writerows([("id", "class", "reason"), *quarantine])

    def measured(self) -> str:
        """The split that the run is evaluated on: "test" or "validation".

        Raises: ValueError if the record of its images is missing or damaged.
        """
        return SplitFile.read(self.split).split

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Write the state of a training: tensors, numbers, texts, and lists and dictionaries of them."""
        with files.replacing(self.checkpoint) as file:
            torch.save(state, file)

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Read the last saved state onto the CPU; `None` if nothing was saved yet.

        Raises: ValueError if the file is damaged.
        """
        if not self.checkpoint.exists():
            return None
        try:
            return torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever zip, pickle or its own reader raise
            raise ValueError(f"{self.checkpoint} is damaged: {error}") from error

    def write_weights(self, weights: dict[str, Tensor]) -> None:
        """Write the weights of the network that predicts."""
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        with files.replacing(self.weights) as file:
            file.write_bytes(save(contiguous))

    def read_weights(self) -> dict[str, Tensor]:
        """Read the weights of the network that predicts.

        Raises: ValueError if they are missing or damaged.
        """
        if not self.weights.exists():
            raise ValueError(f"{self.weights} is not there; the run has not finished: longtail resume {self.path}")
        try:
            return load_file(self.weights)
        except Exception as error:  # safetensors has its own exception class per fault
            raise ValueError(f"{self.weights} is damaged: {error}") from error

    def write_predictions(
        self,
        ids: Sequence[str],
        labels: Int[np.ndarray, " images"],
        logits: Float[np.ndarray, "images classes"],
        *,
        split: str | None = None,
    ) -> None:
        """Write one row per image: `id`, `label`, `predicted`, and its `logits`."""
        values = pyarrow.array(np.ascontiguousarray(logits, dtype=np.float32).ravel())
        table = pyarrow.table(
            {
                "id": pyarrow.array(list(ids), pyarrow.string()),
                "label": labels,
                "predicted": logits.argmax(1),
                "logits": pyarrow.FixedSizeListArray.from_arrays(values, logits.shape[1]),
            }
        )
        with files.replacing(self.predictions(split)) as file:
            pyarrow.parquet.write_table(table, file)

    def read_predictions(self, *, split: str | None = None) -> "Predictions":
        """Read the predictions.

        Raises: ValueError if they are missing or damaged.
        """
        table = _read_table(self.predictions(split))
        logits = table["logits"].combine_chunks()
        labels, predicted = (table[name].to_numpy().astype(np.int64) for name in ("label", "predicted"))
        values = logits.flatten().to_numpy()
        return Predictions(table["id"].to_pylist(), labels, predicted, values.reshape(len(labels), -1))

    def write_gallery(self, gallery: Gallery, *, split: str | None = None) -> None:
        """Write one row per image: the `row` of its prediction, a small `picture`, and its `features`."""
        values = pyarrow.array(np.ascontiguousarray(gallery.features).ravel(), pyarrow.float16())
        table = pyarrow.table(
            {
                "row": pyarrow.array(gallery.rows, pyarrow.int64()),
                "picture": pyarrow.array(gallery.pictures, pyarrow.binary()),
                "features": pyarrow.FixedSizeListArray.from_arrays(values, gallery.features.shape[1]),
            }
        )
        with files.replacing(self.gallery(split)) as file:
            pyarrow.parquet.write_table(table, file)

    def read_gallery(self, *, split: str | None = None) -> Gallery | None:
        """Read pictures and features; `None` for a run that kept none.

        Raises: ValueError if the file is damaged.
        """
        if not self.gallery(split).exists():
            return None
        table = _read_table(self.gallery(split))
        rows = table["row"].to_pylist()
        features = table["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return Gallery(rows, table["picture"].to_pylist(), features.reshape(len(rows), -1))

    def read_quarantine(self) -> list[tuple[str, str, str]]:
        """Name, class and reason of each image of own data that cannot be read."""
        if not self.quarantine.exists():
            return []
        with self.quarantine.open(encoding="utf-8", newline="") as text:
            return [(row[0], row[1], row[2]) for row in csv.reader(text)][1:]

    def write_report(self, page: str) -> None:
        """Write the page about the run."""
        files.write_text(self.report, page)

    def write_summary(self, summary: Summary, *, split: str | None = None) -> None:
        """Write the results."""
        write_json(self.summary(split), summary.to_dict())

    def read_summary(self, *, split: str | None = None) -> Summary:
        """Read the results.

        Raises: ValueError if they are missing, damaged or of another version.
        """
        file = self.summary(split)
        try:
            return Summary.from_dict(read_json(file))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{file} is damaged: {error!r}") from error
        except ValueError as error:
            if not str(error).startswith(str(file)):
                error = ValueError(f"{file}: {error}; measure again with longtail evaluate, or remove it")
            raise error from None

    def log(self, record: dict[str, Any]) -> None:
        """Add one line to the log."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def read_log(self) -> Iterator[dict[str, Any]]:
        """The lines of the log; a last line that was cut off when the process was killed is left out."""
        if not self.metrics.exists():
            return
        with self.metrics.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def rewind_log(self, step: int) -> None:
        """Forget lines of the log after a step: a resumed training writes them again."""
        kept = "".join(json.dumps(record) + "\n" for record in self.read_log() if record["step"] <= step)
        files.write_text(self.metrics, kept)


def unused(path: Path) -> Path:
    """The path itself, or the first of `path-2`, `path-3` and so on, that does not exist yet.

    >>> unused(Path("no-such-folder"))
    PosixPath('no-such-folder')
    """
    numbered = (path if n == 1 else path.with_name(f"{path.name}-{n}") for n in count(1))
    return next(each for each in numbered if not each.exists())


def _read_table(file: Path) -> pyarrow.Table:
    try:
        return pyarrow.parquet.read_table(file)
    except FileNotFoundError as error:
        raise ValueError(f"{file} is not there; has the run finished?") from error
    except pyarrow.ArrowException as error:
        raise ValueError(f"{file} is damaged: {error}") from error
