"""Lists of trainings: their order, what is refused, and what becomes of a training that fails."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from longtail import recipe
from longtail.compare import runner
from longtail.runs import records
from longtail.runs.folder import RunDir
from support.messages import one_line

RECIPES = ("digits-lt/ce", "digits-lt/hybrid-sc")


def begin(out: Path, settings: recipe.Recipe) -> RunDir:
    """What the first moment of a training leaves."""
    run = RunDir(out)
    run.make()
    run.write_recipe(recipe.dump(settings))
    return run


def program(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Let a script take the place of the command line."""
    script = folder / "program.py"
    script.write_text(text)
    monkeypatch.setattr(runner, "_PROGRAM", (sys.executable, str(script)))


# --- planning ---------------------------------------------------------------------------------------------------------


def test_recipes_alternate_and_seeds_follow(tmp_path: Path) -> None:
    planned = runner.plan(RECIPES, range(2), tmp_path, overrides=["epochs=3"])
    assert [str(each) for each in planned] == [
        "digits-lt/ce, seed 0",
        "digits-lt/hybrid-sc, seed 0",
        "digits-lt/ce, seed 1",
        "digits-lt/hybrid-sc, seed 1",
    ]
    assert [each.settings for each in planned[2:]] == [recipe.load(name, {"epochs": 3, "seed": 1}) for name in RECIPES]
    assert planned[3].out == tmp_path / "digits-lt/hybrid-sc/seed-1"
    assert not list(tmp_path.iterdir())


def test_a_budget_is_a_setting(tmp_path: Path) -> None:
    (planned,) = runner.plan(["digits-lt/ce"], [0], tmp_path, budget="2m")
    assert planned.settings.model_dump()["budget"] == 120


@pytest.mark.parametrize(
    ("names", "overrides", "words"),
    [
        (["digits-lt/ce", "digits-lt/ce"], [], ["digits-lt/ce", "a name of its own"]),
        (["digits-lt/cee"], [], ["unknown recipe", "digits-lt/ce"]),
        (["digits-lt/ce"], ["epohcs=3"], ["unknown setting epohcs"]),
    ],
)
def test_a_mistake_is_found_while_planning(tmp_path: Path, names: list[str], overrides: list[str], words: list[str]):
    with pytest.raises(ValueError, match=r"\S") as error:
        runner.plan(names, [0], tmp_path, overrides=overrides)
    one_line(error, *words)


# --- what is there already --------------------------------------------------------------------------------------------


def test_the_first_difference_is_named() -> None:
    one = recipe.load("digits-lt/ce")
    assert runner.difference(one, one) is None
    assert runner.difference(one, recipe.load("digits-lt/ce", {"seed": 4}), but=["seed"]) is None
    assert runner.difference(one, recipe.load("digits-lt/ce", {"method.sampling": "balanced"})) == (
        "method.sampling",
        "instance",
        "balanced",
    )
    other = recipe.load("digits-lt/ce", {"method.kind": "logit-adjustment"})
    assert runner.difference(one, other) == ("method.kind", "ce", "logit-adjustment")
    assert runner.difference(one, other, but=["method"]) is None
    # A setting that only one of them has.
    assert runner.difference(one, other, but=["method.kind"]) == ("method.sampling", "instance", None)


def test_a_folder_with_other_settings_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    planned = runner.plan(RECIPES, [0], tmp_path, overrides=["epochs=3"])
    begin(planned[1].out, recipe.load("digits-lt/hybrid-sc", {"epochs": 5}))
    with pytest.raises(ValueError, match="other settings") as error:
        runner.run_all(planned)
    one_line(error, planned[1].out, "epochs is 5 there and 3 here", "--out")
    assert not planned[0].out.exists()


def test_finished_runs_of_different_data_are_refused(tmp_path: Path) -> None:
    runs = [begin(tmp_path / str(n), recipe.load("digits-lt/ce")) for n in range(3)]
    record = {
        "fingerprint": "a",
        "split": "test",
        "class_names": ["x"],
        "counts": [1],
        "train": [1],
        "validation": [],
        "test": [],
    }
    for run, train in zip(runs, ([1], [1], [2]), strict=True):
        records.write_json(run.split, {**record, "train": train, "notes": [str(run.path)]})
        records.write_json(run.summary(), {})
    runner.check_data(runs[:2])
    with pytest.raises(ValueError, match="different data") as error:
        runner.check_data(runs)
    one_line(error, runs[2].path, runs[0].path, "train of split.json")
    runs[2].summary().unlink()
    runner.check_data(runs)  # an unfinished run is looked at when it has finished


