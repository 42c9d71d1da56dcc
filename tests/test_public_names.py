"""What other people's code may rely on: names, signatures, documentation, types."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from types import ModuleType

import pytest

import longtail
from longtail import losses

MODULES = ["longtail", *sorted(each.name for each in pkgutil.walk_packages(longtail.__path__, "longtail."))]


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        (losses.logit_adjusted, ["logits", "labels", "prior", "*", "tau"]),
        (losses.smoothed_cross_entropy, ["logits", "labels", "toward", "*", "smoothing"]),
        (losses.supervised_contrastive, ["embeddings", "labels", "*", "temperature"]),
        (losses.prototypical, ["embeddings", "labels", "prototypes", "*", "temperature"]),
    ],
)
def test_losses_have_the_promised_signature(loss: Callable[..., object], parameters: list[str]) -> None:
    signature = inspect.signature(loss).parameters.values()
    shown = [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
    shown += ["*", *(p.name for p in signature if p.kind is p.KEYWORD_ONLY)]
    assert shown == parameters
    assert all(p.default is p.empty for p in signature)
    assert len(shown) == len(signature) + 1


def test_package_says_its_version() -> None:
    assert longtail.__version__.count(".") == 2


def test_package_is_marked_as_typed() -> None:
    assert (files("longtail") / "py.typed").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_module_opens_with_one_sentence(name: str) -> None:
    first = (importlib.import_module(name).__doc__ or "").splitlines()[0]
    assert first.endswith("."), first
    assert ". " not in first, first


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    undocumented = [where for where, thing in _public(module) if not (thing.__doc__ or "").strip()]
    assert not undocumented


def _public(module: ModuleType) -> list[tuple[str, object]]:
    """Classes and functions that a module defines, and the methods that these classes do not inherit a promise for."""
    found = []
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            found.append((name, thing))
        if inspect.isclass(thing):
            promised = {method for base in thing.__mro__[1:] for method in vars(base)}
            found += [
                (f"{name}.{method}", function)
                for method, function in vars(thing).items()
                if inspect.isfunction(function) and not method.startswith("_") and method not in promised
            ]
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_says_what_it_takes_and_gives(name: str) -> None:
    """Annotations, all of them: the package promises types to whoever checks theirs."""
    source = inspect.getsource(importlib.import_module(name))
    bare = [
        f"{function.name}: {argument.arg}"
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_")
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation is None and argument.arg not in ("self", "cls", "ctx")
    ]
    assert not bare


def test_importing_the_package_is_cheap() -> None:
    """`import longtail` and the command line load neither torch nor what brings it in."""
    heavy = {"torch", "timm", "torchvision", "sklearn", "pyarrow", "numpy"}
    program = f"import sys, longtail, longtail.cli.main; print(sorted({heavy} & {{*sys.modules}}))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
