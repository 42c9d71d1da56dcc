"""The command line: what is said, where, and with which exit code."""

import errno
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import longtail
from longtail import metrics, recipe
from longtail.cli import main
from longtail.runs import folder as run_folder
from longtail.runs.folder import RunDir
from longtail.training import train
from support import fake_datasets

SMALL = ("--set", "epochs=1", "--set", "tensorboard=false", "--set", "network.width=4", "--device", "cpu")
COMMANDS = ("demo", "audit", "train", "resume", "evaluate", "report", "compare", "reproduce", "predict", "recipes")
PROGRAM = Path(sys.executable).with_name("longtail")


class Said(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def longtail_(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LONGTAIL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def command(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["longtail", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capsys.readouterr()
        return Said(int(caught.value.code or 0), out, err)

    return command


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that held nothing out."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    overrides = [*SMALL[1:-2:2], "data.n_max=40", "data.imbalance=20", "batch_size=32"]
    train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(overrides)), path, device="cpu")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    fake_datasets.write_cifar_parquet(folder, "cifar10", per_class_train=20, per_class_test=2)
    return folder


def assert_mistake(said: Said, *parts: str) -> None:
    """Exit code 2, nothing where results go, one line where people look, with all that helps."""
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.endswith("\n")
    assert said.err.count("\n") == 1, said.err
    for part in parts:
        assert part in said.err, said.err


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


def test_recipes_are_listed_in_80_columns(longtail_: Command) -> None:
    said = longtail_("recipes")
    assert (said.code, said.err) == (0, "")
    header, rule, *rows = said.out.splitlines()
    assert header.split() == ["recipe", "network", "epochs", "batch", "published", "top-1"]
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == list(recipe.shipped())
    cells = {name: rest for name, *rest in (row.split() for row in rows)}
    assert cells["cifar10-lt-10/ce"] == ["resnet32", "200", "128", "86.44%"]
    assert cells["inaturalist2018/hybrid-sc"] == ["resnet50", "100", "256", "66.74%"]
    assert cells["own/small"] == ["resnet9", "100", "128", "-"]
    assert all(len(line) <= 80 and line == line.rstrip() for line in said.out.splitlines())


def test_recipes_as_json(longtail_: Command) -> None:
    said = longtail_("recipes", "--json")
    assert (said.code, said.err) == (0, "")
    read = json.loads(said.out)
    assert list(read) == list(recipe.shipped())
    assert read["cifar100-lt-100/hybrid-sc"]["published"]["top1"] == 0.4672
    assert recipe.parse(_tuples(read["digits-lt/ce"])) == recipe.load("digits-lt/ce")


def _tuples(tree: Any) -> Any:
    return {k: _tuples(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def test_recipe_is_printed_as_it_stands_and_can_be_used(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("recipes", "cifar10-lt-50/hybrid-psc")
    assert (said.code, said.err) == (0, "")
    assert said.out == recipe.text_of("cifar10-lt-50/hybrid-psc")
    (tmp_path / "mine.yaml").write_text(said.out)
    read = json.loads(longtail_("recipes", "mine.yaml", "--json").out)
    assert (read["name"], read["data"]["imbalance"], read["seed"]) == ("mine", 50, 0)


def test_schema_of_recipes(longtail_: Command) -> None:
    said = longtail_("recipes", "--schema")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == json.loads(json.dumps(recipe.schema()))
    assert_mistake(longtail_("recipes", "digits-lt/ce", "--schema"), "'digits-lt/ce'", "--schema")


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
    assert_mistake(longtail_(*(word.strip("'") for word in line.split())), *parts)
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
    def refuse(target: Path, _write: object) -> None:
        raise OSError(number, words, str(target))

    monkeypatch.setattr(run_folder, "_replace", refuse)
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


# --- results ----------------------------------------------------------------------------------------------------------


def test_train_prints_results_and_tells_where_they_are(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("train", "digits-lt/ce", "--seed", "3", *SMALL)
    assert said.code == 0
    title, blank, *rows = said.out.splitlines()
    assert title == "digits-lt/ce, seed 3: 500 test images of 10 classes"
    assert blank == ""
    labels = ["top-1", "top-5", "balanced", "many", "medium", "few", "worst class", "macro F1", "ECE"]
    assert [row[:12].strip() for row in rows] == labels
    run = RunDir.open(tmp_path / "runs/digits-lt/ce/seed-3")
    assert run.card.is_file() and run.report.is_file()
    summary = run.read_summary()
    assert rows[0].split()[1] == f"{summary.top1:.2%}"
    assert [row[37:] for row in rows[3:6]] == [
        "1 class, more than 100 training images",
        "3 classes, 20 to 100",
        "6 classes, fewer than 20",
    ]
    low, high = summary.intervals["few"] or (0, 0)
    assert rows[5].split("%  ")[1].startswith(f"{low * 100:.1f} to {high * 100:.1f}  ")
    assert all(len(row) <= 80 and row == row.rstrip() for row in rows)
    assert said.err.splitlines()[-1] == "results are in runs/digits-lt/ce/seed-3"
    assert_mistake(longtail_("train", "digits-lt/ce", "--seed", "3", *SMALL), "already holds a run")


def test_published_figure_stands_beside_ours(longtail_: Command, data: Path) -> None:
    line = ["cifar10-lt-100/hybrid-psc", "--data-root", data, "--out", "run", *SMALL[:4], "--set", "batch_size=16"]
    said = longtail_("train", *line, "--set", "data.n_max=20", "--set", "data.imbalance=20")
    assert said.code == 0
    assert said.out.splitlines()[3].split(maxsplit=2) == ["published", "78.82%", "Wang et al. 2021, arXiv:2103.14267"]
    assert said.out == longtail_("resume", "run").out, "a finished run tells its results again"
    # The data is found again, and a figure of the test split does not stand beside another split.
    said = longtail_("evaluate", "run", "--split", "train")
    assert said.out.startswith("cifar10-lt-100/hybrid-psc, seed 0: ")
    assert "training images of 10 classes" in said.out.splitlines()[0]
    assert "published" not in said.out


def test_json_is_all_there_is_on_stdout(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("train", "digits-lt/ce", "--out", "run", "--json", *SMALL)
    assert said.code == 0
    run = RunDir.open(tmp_path / "run")
    assert metrics.Summary.from_dict(json.loads(said.out)) == run.read_summary()
    assert said.err.splitlines()[-1] == "results are in run"
    for command in (["evaluate", "run"], ["resume", "run"]):
        again = longtail_(*command, "--json")
        assert (again.code, json.loads(again.out)) == (0, json.loads(said.out))
    other = json.loads(longtail_("evaluate", "run", "--split", "train", "--json").out)
    assert other["images"] == 304
    assert metrics.Summary.from_dict(other) == run.read_summary(split="train")


def test_several_processes_print_results_once(tmp_path: Path) -> None:
    line = ["train", "digits-lt/ce", "--out", tmp_path / "run", "--devices", "2", "--json", *SMALL]
    said = subprocess.run([PROGRAM, *line], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["images"] == 500
    assert said.stderr.count("results are in") == 1


def test_validation_split_is_named(longtail_: Command) -> None:
    line = [
        "--set",
        "split=validation",
        "--set",
        "data.n_max=60",
        "--set",
        "data.imbalance=20",
        "--set",
        "batch_size=16",
        *SMALL,
    ]
    said = longtail_("train", "digits-lt/ce", "--out", "run", *line)
    assert said.out.startswith("digits-lt/ce, seed 0: 60 validation images of 10 classes\n")
    assert longtail_("evaluate", "run").out == said.out
    assert longtail_("evaluate", "run", "--split", "validation").out == said.out
    assert longtail_("evaluate", "run", "--split", "test").out.startswith("digits-lt/ce, seed 0: 500 test images")


def test_small_validation_split_has_an_image_of_every_class(longtail_: Command) -> None:
    line = [
        "--set",
        "split=validation",
        "--set",
        "data.n_max=8",
        "--set",
        "data.imbalance=4",
        "--set",
        "batch_size=8",
        *SMALL,
    ]
    assert "10 validation images of 10 classes" in longtail_("train", "digits-lt/ce", "--out", "run", *line).out


def test_file_of_ones_own(longtail_: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(recipe.text_of("digits-lt/ce"))
    said = longtail_("train", "mine.yaml", *SMALL)
    assert said.out.startswith("mine, seed 0: ")
    assert (tmp_path / "runs/mine/seed-0/summary.json").is_file()


def test_tilde_is_the_home_folder_though_the_shell_left_it(
    longtail_: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert longtail_("train", "digits-lt/ce", "--out=~/run", *SMALL).code == 0
    assert (tmp_path / "home/run/summary.json").is_file()
    assert longtail_("evaluate", "~/run").code == 0
    assert_mistake(longtail_("train", "cifar10-lt-10/ce", "--data-root=~/data"), str(tmp_path / "home/data"))


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    load, quick = recipe.load, {"epochs": 1, "network.width": 4, "tensorboard": False}
    monkeypatch.setattr(recipe, "load", lambda name, given={}: load(name, {**given, **quick}))


@pytest.mark.usefixtures("quick_demo")
def test_demo_compares_two_methods_and_can_be_repeated(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("demo")
    assert said.code == 0
    size, groups, blank, header, rule, *rows = said.out.splitlines()
    assert size == "500 test images of 10 classes"
    assert groups == "by training images: 1 many (> 100), 3 medium (20 to 100), 6 few (< 20)"
    assert (blank, set(rule)) == ("", {"-", " "})
    assert header.split() == ["run", "top-1", "many", "medium", "few", "balanced", "macro", "F1", "ECE"]
    assert [row.split()[0] for row in rows] == ["ce", "hybrid-psc"]
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert "runs are in runs/demo;" in said.err
    page = (tmp_path / "runs/demo/report.html").read_text(encoding="utf-8")
    assert "hybrid-psc" in page and "open runs/demo/report.html" in said.err
    assert "runs are in runs/demo-2;" in longtail_("demo").err
    seeded = longtail_("demo", "--seed", "1", "--out", "other", "--json")
    read = json.loads(seeded.out)
    assert list(read) == ["ce", "hybrid-psc"]
    for name in read:
        assert metrics.Summary.from_dict(read[name]) == RunDir.open(tmp_path / "other" / name).read_summary()
        assert recipe.load(str(tmp_path / "other" / name / "recipe.yaml")).seed == 1
