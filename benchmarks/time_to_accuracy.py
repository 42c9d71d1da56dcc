"""Accuracy against reference minutes: the fast recipes, and others cut to the same time.

Usage: python benchmarks/time_to_accuracy.py --data-root DIR --rows fast ce-15 [--seeds 3]

Rows that are not named are not trained. What is finished is left alone and what was interrupted goes on, so the same
command can be given again and again. Results are kept in `time_to_accuracy.json`, from which `time_to_accuracy.md` and
`time_to_accuracy.svg` are written each time; an entry that is taken out of it is measured anew if its run is gone too.
A row of 15 minutes takes about 16 for each seed on a machine of 250 images/s (`machine.py`).
"""

import argparse
import json
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import matplotlib.pyplot as plt

import machine
from longtail import networks, recipe
from longtail.compare import runner
from longtail.data import class_counts
from longtail.recipe import build
from longtail.runs import datamodule
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.training import progress
from measure import HERE, about, table

KEPT = HERE / "time_to_accuracy.json"
SET, CIFAR10 = "cifar100-lt-100", "CIFAR-10-LT, imbalance 10"
VALIDATION = ("split=validation", "data.validation=50")
SHARES = ("top1", "many", "medium", "few")
IMAGES = int(class_counts.exponential(500, 100, 100.0).sum())  # that all rows of this set learn from


@dataclass(frozen=True)
class Row:
    """What is trained, once a seed.

    Args:
        recipe: its name.
        minutes: reference minutes, which `--budget` gets.
        words: what it is.
        overrides: changes of settings.
        curve: of the picture on which it lies, in words; rows without one are not in the picture.
    """

    recipe: str
    minutes: float
    words: str
    overrides: tuple[str, ...] = ()
    curve: str = ""


def _cut(minutes: int) -> dict[str, Row]:
    """Other recipes, their schedules cut to the time."""
    names = {
        "ce": "plain cross-entropy, ResNet-32",
        "logit-adjustment": "logit adjustment, ResNet-32",
        "hybrid-psc": "the paper's Hybrid-PSC, ResNet-32",
        "hybrid-sc": "the paper's Hybrid-SC, ResNet-32",
    }
    return {f"{name}-{minutes}": Row(f"{SET}/{name}", minutes, words, (), words) for name, words in names.items()}


