"""What all groups of settings share: they are strict, and their values have bounds."""

import os
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from longtail.text import parse_duration


def _absolute(path: str) -> str:
    """A run must find its files from wherever it is resumed; and shells leave `--set data.path=~/birds` as it is."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  (pathlib's raises if there is no such user)


def _seconds(given: object) -> object:
    return parse_duration(given) if isinstance(given, str) else given


Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
# A number of seconds, or text such as 15m.
Duration = Annotated[Positive, BeforeValidator(_seconds, json_schema_input_type=Positive | str)]
Share = Annotated[float, Field(ge=0, lt=1)]
Text = Annotated[str, Field(min_length=1)]
# The path of a file or folder; relative ones start in the current folder.
Place = Annotated[Text, AfterValidator(_absolute)]
# YAML knows lists, not tuples; what is in them is as strict as everything else.
Listed = Strict(strict=False)
Colour = Annotated[tuple[Fraction, Fraction, Fraction], Listed]


class Settings(BaseModel):
    """A group of settings: unknown names are errors, types are not bent, and values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
