"""Errors of pydantic in one line: which setting, its value, what is allowed."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from longtail.text import join_or, yaml_value

# Where pydantic finds a mistake: names of settings, places in lists, and kinds, which it uses as tags of unions.
Location = Sequence[int | str]


def explain(error: ValidationError, raw: dict[str, Any], *, schema: dict[str, Any], names: Sequence[str]) -> str:
    """The first mistake: which setting, what it is, what is allowed; of others only the names.

    Args:
        error: of the pydantic model of the settings.
        raw: what was checked.
        schema: the JSON schema of the model. Kinds of a block are told apart by their setting `kind`.
        names: all settings there are, dotted; the nearest of them is suggested for one that there is not.
    Returns: one line.

    >>> from pydantic import BaseModel
    >>> class Settings(BaseModel):
    ...     epochs: int
    >>> try:
    ...     Settings.model_validate({"epochs": "three"})
    ... except ValidationError as error:
    ...     explain(error, {"epochs": "three"}, schema=Settings.model_json_schema(), names=["epochs"])
    "epochs is 'three'; allowed: an integer"
    """
    problems = error.errors(include_url=False)
    # A setting that was misspelt is missing as well; the spelling is what helps.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    first, *others = dict.fromkeys(_dotted(problem["loc"], raw) for problem in problems)
    more = f" ({len(others)} more mistake{'s' * (len(others) > 1)}: {', '.join(others)})" if others else ""
    return _one(first, problems[0], schema, names) + more


def _one(name: str, problem: ErrorDetails, schema: dict[str, Any], names: Sequence[str]) -> str:
    location, value = problem["loc"], problem["input"]
    match problem["type"]:
        case "extra_forbidden" | "invalid_key":
            return _unknown_setting(name, location, schema, names)
        case "value_error":
            reason = problem["msg"].removeprefix("Value error, ")
            return f"{name}: {reason}" if name else reason
        case "missing" if isinstance(location[-1], str):
            return f"setting {name} is missing; allowed: {_words(_schema_at(location, schema))}"
        case "missing":  # the end of a list
            name, location = name.rpartition(".")[0], location[:-1]
        case "union_tag_not_found":
            return f"setting {name}.kind is missing; allowed: {join_or(_kinds(location, schema))}"
        case "union_tag_invalid":
            return f"{name}.kind is {yaml_value(value['kind'])}; allowed: {join_or(_kinds(location, schema))}"
        case "finite_number":
            return f"{name} is {yaml_value(value)}; it must be finite"
    return f"{name} is {yaml_value(value)}; allowed: {_words(_schema_at(location, schema))}"


def _unknown_setting(name: str, location: Location, schema: dict[str, Any], names: Sequence[str]) -> str:
    block, _, last = name.rpartition(".")
    if name in names:
        *union, kind = location[:-1]
        owners = [each for each in _kinds(union, schema) if last in _schema_at([*union, each], schema)["properties"]]
        return f"setting {name} does not go with {block}.kind {kind}, only with {join_or(owners)}"
    others = [each for each in names if each != block]
    same = sorted((each for each in others if each.rpartition(".")[2] == last), key=lambda each: each.count("."))
    similar = same or difflib.get_close_matches(name, others, n=1, cutoff=0.7)
    if similar:
        return f"unknown setting {name}; did you mean {join_or(similar[:3])}?"
    if not block:
        return f"unknown setting {name} (longtail recipes --schema lists all)"
    allowed = _schema_at(location[:-1], schema)["properties"]
    return f"unknown setting {name}; allowed in {block}: {', '.join(allowed)}"


def _dotted(location: Location, raw: Any) -> str:
    """A pydantic location as the user writes it: without the tags of unions."""
    parts = []
    for part in location:
        if isinstance(raw, dict) and part not in raw and part == raw.get("kind"):
            continue
        parts.append(str(part))
        raw = raw.get(part) if isinstance(raw, dict) else None
    return ".".join(parts)


def _schema_at(location: Location, whole: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of what may stand at a pydantic location: names, places in lists, and kinds lead there."""
    here = whole
    for part in location:
        here = next(inside for option in _options(here, whole) if (inside := _inside(option, part)) is not None)
    return _resolved(here, whole)


def _options(here: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    here = _resolved(here, whole)
    several = here.get("anyOf") or here.get("oneOf")
    for option in several or ():
        yield from _options(option, whole)
    if not several:
        yield here


def _resolved(here: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    return whole["$defs"][here["$ref"].rpartition("/")[2]] if "$ref" in here else here


def _inside(option: dict[str, Any], part: int | str) -> dict[str, Any] | None:
    if isinstance(part, int):
        places = option.get("prefixItems", [])
        return places[part] if part < len(places) else option.get("items")
    settings = option.get("properties", {})
    return option if settings.get("kind", {}).get("const") == part else settings.get(part)


def _kinds(location: Location, schema: dict[str, Any]) -> list[str]:
    return [option["properties"]["kind"]["const"] for option in _options(_schema_at(location, schema), schema)]


def _words(allowed: dict[str, Any]) -> str:
    """A JSON schema for people."""
    match allowed:
        case {"enum": values}:
            return join_or([str(value) for value in values])
        case {"const": value}:
            return str(value)
        case {"anyOf": options}:
            return " or ".join(map(_words, options))
        case {"oneOf": _, "discriminator": {"mapping": kinds}}:
            return f"a block of settings with kind {join_or([*kinds])}"
        case {"type": "array", "prefixItems": places}:
            return f"a list of {len(places)} values"
        case {"type": "integer" | "number" as kind}:
            bounds = {
                "minimum": "at least",
                "exclusiveMinimum": "above",
                "maximum": "at most",
                "exclusiveMaximum": "below",
            }
            limits = [f"{words} {allowed[key]:,}" for key, words in bounds.items() if key in allowed]
            noun = "an integer" if kind == "integer" else "a number"
            return f"{noun}{' of' * limits[0].startswith('at')} {' and '.join(limits)}" if limits else noun
        case {"type": "string", "minLength": 1}:
            return "text that is not empty"
        case {"type": "null" | "boolean" | "string" | "array" as kind}:
            return {"null": "null", "boolean": "true or false", "string": "text", "array": "a list of values"}[kind]
    return "a block of settings"