RESNET9 = ("network.kind=resnet9", "network.width=32")
RESNET32 = ("network.kind=resnet32",)
_STAGES = "augment.stages=[[0.4,16],[0.7,24]]"
# What `best-hour` was on CIFAR-100 before it was mirrored: more augmentation came with that.
LITTLE = ("augment.stage_scale=1", "augment.trivial_augment=0.5", "augment.cutmix=0")
HOUR_WAS = (*LITTLE, "batch_size=256", "optimizer.lr=0.04", _STAGES)
_LITTLE = "TrivialAugment for half, no CutMix, no cuts"
PLAIN = ("network.mirrored=false",)
SHARP = ("method.smoothing=0",)
SHARP_PLAIN = (*PLAIN, *SHARP)
# What `best-hour` was on CIFAR-10, each with `SHARP_PLAIN`: until 1b53778, before, before that.
SHRUNK = ("augment.stages=[[0.5,16],[0.85,24]]", "augment.stage_scale=1")
UNPRUNED = (*SHRUNK, "batch_size=256", "optimizer.lr=0.04", _STAGES, "pruning=null")
BEFORE = (*UNPRUNED, "batch_size=128", "optimizer.lr=0.03", "precision=fp32")  # as all our recipes were first
_SHRUNK = "not mirrored, without smoothing, small images longer and not cut"
_UNPRUNED = "not mirrored, batches of 256, small images for a shorter part and not cut, without pruning and smoothing"
_WAS = "batches of 128 in float32"
_OURS, _OURS_PLAIN, _WAS_OURS = "fast and best-hour", "fast and best-hour, not mirrored", f"those, {_WAS}"
_OURS32 = "the same with ResNet-32"
ROWS = {
    "fast": Row(f"{SET}/fast", 15, "`fast`, with AMX", (), _OURS),
    "fast-half": Row(f"{SET}/fast", 7.5, "`fast` in half of the time, with AMX", (), _OURS),
    "fast-plain": Row(f"{SET}/fast", 15, "`fast`, not mirrored", PLAIN, _OURS_PLAIN),
    "fast-half-plain": Row(
        f"{SET}/fast", 7.5, "`fast` in half of the time, not mirrored, with AMX", PLAIN, _OURS_PLAIN
    ),
    "fast-before": Row(f"{SET}/fast", 15, f"`fast`, not mirrored, {_WAS}", (*PLAIN, *BEFORE), _WAS_OURS),
    "fast-resnet9": Row(f"{SET}/fast", 15, "`fast` with ResNet-9 of width 32", RESNET9, "fast with ResNet-9"),
    "fast-resnet32": Row(f"{SET}/fast", 15, "`fast` with ResNet-32", RESNET32, _OURS32),
    "fast-resnet32-before": Row(
        f"{SET}/fast", 15, f"`fast` with ResNet-32, {_WAS}", (*RESNET32, *BEFORE), f"{_OURS32}, {_WAS}"
    ),
    **_cut(15),
    "best-hour": Row(f"{SET}/best-hour", 60, "`best-hour`, with AMX", (), _OURS),
    "best-hour-plain": Row(
        f"{SET}/best-hour",
        60,
        f"`best-hour`, not mirrored, {_LITTLE}, batches of 256, small images for a shorter part",
        (*PLAIN, *HOUR_WAS),
        _OURS_PLAIN,
    ),
    "best-hour-512": Row(
        f"{SET}/best-hour",
        60,
        f"`best-hour`, not mirrored, {_LITTLE}, with AMX",
        (*PLAIN, *LITTLE),
        "best-hour, not mirrored, little augmentation, AMX",
    ),
    "best-hour-mixed": Row(
        f"{SET}/best-hour",
        60,
        "`best-hour`, not mirrored, no cuts, with AMX",
        (*PLAIN, "augment.stage_scale=1"),
        "best-hour, not mirrored, AMX",
    ),
    "best-hour-before": Row(
        f"{SET}/best-hour",
        60,
        f"`best-hour`, not mirrored, {_LITTLE}, {_WAS}",
        (*PLAIN, *HOUR_WAS, *BEFORE),
        _WAS_OURS,
    ),
    "best-hour-resnet32": Row(
        f"{SET}/best-hour",
        60,
        f"`best-hour` with ResNet-32, {_LITTLE}, batches of 256, with AMX",
        (*RESNET32, *HOUR_WAS),
        _OURS32,
    ),
    **_cut(60),
    "cifar10-30": Row("cifar10-lt-10/best-hour", 30, f"`best-hour` on {CIFAR10}, in 30 minutes, with AMX"),
    "cifar10-30-sharp": Row(
        "cifar10-lt-10/best-hour", 30, f"`best-hour` on {CIFAR10}, in 30 minutes, without smoothing, with AMX", SHARP
    ),
    "cifar10-30-smooth": Row(
        "cifar10-lt-10/best-hour", 30, f"`best-hour` on {CIFAR10}, in 30 minutes, not mirrored, with AMX", PLAIN
    ),
    "cifar10-30-shrunk": Row(
        "cifar10-lt-10/best-hour",
        30,
        f"`best-hour` on {CIFAR10}, in 30 minutes, {_SHRUNK}, with AMX",
        (*SHARP_PLAIN, *SHRUNK),
    ),
    "cifar10-30-deep": Row(
        "cifar10-lt-10/best-hour",
        30,
        f"`best-hour` on {CIFAR10}, in 30 minutes, three convolutions a stage, {_SHRUNK}, with AMX",
        (*SHARP_PLAIN, *SHRUNK, "network.depth=3"),
    ),
    "cifar10-30-256": Row(
        "cifar10-lt-10/best-hour",
        30,
        f"`best-hour` on {CIFAR10}, in 30 minutes, {_UNPRUNED}",
        (*SHARP_PLAIN, *UNPRUNED),
    ),
    "cifar10-30-amx-256": Row(
        "cifar10-lt-10/best-hour",
        30,
        f"`best-hour` on {CIFAR10}, in 30 minutes, {_UNPRUNED}, with AMX",
        (*SHARP_PLAIN, *UNPRUNED),
    ),
    "cifar10-30-before": Row(
        "cifar10-lt-10/best-hour",
        30,
        f"`best-hour` on {CIFAR10}, in 30 minutes, not mirrored, without smoothing, {_WAS}",
        (*SHARP_PLAIN, *BEFORE),
    ),
    "cifar10-resnet9-30-before": Row(
        "cifar10-lt-10/fast",
        30,
        f"`fast` with ResNet-9 on {CIFAR10}, in 30 minutes, {_WAS}",
        (*RESNET9, *BEFORE),
    ),
    "cifar10-60": Row("cifar10-lt-10/best-hour", 60, f"`best-hour` on {CIFAR10}"),
}
PSC = ("method.kind=hybrid-psc", "batch_size=128")
SGD = ("optimizer.kind=sgd", "optimizer.lr=0.2", "optimizer.nesterov=true", "optimizer.weight_decay=5e-4")
# One ingredient of `fast` left out or changed, the rest as it was before the network was mirrored; on validation,
# seed 0. In half of the time of `fast`: a machine with AMX comes to as many epochs then as the one with AVX-512, where
# `fast` was measured first, in all of it.
ABLATIONS = {
    name: Row(f"{SET}/fast", 7.5, words, overrides)
    for name, words, overrides in (
        ("mirrored", "`fast` as it is", ()),
        ("all", "not mirrored, as all below", PLAIN),
        ("resnet9", "ResNet-9 of width 32 for airbench", RESNET9),
        ("sgd", "SGD with Nesterov momentum for Muon", (*PLAIN, *SGD)),
        ("full-size", "32 pixels all the time, so fewer epochs", (*PLAIN, "augment.stages=[]")),
        ("cut", "small images cut out of larger ones", (*PLAIN, "augment.stage_scale=1.33")),
        ("smoothing", "labels smoothed by 0.1", (*PLAIN, "method.smoothing=0.1")),
        ("no-cutout", "no cutout", (*PLAIN, "augment.cutout=0")),
        ("ce", "no logit adjustment", (*PLAIN, "method.kind=ce")),
        ("fp32", "float32, so fewer epochs", (*PLAIN, "precision=fp32")),
        (
            "hybrid-psc",
            "Hybrid-PSC for logit adjustment: three views for one, so a third of the epochs",
            (*PLAIN, *PSC),
        ),
    )
}


