"""The tests mirror the package: what tests `longtail/a/b.py` is `tests/a/test_b.py`."""

from pathlib import Path

import longtail

TESTS = Path(__file__).parent
PACKAGE = Path(longtail.__file__).parent

# Modules whose tests are still in another file. Shrink it; never add to it.
ELSEWHERE = """
cli/compare
cli/evaluate
cli/options
cli/recipes
cli/train
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
cli/own_images
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


def having_tests() -> set[str]:
    files = (file.relative_to(TESTS) for file in TESTS.rglob("test_*.py"))
    return {file.with_name(file.stem.removeprefix("test_")).as_posix() for file in files}


def test_every_module_has_its_test_file() -> None:
    assert modules() - having_tests() <= {*ELSEWHERE.split()}


def test_every_test_file_has_its_module() -> None:
    assert having_tests() - modules() <= {*OF_THE_WHOLE.split()}
