"""Parts of pages that are made from the code, so that they cannot go stale; and examples that are run.

A hook of MkDocs. In a page, a line `<!-- made: NAME ARGUMENTS -->` becomes the part of that name. Blocks marked as
`python` are run from the top of the page to its bottom (`py` marks those that are not): one that fails, or prints other
things than the comments behind or below its `print` calls say, fails the build.
"""

import ast
import contextlib
import inspect
import io
import json
import os
import pydoc
import re
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperArgument
from typer.main import get_command

from longtail import recipe
from longtail.cli import main
from longtail.metrics import METRICS

_ROOT = Path(__file__).parents[2]
_API = _ROOT / "docs" / "reference" / "api"
_MARK = re.compile(r"^<!-- made: (\w+)((?: \S+)*) -->$", re.MULTILINE)
_DOCUMENTED = re.compile(r"^(?:::: |<!-- made: api )(longtail[\w.]*)", re.MULTILINE)
_EXAMPLE = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"^ *print\(.*\)(?:  |\n)# (.*)$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: object) -> str:  # noqa: ARG001
    """Fill in a page, and run its examples."""
    filled = _MARK.sub(lambda match: _PARTS[match[1]](*match[2].split()), markdown)
    _run([textwrap.dedent(code) for _, code in _EXAMPLE.findall(markdown)], page.file.src_uri)
    return filled


