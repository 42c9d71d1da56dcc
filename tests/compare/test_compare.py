"""Comparing recipes from the command line: killed, taken up again, extended, and what is refused."""

import csv
import signal
import sys
import time
from pathlib import Path

import pytest

from longtail import metrics, recipe
from longtail.cli import main
from longtail.compare import compare, runner
from longtail.runs.folder import RunDir
from longtail.training import train
from support import small_trainings
from support.messages import one_line

CHANGES = (
    "epochs=2",
    "tensorboard=false",
    "log_every=1",
    "network.width=4",
    "data.n_max=40",
    "data.imbalance=20",
    "batch_size=32",
)
RECIPES = ("digits-lt/ce", "digits-lt/logit-adjustment")

# Trainings that do a step, and then nothing for so long that they can be interrupted in between.
SLOW = """
import time
from longtail.cli import main
from longtail.training import loop

whole = loop.step_batches
loop.step_batches = lambda *arguments: (batches for number, batches in enumerate(whole(*arguments)) if not (
    time.sleep(0.5 * number)))
main.main()
"""
# A comparison whose trainings are that slow.
SLOWLY = """
import sys
from longtail.cli import main
from longtail.compare import runner

runner._PROGRAM = (sys.executable, {slow!r})
main.main()
"""


def arguments(out: Path, *more: str) -> list[str]:
    sets = [part for each in CHANGES for part in ("--set", each)]
    return ["compare", *RECIPES, "--out", str(out), "--device", "cpu", *sets, *more]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longtail", *arguments])
        with pytest.raises(SystemExit) as caught:
            main.main()
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return run


@pytest.mark.slow
def test_it_is_killed_goes_on_and_is_extended(command, tmp_path: Path) -> None:
    out, slow, slowly = tmp_path / "out", tmp_path / "slow.py", tmp_path / "slowly.py"
    slow.write_text(SLOW)
    slowly.write_text(SLOWLY.format(slow=str(slow)))
    first = RunDir(out / "digits-lt/ce/seed-0")

    process = small_trainings.command(*arguments(out, "--seeds", "1"), script=slowly)
    while not list(first.read_log()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, told = small_trainings.finish(process, code=130)
    assert said == ""
    assert told.splitlines()[-1].startswith("interrupted; continue with: longtail compare digits-lt/ce ")
    assert first.checkpoint.exists() and not first.summary().exists()
    assert not (out / "compare.md").exists()

    code, said, told = command(*arguments(out, "--seeds", "1"))
    assert code == 0, told
    assert "1 of 2: digits-lt/ce, seed 0: top-1 " in told
    assert "One seed of each" in said
    assert len(small_trainings.json_of(first.environment)["resumed"]) == 1
    train.train(recipe.load(RECIPES[0], recipe.parse_overrides(CHANGES)), tmp_path / "whole", device="cpu")
    assert first.predictions().read_bytes() == RunDir(tmp_path / "whole").predictions().read_bytes()

    before = first.weights.stat().st_mtime_ns
    code, said, told = command(*arguments(out, "--seeds", "2"))
    assert code == 0, told
    assert "2 of 4 trainings are done already" in told
    assert first.weights.stat().st_mtime_ns == before
    assert said.startswith("500 test images; 2 seeds; means in % ± standard deviation\n\nrecipe ")
    assert "logit-adjustment against ce: top-1 " in said and "Two seeds of each" in said
    check_files(out)

    code, said, told = command(*arguments(out, "--set", "epochs=3"))
    assert (code, said) == (2, "")
    assert told.startswith(f"error: {first.path} holds a run with other settings: epochs is 2 there and 3 here; ")


def check_files(out: Path) -> None:
    content = small_trainings.json_of(out / "compare.json")
    assert content["seeds"] == [0, 1]
    for name in RECIPES:
        summaries = [RunDir(out / name / f"seed-{seed}").read_summary() for seed in (0, 1)]
        found = content["methods"][name.partition("/")[2]]["metrics"]
        assert found["top1"]["values"] == [summary.top1 for summary in summaries]
        assert found["few"]["values"] == [summary.few for summary in summaries]
    assert content["protocol"][0] == "Recipes: digits-lt/ce, digits-lt/logit-adjustment."
    assert content["protocol"][2].startswith("Changed settings, for all: epochs=2, ")
    assert "of all 2 seeds" in (out / "report.html").read_text()
    page = (out / "compare.md").read_text()
    assert all(f"- {line}\n" in page for line in (*content["protocol"], *content["findings"]))
    with (out / "compare.csv").open() as file:
        assert {row["recipe"] for row in csv.DictReader(file)} == {"ce", "logit-adjustment"}


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[runner.Training]:
    """What would be trained, if it were."""
    monkeypatch.setattr(runner, "run_all", lambda *_, **__: pytest.fail("something was trained"))
    return runner.plan(RECIPES, [0], tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data: {name: digits, imbalance: 50}", ["data.imbalance is 100.0 and 50.0"]),
        ("data: {name: digits, profile: step}", ["data.profile is 'exponential' and 'step'"]),
        ("data: {name: cifar10}", ["data.name is 'digits' and 'cifar10'"]),
        ("split: validation", ["split is null and 'validation'"]),
        ("groups: {many: 50}", ["groups.many is 100 and 50"]),
    ],
)
@pytest.mark.usefixtures("planned")
def test_recipes_of_other_data_are_refused(tmp_path: Path, change: str, words: list[str]) -> None:
    name = change.partition(":")[0]
    lines, inside = list[str](), False
    for line in recipe.text_of("digits-lt/ce").splitlines():
        inside = line.startswith(f"{name}:") or (inside and line.startswith(" "))
        lines += [] if inside else [line]
    other = tmp_path / "other.yaml"
    other.write_text("\n".join([*lines, change]) + "\n")
    with pytest.raises(ValueError, match="cannot be compared") as error:
        compare.compare(["digits-lt/ce", str(other)], tmp_path / "out")
    one_line(error, "digits-lt/ce and other", *words)