def test_a_run_is_finished_when_it_has_results(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert not runner.is_finished(run)
    begin(tmp_path / "run", recipe.load("digits-lt/ce"))
    run = RunDir(tmp_path / "run")
    assert not runner.is_finished(run)
    records.write_json(run.summary(), {})
    assert runner.is_finished(run)


# --- trainings that fail ----------------------------------------------------------------------------------------------


def test_a_training_is_started_from_a_file_that_says_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, tmp_path, "import json, sys\nsys.stderr.write(json.dumps(sys.argv[1:]))\nsys.exit(2)")
    (planned,) = runner.plan(["digits-lt/ce"], [3], tmp_path, overrides=["epochs=3"], budget="2m")
    lines = list[str]()
    with pytest.raises(ValueError, match=r"\S"):
        runner.run_all([planned], runner.Execution(Path("data"), "cpu", progress=lines.append))
    command = json.loads(lines[0].partition(": digits-lt/ce, seed 3: ")[2])
    file = tmp_path / "digits-lt/ce/seed-3.yaml"
    assert command == ["train", str(file), "--out", str(planned.out), "--device", "cpu", "--data-root", "data"]
    assert recipe.load(str(file)) == planned.settings


def test_a_mistake_in_a_training_is_reported_in_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, tmp_path, "import sys\nsys.stderr.write('hello\\nerror: no such data\\n')\nsys.exit(2)")
    shown = list[str]()
    with pytest.raises(ValueError, match=r"^digits-lt/ce, seed 0: no such data$"):
        runner.run_all(runner.plan(RECIPES, [0], tmp_path), runner.Execution(progress=shown.append))
    assert shown == ["1 of 2: digits-lt/ce, seed 0: hello", "1 of 2: digits-lt/ce, seed 0: error: no such data"]


def test_a_training_that_was_killed_can_be_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ValueError, match="code -9") as error:
        runner.run_all(runner.plan(RECIPES, [0], tmp_path))
    one_line(error, "digits-lt/ce, seed 0", "the same command goes on")


def test_a_training_that_was_interrupted_interrupts_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, tmp_path, "import sys\nsys.exit(130)")
    with pytest.raises(KeyboardInterrupt):
        runner.run_all(runner.plan(RECIPES, [0], tmp_path))


# Says that it is there, and takes its time to save when it is interrupted.
PATIENT = """
import signal, sys, time
from pathlib import Path
saved = []
def save(number, frame):
    time.sleep(0.5)
    Path(sys.argv[0]).with_suffix(".saved").write_text(f"signal {number}")
    sys.exit(130)
signal.signal(signal.SIGINT, save)
print("ready", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_passed_on_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    program(monkeypatch, tmp_path, PATIENT)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        runner.run_all(
            runner.plan(RECIPES, [0], tmp_path), runner.Execution(progress=lambda _: os.kill(os.getpid(), number))
        )
    assert (tmp_path / "program.saved").read_text() == f"signal {signal.SIGINT.value}"
    assert signal.getsignal(number) == before


def test_the_time_left_is_that_of_trainings_like_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(runner, "_now", lambda: now[0])
    planned = runner.plan(RECIPES, range(3), tmp_path)
    pace = runner._Pace(planned)
    assert pace.left(planned, 0) == "", "nothing is known yet"
    pace.add(planned[0], 100)
    assert pace.left(planned[1:], 0) == "; about 8:20 left for all", "the other recipe may be as fast"
    pace.add(planned[1], 200)
    now[0] = 30
    assert pace.left(planned[2:], 0) == "; about 9:30 left for all"
    now[0] = 1000
    assert pace.left(planned[2:], 0) == "; about 0:00 left for all"
    assert pace.left([], 0) == ""
