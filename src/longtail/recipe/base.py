"""What all groups of settings share: they are strict, and their values have bounds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
# YAML knows lists, not tuples; what is in them is as strict as everything else.
Listed = Strict(strict=False)
Colour = Annotated[tuple[Fraction, Fraction, Fraction], Listed]


class Settings(BaseModel):
    """A group of settings: unknown names are errors, types are not bent, and values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
