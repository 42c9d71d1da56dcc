"""Settings that are no recipe: the words need nothing but a model, its schema and its names."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from longtail.recipe import errors
from longtail.text import join_or, yaml_value


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Circle(Settings):
    kind: Literal["circle"] = "circle"
    radius: Annotated[float, Field(gt=0)] = 1.0


class Square(Settings):
    kind: Literal["square"] = "square"
    side: Annotated[int, Field(ge=1, le=2000)] = 1


class Grid(Settings):
    lines: list[int] = []
    dashed: bool = False

    @model_validator(mode="after")
    def _few(self) -> "Grid":
        if len(self.lines) > 2:
            raise ValueError("there are too many lines")
        return self


class Drawing(Settings):
    title: str
    unit: Literal["mm"] = "mm"
    # A description stands beside the reference to the block in the JSON schema.
    grid: Grid = Field(default=Grid(), description="lines behind the shape")
    shape: Annotated[Circle | Square, Field(discriminator="kind")] = Field(default=Circle(), description="the shape")
    corner: Annotated[tuple[float, float], Field(strict=False)] | None = None


NAMES = (
    *("title", "unit", "grid", "grid.lines", "grid.dashed", "corner"),
    *("shape", "shape.kind", "shape.radius", "shape.side"),
)


def words(**settings: Any) -> str:
    raw = {"title": "one", **settings}
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(raw)
    return errors.explain(caught.value, raw, schema=Drawing.model_json_schema(), names=NAMES)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"title": 3}, "title is 3; allowed: text"),
        ({"unit": "cm"}, "unit is 'cm'; allowed: mm"),
        ({"grid": None}, "grid is null; allowed: a block of settings"),
        ({"grid": {"dashed": 1}}, "grid.dashed is 1; allowed: true or false"),
        ({"grid": {"lines": 1}}, "grid.lines is 1; allowed: a list of values"),
        ({"grid": {"lines": [1, "x"]}}, "grid.lines.1 is 'x'; allowed: an integer"),
        ({"grid": {"lines": [1, 2, 3]}}, "grid: there are too many lines"),
        ({"grid": {"colour": "red"}}, "unknown setting grid.colour; allowed in grid: lines, dashed"),
        ({"corner": [1.0]}, "corner is [1.0]; allowed: a list of 2 values or null"),
        ({"shape": {}}, "setting shape.kind is missing; allowed: circle or square"),
        ({"shape": {"kind": "star"}}, "shape.kind is 'star'; allowed: circle or square"),
        ({"shape": 1}, "shape is 1; allowed: a block of settings with kind circle or square"),
        ({"shape": {"kind": "circle", "radius": 0}}, "shape.radius is 0; allowed: a number above 0"),
        ({"shape": {"kind": "circle", "radius": float("inf")}}, "shape.radius is inf; it must be finite"),
        (
            {"shape": {"kind": "square", "side": 0}},
            "shape.side is 0; allowed: an integer of at least 1 and at most 2,000",
        ),
        (
            {"shape": {"kind": "circle", "side": 1}},
            "setting shape.side does not go with shape.kind circle, only with square",
        ),
        ({"shape": {"kind": "circle", "raduis": 1}}, "unknown setting shape.raduis; did you mean shape.radius?"),
        ({"radius": 1}, "unknown setting radius; did you mean shape.radius?"),
    ],
)
def test_mistake_of_any_model_in_words(settings: dict[str, Any], said: str) -> None:
    assert words(**settings) == said


def test_first_mistake_is_told_and_each_other_named_once() -> None:
    said = words(title=3, unit="cm", titel="x", corner=["a", "b"])
    assert said == "unknown setting titel; did you mean title? (4 more mistakes: title, unit, corner.0, corner.1)"


@pytest.mark.parametrize(("values", "said"), [("a", "a"), ("ab", "a or b"), ("abc", "a, b or c")])
def test_choice(values: str, said: str) -> None:
    assert join_or([*values]) == said


def test_values_are_shown_as_yaml_has_them_and_cut_at_80_characters() -> None:
    assert [yaml_value(value) for value in (None, True, 1.5, "true")] == ["null", "true", "1.5", "'true'"]
    assert yaml_value("x" * 78) == repr("x" * 78)
    assert yaml_value("x" * 79) == f"'{'x' * 75} ..."