def _messages() -> str:
    """Nothing; but each message that a table of the page quotes must stand in the code, `…` where that fills in."""
    page = (_ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    known = "\n".join(_texts())
    for message in re.findall(r"^\| `(.*?)` \|", page, re.MULTILINE):
        for part in message.split("…"):
            if part.strip() not in known:
                raise PluginError(f"troubleshooting.md: no message has {part.strip()!r}, as in {message!r}")
    return ""


def _texts() -> Iterator[str]:
    """All texts in the code; `…` stands for what is filled in."""
    for file in sorted((_ROOT / "src" / "longtail").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _run(examples: list[str], name: str) -> None:
    """Run a page's examples in a folder of their own."""
    if not examples:
        return
    code, said, here = "\n".join(examples), io.StringIO(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
        try:
            os.chdir(folder)
            with contextlib.redirect_stderr(io.StringIO()):
                exec(compile(code, name, "exec"), {"__name__": "example"})  # noqa: S102  (it is our own)
        except Exception as error:
            raise PluginError(f"{name}: an example fails: {type(error).__name__}: {error}") from error
        finally:
            os.chdir(here)
    wanted, got = _EXPECTED.findall(code), said.getvalue().splitlines()
    if wanted != got:
        raise PluginError(f"{name}: examples print {got}; the page says {wanted}")


# --- Settings ---------------------------------------------------------------------------------------------------------


def _settings() -> str:
    parts = ["## Top level\n", _table([(recipe.Recipe, "")], "")]
    for path, blocks in _all_blocks(recipe.Recipe, ""):
        parts.append(f"\n## `{path}`\n")
        if len(blocks) == 1:
            parts += [_prose(blocks[0]), ""]
            parts.append(_table([(blocks[0], "")], f"{path}."))
            continue
        kinds = [(block, f"`{block.model_fields['kind'].default}`") for block in blocks]
        parts.append(f"`{path}.kind` is one of:\n")
        parts += [f"- {kind}: {_prose(block)}" for block, kind in kinds]
        parts += ["", _table(kinds, f"{path}.")]
    return "\n".join(parts)


def _prose(block: type[BaseModel]) -> str:
    text = " ".join((block.__doc__ or "").split())
    return text.replace("**", "\\*\\*").replace("ColorJitter", "`ColorJitter`")


def _all_blocks(settings: type[BaseModel], prefix: str) -> Iterator[tuple[str, list[type[BaseModel]]]]:
    """Every block of settings by its path, with its kinds; a path that several kinds share comes once."""
    seen: set[str] = set()
    for name, info in settings.model_fields.items():
        blocks = list(_blocks_of(info.annotation))
        if not blocks:
            continue
        yield prefix + name, blocks
        for block in blocks:
            for path, inner in _all_blocks(block, f"{prefix}{name}."):
                if path not in seen:
                    seen.add(path)
                    yield path, inner


def _blocks_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _blocks_of(part)


def _table(blocks: list[tuple[type[BaseModel], str]], prefix: str) -> str:
    """One row for each setting of a block; kinds that mean the same by a setting share its row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for block, kind in blocks:
        for name, info in block.model_fields.items():
            path = prefix + name
            if not info.description:
                raise PluginError(f"setting {path} has no description; give its Field one")
            if name == "kind":
                continue
            row = (f"`{path}`", *_type(info.annotation, tuple(info.metadata)), _default(info), info.description)
            rows.setdefault(row, []).append(kind)
    head = ["setting", "type", "allowed", "default", "meaning"]
    if len(blocks) == 1:
        return _rows(head, [list(row) for row in rows])
    return _rows([head[0], "of kind", *head[1:]], [[row[0], ", ".join(kinds), *row[1:]] for row, kinds in rows.items()])


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True, validated_data={})
    match default:
        case _ if default is PydanticUndefined:
            return "required"
        case BaseModel(kind=kind):
            return f"`{kind}`"
        case BaseModel():
            return "as below"
        case bool() | None:
            return {None: "`null`", True: "`true`", False: "`false`"}[default]
        case tuple():
            return f"`{list(default)}`"
        case _:
            return f"`{default}`" if default != "" else "empty"


def _type(annotation: Any, metadata: tuple[Any, ...] = ()) -> tuple[str, str]:
    """A type in words, and what its values may be."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0], (*metadata, *args[1:]))
    if origin in (Union, UnionType):
        some = [each for each in args if each is not NoneType]
        kind, allowed = _type(some[0], metadata)
        return (kind, allowed) if len(some) == len(args) else (f"{kind} or null", allowed)
    if origin is Literal:
        return "choice", ", ".join(f"`{each}`" for each in args)
    if origin is tuple:
        kinds = [_type(each) for each in args if each is not ...]
        count = "" if ... in args else f"{len(args)} "
        ranges = list(dict.fromkeys(allowed for _, allowed in kinds))
        return f"list of {count}numbers", "; ".join(ranges)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block", "see below"
    words = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return words[annotation], _range(metadata)


def _range(metadata: tuple[Any, ...]) -> str:
    bounds: dict[str, Any] = {}
    for each in metadata:
        limits = each.metadata if isinstance(each, FieldInfo) else [each]
        for limit in limits:
            match limit:
                case Ge(ge=value):
                    bounds["at least"] = value
                case Gt(gt=value):
                    bounds["above"] = value
                case Le(le=value):
                    bounds["at most"] = value
                case Lt(lt=value):
                    bounds["below"] = value
    if bounds.keys() == {"at least", "at most"}:
        return f"{bounds['at least']} to {bounds['at most']}"
    return ", ".join(f"{word} {value}" for word, value in bounds.items())


# --- Commands, recipes, modules ---------------------------------------------------------------------------------------


def _commands() -> str:
    group: Any = get_command(main.app)
    parts = []
    for name, command in group.commands.items():
        arguments = [each for each in command.params if isinstance(each, TyperArgument)]
        shown = [each for each in command.params if each.name != "help" and not each.hidden]
        options = [each for each in shown if not isinstance(each, TyperArgument)]
        usage = [_shown(each) if each.required else f"[{_shown(each)}]" for each in arguments]
        parts.append(f"## `longtail {name}`\n\n{command.help}\n")
        parts.append("\n".join(["```text", " ".join(["longtail", name, *usage, "[OPTIONS]"]), "```", ""]))
        rows = [[f"`{_shown(each)}`", _value(each), "", each.help or ""] for each in arguments]
        for each in options:
            default = "" if each.default is None or each.default is False else f"`{each.default}`"
            rows.append([f"`{', '.join(each.opts)}`", _value(each), default, each.help or ""])
        parts.append(_rows(["name", "value", "default", "meaning"], rows) + "\n")
    return "\n".join(parts)


def _shown(argument: Any) -> str:
    return (argument.metavar or argument.name).upper()


def _value(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return "none"
    several = ", may be repeated" if parameter.multiple else ""
    words = {str: "text", list[str]: "text", int: "whole number", Path: "path", list[Path]: "path"}
    return words[parameter.type_descriptor.annotation] + several


def _recipes() -> str:
    rows = []
    for name in recipe.shipped():
        each = recipe.load(name)
        published = f"{each.published.top1:.2%}" if each.published else "none"
        source = each.published.source if each.published else ""
        rows.append([f"`{name}`", each.network.kind, str(each.epochs), str(each.batch_size), published, source])
    return _rows(["recipe", "network", "epochs", "batch", "published top-1", "published by"], rows)


def _metrics() -> str:
    """Every metric of a summary."""
    groups = {group: f"{group} training images" for group in ("many", "medium", "few")}
    words = {metric.key: metric.meaning.format(classes="the classes", **groups) for metric in METRICS}
    rows = [[f"`{metric.key}`", metric.title, words[metric.key], metric.better] for metric in METRICS]
    return _rows(["key", "title", "meaning", "better"], rows)


def _modules() -> str:
    """Every module with the first line of its docstring, a table for each package, lowest layer first."""
    package, parts = _ROOT / "src" / "longtail", []
    for name in re.findall(r"\w+", " ".join(reversed(_import_layers()))):
        folder = package / name
        files = [file for file in folder.rglob("*.py") if file.name not in ("__init__.py", "__main__.py")]
        if not folder.is_dir():
            parts.append(f"**`{name}.py`**: {_first_line(folder.with_suffix('.py'))}\n")
            continue
        rows = [[f"`{file.relative_to(package).as_posix()}`", _first_line(file)] for file in sorted(files)]
        parts += [
            f"**`{name}/`**: {_first_line(folder / '__init__.py')}\n",
            _rows(["module", "what it holds"], rows),
            "",
        ]
    return "\n".join(parts)


def _packages() -> str:
    """What is at the root, highest layer first."""
    package, rows = _ROOT / "src" / "longtail", []
    for name in re.findall(r"\w+", " ".join(_import_layers())):
        folder = package / name
        file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        rows.append([f"`{name}/`" if folder.is_dir() else f"`{file.name}`", _first_line(file)])
    return _rows(["in `src/longtail`", "what it holds"], rows)


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _public() -> str:
    """What has a page of the Python reference, and where: all that is public."""
    rows = []
    for page in ["longtail.md", *sorted(file.name for file in _API.glob("*.md"))]:
        for name in _DOCUMENTED.findall((_API / page).read_text(encoding="utf-8")) if page != "index.md" else ():
            what = (pydoc.locate(name).__doc__ or "").partition("\n")[0]
            if (row := [f"[`{name}`]({page})", what]) not in rows:
                rows.append(row)
    return _rows(["name", "what it is"], rows)


def _api(package: str, level: str = "2") -> str:
    """The names that a package lists, in the order in which it imports them."""
    listed: Any = pydoc.locate(package)
    parts = []
    for name, thing in vars(listed).items():
        if name in listed.__all__:
            documented = inspect.isclass(thing) or inspect.isfunction(thing)
            # By the module that defines it where a module of the package has the same name.
            place = thing.__module__ if f"{package}.{name}" in sys.modules else package
            options = {
                "heading_level": int(level),
                "show_root_heading": True,
                "show_root_toc_entry": True,
                "show_root_full_path": False,
            }
            options["show_if_no_docstring"] = not documented
            parts += [
                f"::: {place}.{name}",
                "    options:",
                *(f"      {key}: {json.dumps(value)}" for key, value in options.items()),
            ]
            parts.append("")
    return "\n".join(parts)


def _layers() -> str:
    return "\n".join(["```text", *_import_layers(), "```"])


def _import_layers() -> list[str]:
    """The layers that import-linter keeps, highest first."""
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return contract["layers"]


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


_PARTS = {
    "settings": _settings,
    "commands": _commands,
    "recipes": _recipes,
    "packages": _packages,
    "modules": _modules,
    "layers": _layers,
    "messages": _messages,
    "metrics": _metrics,
    "public": _public,
    "api": _api,
}