def train(row: Row, seed: int, folder: Path, data_root: Path | None) -> RunDir:
    """Train between two measurements of the machine, or go on with it; a finished run is left alone."""
    run = RunDir(folder / row.recipe / f"seed-{seed}")
    finished = runner.is_finished(run)
    if not finished:
        _note(run, machine.speed())
    begun = run.recipe.is_file()
    budget = recipe.load(str(run.recipe)).budget if begun else 60 * row.minutes / machine.factor(_speeds(run)[-1])
    planned = runner.plan([row.recipe], [seed], folder, overrides=row.overrides, budget=f"{budget:.0f}s")
    with progress.status() as show:
        runner.run_all(planned, runner.Execution(data_root, message=print, progress=show))
    if not finished:
        _note(run, machine.speed())
    return run


def _speeds(run: RunDir) -> list[float]:
    """What the calibrations said, which is kept beside the run."""
    file = run.path.with_suffix(".speeds.json")
    return json.loads(file.read_text()) if file.exists() else []


def _note(run: RunDir, speed: float) -> None:
    run.path.parent.mkdir(parents=True, exist_ok=True)
    run.path.with_suffix(".speeds.json").write_text(json.dumps([*_speeds(run), speed]))


@dataclass(frozen=True)
class Result:
    """What one training gave, in % (without the groups that have no class), and took.

    Args:
        shares: top-1 and that of the groups.
        epochs: as many as the steps make.
        minutes: of the clock.
        reference: minutes.
        speed: images/s of `machine.py`, the mean of both measurements.
        vectors: what PyTorch uses of the processor.
        precision: of the network.
        commit: of the code.

    What was not written down of an old run is `None`.
    """

    shares: dict[str, float]
    epochs: float | None
    minutes: float | None
    reference: float
    speed: float | None
    vectors: str
    precision: str
    commit: str


Results = dict[str, dict[int, Result]]  # by row and seed


def read() -> Results:
    """What is kept of all rows."""
    saved = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return {row: {int(seed): Result(**one) for seed, one in seeds.items()} for row, seeds in saved.items()}


