"""Rows of papers: what counts, what does not, and what is told of rows that have not been run."""

import json
import math
import shutil
import sys
from pathlib import Path

import pytest

from longtail import recipe
from longtail.cli import main
from longtail.compare import reproduce
from longtail.recipe import Published
from longtail.runs.folder import RunDir
from longtail.training import train
from support.messages import one_line

ROW = "digits-lt/ce"
FIGURE = Published(top1=0.8, source="nobody 2099")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole row, as it is shipped."""
    path = tmp_path_factory.mktemp("runs") / "seed-0"
    train.train(recipe.load(ROW), path, device="cpu")
    return path


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits, as if a paper had reported them."""
    monkeypatch.setattr(reproduce, "published", lambda: {ROW: FIGURE, "digits-lt/hybrid-sc": FIGURE})


def begin(out: Path, *overrides: str) -> RunDir:
    """A run with changes that has just begun."""
    run = RunDir(out)
    run.make()
    run.write_recipe(recipe.dump(recipe.load(ROW, recipe.parse_overrides(overrides))))
    return run


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_the_shipped_recipes_with_a_figure() -> None:
    rows = reproduce.published()
    assert rows["cifar100-lt-100/hybrid-sc"].top1 == 0.4672
    assert not {name for name in rows if name.startswith(("digits-lt/", "own/"))}
    assert reproduce.chosen([]) == [*rows]
    assert reproduce.chosen(["inaturalist2018"]) == ["inaturalist2018/hybrid-psc", "inaturalist2018/hybrid-sc"]
    both = ["inaturalist2018/hybrid-sc", "inaturalist2018/"]
    assert reproduce.chosen(both) == ["inaturalist2018/hybrid-sc", "inaturalist2018/hybrid-psc"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar100-lt-100/hybrid", ["unknown recipe", "cifar100-lt-100/hybrid-sc"]),
        ("digits-lt/ce", ["digits-lt/ce has no published figure", "longtail train"]),
    ],
)
def test_what_is_no_row_is_refused(tmp_path: Path, name: str, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\S") as error:
        reproduce.reproduce([name], tmp_path)
    one_line(error, *words)


@pytest.mark.parametrize(("figure", "images"), [(0.4497, 10_000), (0.681, 24_426), (0.9, 500)])
def test_tolerance_is_a_point_and_the_standard_error(figure: float, images: int) -> None:
    error = math.sqrt(figure * (1 - figure) / images)
    assert reproduce.tolerance(figure, images) == pytest.approx(0.01 + error)
    assert reproduce.tolerance(1.0, images) == 0.01


@pytest.mark.parametrize(
    ("ours", "verdict"), [(0.80, "reproduced"), (0.814, "reproduced"), (0.816, "above"), (0.78, "below")]
)
def test_verdict(ours: float, verdict: str) -> None:
    found = reproduce.Row(ROW, 0.8, "nobody 2099", ours=ours, tolerance=0.015)
    assert found.verdict == verdict
    assert found.difference == pytest.approx(ours - 0.8)
    assert reproduce.Row(ROW, 0.8, "nobody 2099").verdict == "not run"


# --- what has been run ------------------------------------------------------------------------------------------------


def test_a_row_that_was_not_run_says_so(tmp_path: Path) -> None:
    found = reproduce.read(ROW, FIGURE, tmp_path)
    assert found == reproduce.Row(ROW, 0.8, "nobody 2099")
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "not run"


def test_a_run_as_shipped_counts_with_all_that_belongs_to_it(tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished, tmp_path / ROW / "seed-0")
    summary = RunDir(finished).read_summary()
    found = reproduce.read(ROW, FIGURE, tmp_path)
    assert (found.seeds, found.values, found.ours) == ((0,), (summary.top1,), summary.top1)
    assert found.images == 500
    assert found.tolerance == reproduce.tolerance(0.8, 500)
    assert found.seconds is not None and found.seconds > 0
    assert len(found.hardware) == len(found.versions) == 1
    assert found.versions[0].startswith("0.")
    assert found.remarks == ()


def test_several_seeds_are_averaged(tmp_path: Path, finished: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(finished, tmp_path / ROW / f"seed-{seed}")
    run = RunDir(tmp_path / ROW / "seed-1")
    run.write_recipe(recipe.dump(recipe.load(ROW, {"seed": 1})))
    found = reproduce.read(ROW, FIGURE, tmp_path)
    assert found.seeds == (0, 1)
    assert found.ours == pytest.approx(RunDir(finished).read_summary().top1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("epochs=5", "epochs is 5, not 60 as in the row"),
        ("batch_size=32", "batch_size is 32, not 64 as in the row"),
        ("data.image_size=32", "data.image_size is 32, not null as in the row"),
        ("split=validation", "split is 'validation', not null as in the row"),
        ("ema=0.9", "ema is 0.9, not null as in the row"),
    ],
)
def test_another_protocol_is_told_and_does_not_count(tmp_path: Path, finished: Path, change: str, why: str) -> None:
    shutil.copytree(finished, tmp_path / ROW / "seed-7")
    run = RunDir(tmp_path / ROW / "seed-7")
    run.write_recipe(recipe.dump(recipe.load(ROW, recipe.parse_overrides([change, "seed=7"]))))
    found = reproduce.read(ROW, FIGURE, tmp_path)
    assert found.ours is None and found.verdict == "not run"
    assert found.remarks == (f"seed-7 does not count: {why}",)


def test_what_has_not_finished_or_cannot_be_read_does_not_count(tmp_path: Path) -> None:
    begin(tmp_path / ROW / "seed-0")
    damaged = begin(tmp_path / ROW / "seed-1", "seed=1")
    damaged.write_recipe("epohcs: 3\n")
    (tmp_path / ROW / "nothing").mkdir()
    unfinished, unknown = reproduce.read(ROW, FIGURE, tmp_path).remarks
    assert unfinished == "seed-0 does not count: it has not finished"
    assert unknown.startswith("seed-1 does not count: unknown setting epohcs")


@pytest.mark.usefixtures("row")
def test_a_folder_with_another_protocol_is_never_trained_into(tmp_path: Path) -> None:
    begin(tmp_path / "digits-lt/hybrid-sc/seed-0", "epochs=5")
    with pytest.raises(ValueError, match="other settings") as error:
        reproduce.reproduce(["digits-lt"], tmp_path)
    one_line(error, "digits-lt/hybrid-sc/seed-0", "--out")
    assert not (tmp_path / ROW).exists(), "all rows are looked at before the first is trained"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longtail", "reproduce", *arguments])
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_all_rows_are_listed_and_nothing_is_trained(command, tmp_path: Path) -> None:
    code, said, told = command()
    assert code == 0
    header, _, *rows = said.splitlines()
    assert header.split()[:3] == ["row", "published", "ours"]
    assert [line.split()[0] for line in rows] == [*reproduce.published()]
    assert all("not run" in line for line in rows)
    assert told.startswith(f"0 of {len(rows)} rows run")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("row")
def test_a_row_is_trained_as_shipped_and_not_again(command, tmp_path: Path, finished: Path) -> None:
    code, said, told = command(ROW, "--device", "cpu", "--out", "rows")
    assert code == 0, told
    assert f"1 of 1: {ROW}, seed 0: top-1 " in told
    run = RunDir(tmp_path / "rows" / ROW / "seed-0")
    # Summaries, not bits: this process may use other threads than that of the command.
    assert run.read_summary().top1 == pytest.approx(RunDir(finished).read_summary().top1, abs=0.05)
    assert f"{run.read_summary().top1:.2%}" in said
    before = run.weights.stat().st_mtime_ns
    code, said, told = command(ROW, "--out", "rows", "--json")
    (row,) = json.loads(said)
    assert (row["recipe"], row["published"], row["images"], row["seeds"]) == (ROW, 0.8, 500, [0])
    assert row["ours"] == run.read_summary().top1
    assert "1 of 1 trainings are done already" in told
    assert run.weights.stat().st_mtime_ns == before


def test_no_setting_can_be_changed(command, tmp_path: Path) -> None:
    code, said, told = command("cifar100-lt-100/ce", "--set", "epochs=1")
    assert (code, said) == (2, "")
    assert told == "error: --set 'epochs=1' would make another row of it; allowed with reproduce: none\n"
    assert not list(tmp_path.iterdir())
