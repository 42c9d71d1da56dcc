"""The tests mirror the package: what tests `longtail/a/b.py` is `tests/a/test_b.py`."""

import ast
from pathlib import Path

import longtail

TESTS = Path(__file__).parent
PACKAGE = Path(longtail.__file__).parent

# Modules whose tests are still in another file. Shrink it; never add to it.
ELSEWHERE = """
cli/compare
recipe/data
recipe/fields
training/finish
training/log
training/loop
training/processes
training/state
"""
# Tests of no module: of the package as a whole, and of its pages and commands together.
OF_THE_WHOLE = """
data/augment/cutmix
extending
layout
old_runs
public_names
recipe/shipped
report/browser
"""


def modules() -> set[str]:
    files = (file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))
    return {file.with_suffix("").as_posix() for file in files if file.stem not in ("__init__", "__main__")}


def with_tests() -> set[str]:
    files = (file.relative_to(TESTS) for file in TESTS.rglob("test_*.py"))
    return {file.with_name(file.stem.removeprefix("test_")).as_posix() for file in files}


def test_every_module_has_its_test_file() -> None:
    assert modules() - with_tests() == {*ELSEWHERE.split()}


def test_every_test_file_has_its_module() -> None:
    assert with_tests() - modules() == {*OF_THE_WHOLE.split()}


# Lines of a function without its docstring; the loop is one screen more, so that it reads from top to bottom.
LONGEST, LOOP = 60, 80


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{file.relative_to(PACKAGE)}: {function.name} has {lines} lines"
        for file in PACKAGE.rglob("*.py")
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        and (lines := _lines(function)) > (LOOP if function.name == "fit" else LONGEST)
    ]
    assert not long


def _lines(function: ast.FunctionDef) -> int:
    described = function.body[0] if ast.get_docstring(function) else None
    text = (described.end_lineno or 0) - described.lineno + 1 if described else 0
    return (function.end_lineno or 0) - function.lineno + 1 - text
