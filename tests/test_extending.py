"""The page on adding a method and a backbone, followed to the letter: how many files it takes, and that it trains."""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import longtail

PACKAGE = Path(longtail.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
YAML = """# The focal loss on digits-lt.
epochs: 1
batch_size: 152
log_every: 1
tensorboard: false
data: {name: digits}
augment: {mean: [0.305, 0.305, 0.305], std: [0.376, 0.376, 0.376]}
network: {kind: plain, width: 4}
method: {kind: focal, gamma: 1.5}
optimizer: {kind: sgd, lr: 0.1}
schedule: {kind: cosine}
"""


def blocks(section: str, kind: str) -> list[str]:
    """The examples of a section of the page: `python`, which are run in it, or `py`, which are not."""
    text = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (part,) = (each for each in text if each.startswith(section))
    found = re.findall(rf"^( *)```{kind}\n(.*?)^\1```$", part, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


def put(file: Path, line: str, text: str, *, instead: bool = False) -> None:
    """Put text before the only line that begins like this, or in its place."""
    source = file.read_text(encoding="utf-8")
    (there,) = re.findall(rf"^{re.escape(line)}.*\n", source, re.MULTILINE)
    file.write_text(source.replace(there, text if instead else text + there), encoding="utf-8")


def put_case(build: Path, function: str, case: str, imported: str) -> None:
    head, name, body = build.read_text(encoding="utf-8").partition(f"def {function}(")
    last = "        case other:\n"
    build.write_text(head + name + body.replace(last, textwrap.indent(case, " " * 8) + last, 1), encoding="utf-8")
    put(build, "from longtail.optim import", imported)


def add_method(package: Path) -> None:
    formula, method, _ = blocks("A method", "python")
    settings, case = blocks("A method", "py")
    (package / "losses" / "focal.py").write_text(f'"""The focal loss."""\n\n{formula}', encoding="utf-8")
    imports = "from longtail.losses.focal import F, Float, Int, Tensor, focal, torch\n"
    (package / "methods" / "focal.py").write_text(f'"""The focal loss alone."""\n\n{imports}{method}', encoding="utf-8")
    put(package / "recipe" / "model.py", "Method = Annotated[", settings, instead=True)
    put_case(package / "recipe" / "build.py", "method", case, "from longtail.methods.focal import FocalLoss\n")
    (package / "recipe" / "shipped" / "digits-lt" / "focal.yaml").write_text(YAML, encoding="utf-8")


def add_backbone(package: Path) -> None:
    (network,) = blocks("A backbone", "python")
    settings, case = blocks("A backbone", "py")
    imports = (
        "import torch\nfrom jaxtyping import Float\nfrom torch import Tensor\nfrom torch.nn import functional as F\n"
    )
    code = network.replace("from longtail.networks import", "from longtail.networks.base import")
    (package / "networks" / "plain.py").write_text(f'"""Three convolutions."""\n\n{imports}{code}', encoding="utf-8")
    put(package / "recipe" / "model.py", "Network = Annotated[", settings, instead=True)
    put_case(package / "recipe" / "build.py", "backbone", case, "from longtail.networks.plain import Plain\n")


def copied(package: Path, to: Path) -> Path:
    shutil.copytree(package, to, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def touched(before: Path, after: Path) -> set[str]:
    """Files that are new or another."""
    files = (file.relative_to(after) for file in after.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {
        file.as_posix()
        for file in files
        if not ((before / file).is_file() and filecmp.cmp(before / file, after / file, shallow=False))
    }


@pytest.mark.skipif(not PAGE.is_file(), reason="not a checkout with documentation")
def test_a_method_takes_five_files_a_backbone_three_and_both_train(tmp_path: Path) -> None:
    plain = copied(PACKAGE, tmp_path / "plain" / "longtail")
    method = copied(plain, tmp_path / "method" / "longtail")
    add_method(method)
    both = copied(method, tmp_path / "both" / "longtail")
    add_backbone(both)
    assert touched(plain, method) == {
        "losses/focal.py",
        "methods/focal.py",
        "recipe/model.py",
        "recipe/build.py",
        "recipe/shipped/digits-lt/focal.yaml",
    }
    assert touched(method, both) == {"networks/plain.py", "recipe/model.py", "recipe/build.py"}

    run = tmp_path / "run"
    command = [sys.executable, "-m", "longtail.cli", "train", "digits-lt/focal", "--device", "cpu", "--out", str(run)]
    trained = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(both.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert trained.returncode == 0, trained.stderr
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in log if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(line["focal"] == line["loss"] > 0 for line in steps)
    prior = json.loads((run / "model.json").read_text())["prior"]
    assert prior[0] == pytest.approx(124 / 304)
