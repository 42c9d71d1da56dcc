"""Records: what each JSON file of a run folder holds, written whole and checked when it is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic import model_validator as validator

from longtail.recipe import Groups, Head, Network
from longtail.recipe.fields import Colour
from longtail.runtime.files import write_text
from longtail.runtime.hardware import Precision
from longtail.text import yaml_value

_R = TypeVar("_R", bound="Record")
_Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def read_json(file: Path) -> Any:
    """Read a JSON file of a run.

    Raises: ValueError if it is missing or damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{file} is not there; has the run finished?") from error
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def write_json(file: Path, content: object) -> None:
    """Write a JSON file of a run."""
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


class Record(BaseModel):
    """A JSON file. What older versions did not write has a default; what newer ones write beside it is kept."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    @classmethod
    def read(cls: type[_R], file: Path) -> _R:  # noqa: PYI019  (beartype, which checks shapes in tests, refuses `Self`)
        """Read a file.

        Raises: ValueError if it is missing, damaged, or lacks what cannot be guessed.
        """
        try:
            return cls.model_validate(read_json(file))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where, problem = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            if where:
                missing = first["type"] == "missing"
                problem = f"{where} is missing" if missing else f"{where} is {yaml_value(first['input'])}: {problem}"
            raise ValueError(f"{file} is damaged: {problem}") from error

    def write(self, file: Path) -> None:
        """Write the file: the fields that were set, in their order."""
        write_json(file, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The fields that were set, as JSON has them."""
        return self.model_dump(mode="json", include=self.model_fields_set)


class TimeSpent(Record):
    """What became of a time budget.

    Args:
        budget: seconds that there were.
        spent: seconds that it took.
        steps: of the training.
        epochs: passes over the data.
    """

    budget: float
    spent: float
    steps: int
    epochs: float


class Environment(Record):
    """`environment.json`: where, when and with what a run was trained.

    Args:
        data_root: folder of the data, if it was named.
        device: that was asked for.
        devices: processes.
        precision: that networks were computed in; `None`: an older version did not write it.
        advice: why these settings, in lines.
        started: when, in UTC.
        resumed: when it went on.
        command: by which it was started.
        longtail: version.
        libraries: their versions.
        commit: of the source, if it is known.
        python: version.
        machine: operating system.
        processor: its kind.
        vectors: the instructions that PyTorch uses; `None`: an older version did not write it.
        cores: of the machine.
        threads: of PyTorch.
        gpu: its name.
        time: what became of the budget, if there was one.
    """

    data_root: str | None = None
    device: str = "auto"
    devices: int = 1
    precision: Precision | None = None
    advice: tuple[str, ...] = ()
    started: str = "not known"
    resumed: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    longtail: str = "not known"
    libraries: Mapping[str, str] = {}
    commit: str | None = None
    python: str = "not known"
    machine: str = "not known"
    processor: str = "not known"
    vectors: str | None = None
    cores: int | None = None
    threads: int | None = None
    gpu: str | None = None
    time: TimeSpent | None = None


class SplitFile(Record):
    """`split.json`: which images train, validate and test a run, and by what a change of the data is noticed.

    Args:
        fingerprint: of the data as it was read.
        split: the images that are evaluated.
        class_names: C names.
        counts: training images per class.
        train: positions of the training images, by class.
        validation: positions of the validation images.
        test: positions of the test images, if they are of the same source.
        unreadable: reasons why images cannot be decoded, by position.
        notes: what was understood of custom data, in lines.
    """

    fingerprint: str = ""
    split: Literal["train", "validation", "test"]
    class_names: tuple[str, ...] = ()
    counts: tuple[NonNegativeInt, ...]
    train: tuple[NonNegativeInt, ...] = ()
    validation: tuple[NonNegativeInt, ...] = ()
    test: tuple[NonNegativeInt, ...] = ()
    unreadable: Mapping[NonNegativeInt, str] = {}
    notes: tuple[str, ...] = ()


class Preprocessing(Record):
    """How images become what the network takes, in this order.

    Args:
        scale: of the bytes of an image.
        mean: that is subtracted from each channel.
        std: by which each channel is divided.
        shrink_shorter_side: to which larger images are shrunk before all else; `None`: they are not.
        resize_shorter_side: to which all images are resized; `None`: they are not.
        centre_crop: side of the square that is cut out; `None`: none is.
    """

    scale: PositiveFloat = 1 / 255
    mean: Colour
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    shrink_shorter_side: PositiveInt | None = None  # earlier versions never shrank
    resize_shorter_side: PositiveInt | None = None
    centre_crop: PositiveInt | None


class ModelFile(Record):
    """`model.json`: all that somebody needs beside the weights to use the model.

    Args:
        longtail: version.
        recipe: its name.
        network: the backbone.
        head: the classifier.
        class_names: C names.
        train_counts: `(C,)` training images per class.
        prior: `(C,)`, the class distribution that probabilities assume; `None`: earlier versions did not write it.
        temperature: by which logits are divided; `None`: none was fitted.
        groups: bounds of many-, medium- and few-shot classes.
        preprocessing: of images.
    """

    longtail: str = "not known"
    recipe: str = "not known"
    network: Network
    head: Head
    class_names: Annotated[tuple[str, ...], Field(min_length=1)]
    train_counts: tuple[NonNegativeInt, ...]
    prior: tuple[_Share, ...] | None = None
    temperature: PositiveFloat | None = None
    groups: Groups = Groups()
    preprocessing: Preprocessing

    @validator(mode="after")
    def _for_all_classes(self) -> "ModelFile":
        for name, each in (("train_counts", self.train_counts), ("prior", self.prior)):
            if each is not None and len(each) != len(self.class_names):
                raise ValueError(f"{name} is for {len(each)} classes, class_names for {len(self.class_names)}")
        return self