def keep(name: str, seed: int, run: RunDir) -> None:
    """Add a finished run to what is kept."""
    speeds = _speeds(run)
    measured, environment = run.read_summary(), Environment.read(run.environment)
    time = environment.time
    assert time is not None, "all rows have a budget"
    result = Result(
        {key: round(100 * share, 2) for key in SHARES if (share := getattr(measured, key)) is not None},
        round(time.epochs, 1),
        round(time.spent / 60, 1),
        round(machine.reference_minutes(time.spent, *speeds), 1),
        round(mean(speeds), 1),
        environment.vectors or "not known",
        environment.precision or "not known",
        environment.commit or "not known",
    )
    saved = read()
    saved.setdefault(name, {})[seed] = result
    lines = {row: {seed: asdict(one) for seed, one in sorted(seeds.items())} for row, seeds in sorted(saved.items())}
    KEPT.write_text(json.dumps(lines, indent=1) + "\n")


def _mean(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def as_table(rows: dict[str, Row], saved: Results, prefix: str = "") -> str:
    """The finished rows, and which have not been run."""
    lines: list[list[object]] = []
    missing = []
    for name, row in rows.items():
        found = [*saved.get(prefix + name, {}).values()]
        if not found:
            missing.append(row.words + f" ({row.minutes:g} minutes)")
            continue
        shares = [_mean([each.shares[key] for each in found if key in each.shares]) for key in SHARES]
        took = []
        for key, digits in (("epochs", 0), ("minutes", 1), ("reference", 1), ("speed", 0)):
            values = [value for each in found if (value := getattr(each, key)) is not None]
            took.append(f"{mean(values):.{digits}f}" if values else "-")
        where = [
            ", ".join(dict.fromkeys(getattr(each, key) for each in found)) for key in ("vectors", "precision", "commit")
        ]
        lines.append([row.words, len(found), *shares, *took, *where])
    columns = ["what", "seeds", "top-1 %", "many", "medium", "few", "epochs", "minutes", "reference minutes"]
    columns += ["images/s", "processor", "precision", "commit"]
    parts = [table(columns, lines)] * bool(lines) + [f"Not run yet: {'; '.join(missing)}."] * bool(missing)
    return "\n\n".join(parts)


def published() -> dict[str, float]:
    """Top-1 in % that the paper has after 200 epochs of ResNet-32."""
    rows = {name: recipe.load(f"{SET}/{name.lower()}").published for name in ("Hybrid-SC", "Hybrid-PSC")}
    return {name: 100 * row.top1 for name, row in rows.items() if row is not None}


def _parameters(row: Row) -> float:
    """Of backbone and classifier of 100 classes, in millions."""
    one = recipe.load(row.recipe, recipe.parse_overrides(row.overrides))
    return networks.parameters_in_millions(build.classifier(one.network, one.head, classes=100, fetch=False))


def against_the_paper(saved: Results) -> str:
    """How `fast` compares with the paper's own recipe, whose time is estimated, not measured."""
    paper = recipe.load(f"{SET}/hybrid-psc")
    views = paper.epochs * 3 * IMAGES  # two for the feature branch, one for the classifier
    minutes = views / machine.REFERENCE / 60
    said = (
        f"The paper's recipe shows the network {views / 1e6:.1f} million images, three views for each of {IMAGES:,} in "
        f"{paper.epochs} epochs: {minutes:.0f} reference minutes, if nothing but ResNet-32 took time."
    )
    precisions: set[str] = set()
    for name in ("fast", "fast-half", "fast-plain", "fast-half-plain"):
        if found := saved.get(name, {}).values():
            top1, took = mean(each.shares["top1"] for each in found), mean(each.reference for each in found)
            versus = [f"{top1 - share:+.2f} against {share:.2f} of {paper}" for paper, share in published().items()]
            said += f" {ROWS[name].words} takes {took:.1f}, {minutes / took:.0f} times less, and ends at {top1:.2f} %: "
            said += f"{' and '.join(versus)}, as published. It has {_parameters(ROWS[name]):.2f} million parameters."
            precisions |= {each.precision for each in found}
    if precisions:
        said += (
            f" Ours trains in {' or '.join(sorted(precisions))} and the estimate is of fp32; the paper's network has "
            f"{_parameters(ROWS['hybrid-psc-15']):.2f} million parameters."
        )
    return "\n".join(textwrap.wrap(said, 120))


def picture(saved: Results, file: Path) -> None:
    """Top-1 of each row against its reference minutes, with the paper's figures as lines."""
    plt.rcParams["svg.hashsalt"] = SET  # the same names of shapes each time
    figure, axes = plt.subplots(figsize=(8, 5))
    for curve in dict.fromkeys(row.curve for row in ROWS.values() if row.curve):
        points = []
        for found in (saved.get(name, {}).values() for name, row in ROWS.items() if row.curve == curve):
            if found:
                top1 = [each.shares["top1"] for each in found]
                spread = stdev(top1) if len(top1) > 1 else float("nan")  # no bar
                points.append((mean(each.reference for each in found), mean(top1), spread))
        if points:
            minutes, shares, spreads = zip(*sorted(points), strict=True)
            axes.errorbar(minutes, shares, yerr=spreads, fmt="o-", capsize=3, label=curve)
    for name, share in published().items():
        axes.axhline(share, linestyle=":", color="grey")
        axes.annotate(
            f"{name}, published", (0.99, share), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
        )
    axes.set(xlabel="reference minutes", ylabel="top-1 %, CIFAR-100-LT, imbalance 100", xlim=(0, None))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def report(saved: Results, where: str) -> str:
    """All tables as Markdown; `where` is the machine and the commit that wrote it."""
    return f"""# Time to accuracy

CIFAR-100-LT, imbalance 100, {IMAGES:,} training images, where nothing else is said. Last epoch, the 5,000 test images
that were at hand, mean and standard deviation over seeds 0, 1, ... The minutes are those of the command from its start
to its results; writing the report comes after them. A reference minute is one of a machine on which `machine.py`
measures {machine.REFERENCE:.0f} images/s, right before and right after each run. All rows are trained with `--budget`,
so with the whole schedule of the recipe. The budget is set by the measurement before a run and the reference minutes by
the mean of both, so a run can have more or less of them than it was meant to. That measure is in float32,
and so are the paper's recipes and its rivals'; ours train in bfloat16 where the processor has instructions for it
(`precision: auto`; `convolutions-AVX512.md` and, with AMX, `convolutions-AMX.md` say what that is worth).

{as_table(ROWS, saved)}

{against_the_paper(saved)}

![Top-1 against reference minutes](time_to_accuracy.svg)

## What each ingredient is worth

First `fast` as it is, then without mirroring, and that with one thing changed; seed
0, measured on validation images that were held out (50 a class), not on test: one standard error is about 0.7 points.
All have half of its time: a machine with AMX comes to about as many epochs in it as one with AVX-512, where `fast` was
measured first, in all of it.

{as_table(ABLATIONS, saved, "ablations/")}

By `python benchmarks/{Path(__file__).name} --data-root DIR --rows ROWS --ablations ROWS`; `--help` lists the rows.
Written on: {where.removeprefix("Machine: ")}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/time_to_accuracy"))
    parser.add_argument("--rows", nargs="+", default=[], choices=ROWS)
    parser.add_argument("--ablations", nargs="+", default=[], choices=ABLATIONS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    todo = [(name, ROWS[name], seed) for seed in range(options.seeds) for name in options.rows]
    for name in options.ablations:
        row = ABLATIONS[name]
        todo.append((f"ablations/{name}", Row(row.recipe, row.minutes, row.words, (*row.overrides, *VALIDATION)), 0))
    where, saved = about(), read()
    todo = [(name, row, seed) for name, row, seed in todo if seed not in saved.get(name, {})]
    for name, overrides in {(row.recipe, row.overrides) for _, row, _ in todo}:
        try:  # before half a minute of measuring the machine
            datamodule.load(recipe.load(name, recipe.parse_overrides(overrides)), data_root=options.data_root)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    finished: list[tuple[str, int, RunDir]] = []
    try:
        for name, row, seed in todo:
            finished.append((name, seed, train(row, seed, options.runs / name, options.data_root)))
    finally:
        for one in finished:  # at the end: the record of a run says whether files were changed
            keep(*one)
    saved = read()
    (HERE / "time_to_accuracy.md").write_text(report(saved, where))
    picture(saved, HERE / "time_to_accuracy.svg")


if __name__ == "__main__":
    main()
