"""Recipes as files: found, read from YAML, overridden, checked, and written."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from longtail.recipe import errors
from longtail.recipe.recipe import Recipe
from longtail.text import join_or, yaml_value


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: 1e-4 is a number, and a setting that stands twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes texts that `_Loader` would take for numbers."""


# PyYAML follows YAML 1.1, in which a number with an exponent needs a dot and a sign.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))

# Settings that were removed, each with the value that switched it off: recipes of older runs state every setting.
_RETIRED: Mapping[str, object] = {"method.psc": None}


def _read_yaml(text: str, what: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark and "\n" in text.strip() else ""
        raise ValueError(f"{what} is not right as YAML: {where}{error.problem}") from error
    # A value in the form of a date or an integer that is none is only noticed when it is made.
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{what} is not right as YAML: {' '.join(str(error).split())}") from error


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with the package, sorted, numbers by their size.

    >>> "cifar100-lt-100/hybrid-psc" in shipped()
    True
    """
    folders = (folder for folder in _folder().iterdir() if folder.is_dir())
    files = (f"{folder.name}/{file.name}" for folder in folders for file in folder.iterdir())
    names = (file.removesuffix(".yaml") for file in files if file.endswith(".yaml"))
    return tuple(sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]))


def _folder() -> Traversable:
    return files("longtail.recipe") / "shipped"


def text_of(name: str) -> str:
    """The YAML text of a shipped recipe or of a file.

    Args:
        name: a shipped name, or the path of a YAML file.
    Raises: ValueError if there is no such recipe; the nearest names are suggested.
    """
    if name in shipped():
        return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(_unknown_recipe(name)) from error
    except IsADirectoryError as error:
        is_run = (Path(name) / "recipe.yaml").is_file()
        advice = "continue a run with longtail resume" if is_run else "give a YAML file or a shipped recipe"
        raise ValueError(f"recipe {name!r} is a folder; {advice} (longtail recipes lists all)") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"recipe {name!r} is not text in UTF-8") from error
    except OSError as error:
        raise ValueError(f"recipe {yaml_value(name)} cannot be read: {error.strerror}") from error


def _unknown_recipe(name: str) -> str:
    of_folder = [each for each in shipped() if name and each.startswith(f"{name.rstrip('/')}/")]
    similar = difflib.get_close_matches(name.removesuffix(".yaml"), shipped(), n=2, cutoff=0.5)
    hint = f"; did you mean {join_or(of_folder or similar)}?" if of_folder or similar else ""
    absent = "neither shipped, nor a file or folder"
    return f"unknown recipe {yaml_value(name)}: {absent}{hint} (longtail recipes lists all)"


def load(name: str, overrides: Mapping[str, object] = MappingProxyType({})) -> Recipe:
    """Read a recipe and override some of its settings.

    Args:
        name: a shipped name, or the path of a YAML file.
        overrides: values by the dotted names of settings. Another `kind` of a block starts that block from its
            defaults, in whatever order they are given.
    Raises: ValueError, in one line, for an unknown recipe, an unknown setting (with the nearest), or a bad value.

    >>> load("digits-lt/hybrid-psc", {"epochs": 3, "method.alpha.kind": "linear"}).method.alpha
    Linear(kind='linear')
    """
    raw = _read_yaml(text_of(name), name)
    if not isinstance(raw, dict):
        content = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise ValueError(f"{name} holds {content}; a recipe is a mapping of settings, such as epochs: 200")
    raw = _with_kinds(raw)
    raw["name"] = raw.get("name") or (name if name in shipped() else Path(name).stem)
    assigned = [(setting.split("."), value) for setting, value in overrides.items()]
    # Blocks before what is in them, and kinds first: they reset a block in which other overrides then set their values.
    for keys, value in sorted(assigned, key=lambda item: (len(item[0]), item[0][-1] != "kind")):
        _assign(raw, keys, value)
    return parse(raw)


def parse_overrides(texts: Sequence[str]) -> dict[str, object]:
    """Read changes of settings as a command line has them.

    Args:
        texts: such as `method.temperature=0.07`; the value is YAML. Of two values for one setting the last counts.
    Returns: values by name, as `load` takes them.
    Raises: ValueError, in one line, for a text of another form.

    >>> parse_overrides(["clip=null", "method.temperature=7e-2"])
    {'clip': None, 'method.temperature': 0.07}
    """
    changes = dict[str, object]()
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not (equals and all(name.split("."))):
            raise ValueError(f"--set {text!r} is not of the form name=value, as in method.temperature=0.07")
        changes[name] = _read_yaml(value, f"--set {text!r}")
    return changes


def parse(raw: dict[str, Any]) -> Recipe:
    """Check settings.

    Raises: ValueError with the first mistake and the names of others, in one line.
    """
    raw = without_retired(_with_kinds(raw), _RETIRED)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise ValueError(errors.explain(error, raw, schema=schema(), names=names())) from error


def _with_kinds(raw: dict[str, Any]) -> dict[str, Any]:
    """Settings with the one kind that may be left out: there was a time when all optimisers were SGD."""
    optimizer = raw.get("optimizer")
    return {**raw, "optimizer": {"kind": "sgd", **optimizer}} if isinstance(optimizer, dict) else raw


def without_retired(raw: dict[str, Any], retired: Mapping[str, object]) -> dict[str, Any]:
    """Settings without those that no longer exist, as far as they were switched off.

    Args:
        raw: nested settings.
        retired: dotted names, each with the value that means "off".
    Raises: ValueError if a retired setting was in use: without it, the recipe would be another one.

    >>> without_retired({"epochs": 3, "method": {"kind": "ce", "mixup": None}}, {"method.mixup": None})
    {'epochs': 3, 'method': {'kind': 'ce'}}
    """
    for name, off in retired.items():
        raw = _without(raw, name.split("."), name, off)
    return raw


def _without(raw: dict[str, Any], keys: list[str], name: str, off: object) -> dict[str, Any]:
    first, *inner = keys
    if first not in raw:
        return raw
    if inner:
        block = raw[first]
        return {**raw, first: _without(block, inner, name, off)} if isinstance(block, dict) else raw
    if raw[first] != off:
        raise ValueError(
            f"{name} is {yaml_value(raw[first])}, but this setting was removed; allowed: leaving it out, or "
            f"{yaml_value(off)}"
        )
    return {key: value for key, value in raw.items() if key != first}


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out; reading it gives the same recipe."""
    return yaml.dump(recipe.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def says(text: str, recipe: Recipe) -> bool:
    """Whether a text that `dump` wrote gives a recipe; settings that did not exist then have their defaults."""
    return parse(_read_yaml(text, "a saved recipe")) == recipe


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, by which editors complete and check it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def _assign(raw: dict[str, Any], keys: list[str], value: Any) -> None:
    block = raw
    for key in keys[:-1]:
        if not isinstance(block.get(key), dict):
            block[key] = {}
        block = block[key]
    if block is not raw and keys[-1] == "kind" and block.get("kind") != value:
        block.clear()
    block[keys[-1]] = value


def names(settings: type[BaseModel] = Recipe, prefix: str = "") -> tuple[str, ...]:
    """All settings there are, dotted, those of every kind of a block included.

    >>> "method.alpha.at" in names()
    True
    """
    found: dict[str, None] = {}
    for field, info in settings.model_fields.items():
        found[prefix + field] = None
        for block in blocks(info.annotation):
            found.update(dict.fromkeys(names(block, f"{prefix}{field}.")))
    return tuple(found)


def blocks(annotation: Any) -> Iterator[type[BaseModel]]:
    """The groups of settings within a type: itself, or the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from blocks(part)
