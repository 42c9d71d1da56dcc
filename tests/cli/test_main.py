"""The command line: what is said, where, and with which exit code."""

import errno
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import longtail
from longtail import recipe
from longtail.cli import main
from longtail.runs import records
from longtail.runs.folder import RunDir
from longtail.training import train
from support.commands import SMALL, Command, assert_mistake

COMMANDS = ("demo", "audit", "train", "resume", "evaluate", "report", "compare", "reproduce", "predict", "recipes")
PROGRAM = Path(sys.executable).with_name("longtail")


# --- help, version, recipes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(longtail_: Command, arguments: list[str]) -> None:
    said = longtail_(*arguments)
    assert (said.code, said.err) == (0, "")
    for name in COMMANDS:
        assert f" {name} " in said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(longtail_: Command, name: str) -> None:
    said = longtail_(name, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"Usage: longtail {name} " in said.out
    assert said.out == longtail_(name, "-h").out
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_help_comes_at_once() -> None:
    """In a fraction of the processor time that only importing PyTorch takes, since machines differ; best of three."""
    help_, heavy = [PROGRAM, "train", "--help"], [sys.executable, "-c", "import torch"]
    assert "method.temperature=0.07" in subprocess.run(help_, capture_output=True, text=True, check=True).stdout
    spent = {"help": [_processor_time(help_) for _ in range(3)], "torch": [_processor_time(heavy) for _ in range(3)]}
    assert min(spent["help"]) < 0.3 * min(spent["torch"]), spent


def _processor_time(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_version(longtail_: Command) -> None:
    assert longtail_("--version") == (0, f"longtail {longtail.__version__}\n", "")


def test_program_is_installed_and_runs_as_a_module() -> None:
    for start in ([PROGRAM], [sys.executable, "-m", "longtail.cli"]):
        said = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
        assert said.stdout == f"longtail {longtail.__version__}\n"


def test_closed_pipe_is_no_mistake() -> None:
    said = subprocess.run(
        f"{PROGRAM} recipes --schema | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert (said.stdout, said.stderr) == ("{\n", "")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        # the command line itself
        ("train", ["RECIPE|DATA", "see longtail train --help"]),
        ("resume", ["RUN", "see longtail resume --help"]),
        ("evaluate", ["RUN", "see longtail evaluate --help"]),
        ("trian digits-lt/ce", ["'trian'", "Did you mean 'train'"]),
        ("--bogus", ["--bogus"]),
        ("train --bogus digits-lt/ce", ["--bogus", "see longtail train --help"]),
        ("train digits-lt/ce extra", ["extra", "see longtail train --help"]),
        ("train digits-lt/ce --seed", ["--seed", "requires an argument"]),
        ("train digits-lt/ce --seed x", ["--seed", "'x' is not an integer"]),
        ("train digits-lt/ce --seed 1.5", ["--seed", "'1.5' is not an integer"]),
        ("train digits-lt/ce --devices two", ["--devices", "'two' is not an integer"]),
        ("resume RUN --devices two", ["--devices", "'two' is not an integer"]),
        ("demo --seed x", ["--seed", "'x' is not an integer"]),
        ("train digits-lt/ce --out ''", ["--out", "it is empty"]),
        ("train digits-lt/ce --data-root ''", ["--data-root", "it is empty"]),
        ("evaluate ''", ["RUN", "it is empty"]),
        # recipes and settings
        ("train digits-lt/hybrid-pcs", ["unknown recipe 'digits-lt/hybrid-pcs'", "did you mean digits-lt/hybrid-psc"]),
        ("train missing.yaml", ["unknown recipe 'missing.yaml'", "longtail recipes lists all"]),
        ("train .", ["holds no image files, nor does any folder in it"]),
        ("train RUN", ["is a folder", "longtail resume"]),
        ("recipes digits-lt/hybrid-pcs", ["unknown recipe", "did you mean digits-lt/hybrid-psc"]),
        ("train digits-lt/ce --set epochs", ["--set 'epochs' is not of the form name=value"]),
        ("train digits-lt/ce --set epohcs=3", ["unknown setting epohcs; did you mean epochs?"]),
        ("train digits-lt/ce --set epochs=three", ["epochs is 'three'; allowed: an integer of at least 1"]),
        ("train digits-lt/ce --set epochs=[1", ["--set 'epochs=[1' is not right as YAML"]),
        ("train digits-lt/ce --set data.imbalance=0.5", ["data.imbalance is 0.5; allowed: a number of at least 1"]),
        (
            "train digits-lt/hybrid-sc --set method.temperature=0",
            ["method.temperature is 0; allowed: a number above 0"],
        ),
        ("train digits-lt/ce --seed -1", ["seed is -1", "at least 0"]),
        ("train digits-lt/ce --seed 4294967296", ["seed is 4294967296", "below 4,294,967,296"]),
        ("demo --seed -1", ["seed is -1", "at least 0"]),
        # recipes and data that do not go together
        ("train digits-lt/ce --set data.imbalance=1000", ["data.imbalance is 1000", "3 classes", "at most 124"]),
        ("train digits-lt/ce --set data.n_max=1000", ["1000 images", "class '0'", "128"]),
        ("train digits-lt/ce --set batch_size=1000", ["batch_size is 1000", "304 training images"]),
        ("train digits-lt/ce --set accumulate=3", ["batch_size is 64", "accumulate x devices = 3 x 1"]),
        ("train digits-lt/ce --devices 3", ["batch_size is 64", "accumulate x devices = 1 x 3"]),
        ("train digits-lt/ce --set data.validation=500", ["500 validation images", "class '0'"]),
        (
            "train digits-lt/ce --set split=validation --set data.validation=0",
            ["split is validation and data.validation is 0"],
        ),
        ("train digits-lt/ce --set network.kind=timm --set network.name=resnet5000", ["'resnet5000'", "resnet50"]),
        # machines
        ("train digits-lt/ce --devices 0", ["devices is 0", "at least 1"]),
        ("train digits-lt/ce --device tpu", ["'tpu' is unknown", "cpu"]),
        ("evaluate RUN --device tpu", ["'tpu' is unknown", "cpu"]),
        ("resume RUN --device tpu", ["'tpu' is unknown", "cpu"]),
        ("train digits-lt/ce --set precision=fp16 --device cpu", ["precision is fp16", "bf16, fp32, fp64"]),
        # data
        ("train cifar10-lt-100/ce", ["cifar10 not found; looked in", "cache/longtail", "--data-root", "--download"]),
        ("train cifar10-lt-100/ce --data-root nowhere", ["cifar10 not found; looked in nowhere/cifar10, nowhere;"]),
        ("train cifar10-lt-100/ce --data-root FILE", ["cifar10 not found"]),
        ("train cifar100-lt-100/ce --data-root DATA", ["cifar100 not found", "passed over"]),
        ("train inaturalist2018/hybrid-sc --data-root DATA", ["inaturalist2018 not found", "train2018.json"]),
        # run folders
        ("train digits-lt/ce --out FILE", ["file", "cannot be made a run folder"]),
        ("train digits-lt/ce --out FILE/below", ["file/below", "cannot be made a run folder"]),
        ("train digits-lt/ce --out RUN", ["already holds a run", "longtail resume", "--out"]),
        ("resume nowhere", ["nowhere holds no run", "recipe.yaml"]),
        ("resume FILE", ["file holds no run"]),
        ("evaluate nowhere", ["nowhere holds no run", "recipe.yaml"]),
        ("evaluate .", ["holds no run"]),
        ("evaluate RUN --split foo", ["split is 'foo'; allowed: test, validation or train"]),
        ("evaluate RUN --split validation", ["held no validation images out"]),
        ("evaluate UNFINISHED", ["model.safetensors", "longtail resume"]),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(
    longtail_: Command, finished: Path, data: Path, tmp_path: Path, line: str, parts: list[str]
) -> None:
    (tmp_path / "file").touch()
    unfinished = tmp_path / "unfinished"
    if "UNFINISHED" in line:
        shutil.copytree(finished, unfinished)
        (unfinished / "model.safetensors").unlink()
    for word, path in {"UNFINISHED": unfinished, "RUN": finished, "DATA": data, "FILE": Path("file")}.items():
        line = line.replace(word, str(path))
    before = {*tmp_path.rglob("*")}
    said = longtail_(*(word.strip("'") for word in line.split()))
    assert_mistake(said, *parts)
    assert said.err.count("\n") == 1, said.err
    assert {*tmp_path.rglob("*")} == before, "a mistake leaves nothing behind"


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_absent_device(longtail_: Command) -> None:
    said = longtail_("train", "digits-lt/ce", "--device", "cuda")
    assert_mistake(said, "device 'cuda' is not present on this machine; allowed here: auto, cpu")


def test_damaged_data(longtail_: Command, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (file,) = (tmp_path / "data").rglob("train-*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    said = longtail_(
        "train", "cifar10-lt-100/ce", "--data-root", "data", "--set", "data.n_max=20", "--set", "data.imbalance=2"
    )
    assert_mistake(said, str(file.relative_to(tmp_path)), "is not a complete parquet file")


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "Permission denied"), (errno.ENOSPC, "No space left on device")]
)
def test_disk_that_takes_no_more(longtail_: Command, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    def refuse(target: Path, _text: str) -> None:
        raise OSError(number, words, str(target))

    monkeypatch.setattr(records, "write_text", refuse)
    assert_mistake(longtail_("train", "digits-lt/ce", "--out", "run", *SMALL), f"run/split.json: {words}")


def test_several_lines_become_one(longtail_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("first\n  second\n")

    monkeypatch.setattr(train, "train", fail)
    assert longtail_("train", "digits-lt/ce") == (2, "", "error: first second\n")


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(train, "train", fail)
    monkeypatch.setattr(sys, "argv", ["longtail", "train", "digits-lt/ce"])
    with pytest.raises(KeyError):
        main.main()


def test_a_mistake_shows_where_it_was_noticed_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_TRACEBACK", "1")
    monkeypatch.setattr(sys, "argv", ["longtail", "train", "nonsense"])
    with pytest.raises(ValueError, match="unknown recipe 'nonsense'"):
        main.main()


# --- interruptions ----------------------------------------------------------------------------------------------------


def test_interruption_says_how_to_go_on(longtail_: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(settings: recipe.Recipe, out: Path, **_: object) -> None:
        RunDir(out).make()
        RunDir(out).write_recipe(recipe.dump(settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupt)
    said = longtail_("train", "digits-lt/ce", "--out", "my run")
    assert said == (130, "", "interrupted; continue with: longtail resume 'my run'\n")


@pytest.mark.parametrize("line", [["train", "digits-lt/ce"], ["demo"]])
def test_interruption_before_anything_was_begun(
    longtail_: Command, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupt)
    assert longtail_(*line) == (130, "", "interrupted\n")