def test_how_images_are_shown_may_differ(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    text = recipe.text_of("digits-lt/ce")
    other.write_text(text.replace("  imbalance: 100", "  imbalance: 100\n  image_size: 32\n  in_memory: false"))
    compare._check_comparable(runner.plan(["digits-lt/ce", str(other)], [0], tmp_path))


def test_runs_about_other_images_are_refused(tmp_path: Path) -> None:
    planned = runner.plan(RECIPES, [0], tmp_path)
    for training, seed in zip(planned, (0, 1), strict=True):
        changed = [*CHANGES, "epochs=1", f"data.seed={seed}"]
        train.train(recipe.load(training.recipe, recipe.parse_overrides(changed)), training.out, device="cpu")
    with pytest.raises(ValueError, match="had different data") as error:
        compare.read(planned)
    one_line(error, planned[0].out, planned[1].out, "train of split.json")


def test_results_are_those_of_the_summaries(tmp_path: Path) -> None:
    (training,) = planned = runner.plan(RECIPES[:1], [0], tmp_path, overrides=CHANGES)
    summary = train.train(training.settings, training.out, device="cpu")
    found = compare.read(planned)
    assert found.images == summary.images and found.split == "test" and found.even
    for metric, values in found.values["ce"].items():
        assert values == [summary.figures[metric]]
    outcomes = compare._outcomes(RunDir(training.out))
    logits = RunDir(training.out).read_predictions().logits
    assert outcomes.confidences == pytest.approx(metrics.softmax(logits).max(1))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seeds", "0"], ["--seeds", "it is 0; allowed: at least 1"]),
        (["--set", "epohcs=1"], ["unknown setting epohcs"]),
        (["--set", "method.temperature=1"], ["setting method.temperature does not go with method.kind ce"]),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(command, tmp_path: Path, more: list[str], words: list[str]) -> None:
    code, said, told = command(*arguments(tmp_path / "out", *more))
    assert (code, said) == (2, "")
    assert told.startswith("error: ") and told.count("\n") == 1
    assert all(word in told for word in words), told
    assert not (tmp_path / "out").exists()
