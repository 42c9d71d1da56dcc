"""The paper's rows at their full 200 epochs: trains them, and writes what came of each.

Usage: python benchmarks/paper_rows.py --runs DIR --data-root DIR [--rows ROW ...] [--seeds 1] [--jobs 2] [--minutes M]

Rows are trained in the order given, `--jobs` at a time with `--threads` threads each: two trainings of one thread do
more images together than one of two threads, and lose less beside other programs. What is finished is left alone, and
what was interrupted goes on where it stopped, so the same command can be given again and again. SIGTERM, Ctrl-C and the
end of `--minutes` save every training. After each row `paper_rows.json` is written anew from the run folders, and from
it `paper_rows.md` and `paper_rows.svg`. `--jobs 0` trains nothing and only writes.
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from longtail import recipe
from measure import HERE, table

KEPT = HERE / "paper_rows.json"
# The order in which they matter: the paper's own table from its hardest column, then what the paper compares with.
ROWS = (
    "cifar100-lt-100/hybrid-psc",
    "cifar100-lt-100/hybrid-sc",
    "cifar100-lt-50/hybrid-psc",
    "cifar100-lt-10/hybrid-psc",
    "cifar10-lt-10/hybrid-sc",
    "cifar100-lt-100/logit-adjustment",
    "cifar100-lt-100/ce",
    "cifar100-lt-50/hybrid-sc",
    "cifar100-lt-10/hybrid-sc",
    "cifar10-lt-10/hybrid-psc",
    "cifar10-lt-50/hybrid-sc",
    "cifar10-lt-50/hybrid-psc",
    "cifar10-lt-100/hybrid-sc",
    "cifar10-lt-100/hybrid-psc",
)
GROUPS = ("many", "medium", "few")


@dataclass(frozen=True)
class Result:
    """A finished row, with one seed.

    Args:
        row: the recipe.
        seed: of the run.
        top1: of the last epoch, as a fraction, and of its many-, medium- and few-shot classes.
        many: see `top1`.
        medium: see `top1`.
        few: see `top1`.
        images: that were evaluated.
        epochs: of the training.
        hours: that the training took, without interruptions.
        precision: of the networks.
        machine: processor, vectors, threads; or the GPU.
        commit: of the code.
        curve: epochs and top-1 of the evaluations during training.
    """

    row: str
    seed: int
    top1: float
    many: float
    medium: float
    few: float
    images: int
    epochs: int
    hours: float
    precision: str
    machine: str
    commit: str
    curve: tuple[tuple[int, float], ...]

    @property
    def error(self) -> float:
        """Standard error of top-1 from the number of images alone: other seeds vary as well."""
        return math.sqrt(self.top1 * (1 - self.top1) / self.images)


def folder(runs: Path, row: str, seed: int) -> Path:
    """The run folder of a row."""
    return runs / (row.replace("/", "-") + (f"-seed-{seed}" if seed else ""))


def read(path: Path, row: str, seed: int) -> Result | None:
    """What came of a row; `None` if it is not finished."""
    if not (path / "summary.json").is_file():
        return None
    summary, place = _json(path / "summary.json"), _json(path / "environment.json")
    log = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    machine = place["gpu"] if place["device"] != "cpu" else f"{place['vectors']}, {place['threads']} thread(s)"
    return Result(
        row,
        seed,
        summary["top1"],
        *(summary[group] for group in GROUPS),
        images=summary["images"],
        epochs=recipe.load(str(path / "recipe.yaml")).epochs,
        hours=max(line["seconds"] for line in log if "seconds" in line) / 3600,
        precision=place["precision"],
        machine=machine,
        commit=place["commit"] or "not known",
        curve=tuple((line["epoch"] + 1, line["top1"]) for line in log if "split" in line),
    )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def epoch_of(path: Path) -> int:
    """Epochs that an unfinished row has done, by its log."""
    log = path / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return json.loads(lines[-1])["epoch"] if lines else 0


class Queue:
    """Trainings that wait, and those that run, each a `longtail train` or `longtail resume` in a process of its own."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.running, self.failed = options, dict[subprocess.Popen[bytes], tuple[str, int]](), list[str]()
        every = [(row, seed) for seed in range(options.seeds) for row in options.rows]
        self.waiting = [each for each in every if read(folder(options.runs, *each), *each) is None]

    def fill(self) -> None:
        """Start trainings until as many run as may."""
        while self.waiting and len(self.running) < self.options.jobs:
            row, seed = self.waiting.pop(0)
            path = folder(self.options.runs, row, seed)
            more = ["--data-root", str(self.options.data_root)]
            command = ["resume", str(path), *more]
            if not (path / "recipe.yaml").exists():
                command = [
                    "train",
                    row,
                    "--out",
                    str(path),
                    "--seed",
                    str(seed),
                    "--device",
                    self.options.device,
                    *more,
                ]
            threads = {"OMP_NUM_THREADS": str(self.options.threads)}
            with path.with_suffix(".log").open("ab") as log:
                started = subprocess.Popen(
                    [sys.executable, "-m", "longtail.cli", *command],
                    stderr=log,
                    stdout=log,
                    env={**os.environ, **threads},
                )
            self.running[started] = (row, seed)

    def ended(self) -> bool:
        """Whether a training has ended since this was asked last; a failure is kept for the end, and others go on."""
        done = [process for process in self.running if process.poll() is not None]
        for process in done:
            row, seed = self.running.pop(process)
            if process.returncode:
                self.failed.append(f"{row}, seed {seed}: exit code {process.returncode}, see its log")
        return bool(done)

    def stop(self) -> None:
        """Let every training save and end."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait()


def train(options: argparse.Namespace) -> int:
    """Train until all is done or the time is over; the exit code."""
    options.runs.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * options.minutes if options.minutes else math.inf
    stopped = list[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _: stopped.append(which))
    queue = Queue(options)
    queue.fill()
    while queue.running and not stopped and time.monotonic() < ends:
        time.sleep(1.0)
        if queue.ended():
            write(options)
            queue.fill()
    queue.stop()
    for line in queue.failed:
        sys.stderr.write(line + "\n")
    return 130 if stopped else 1 if queue.failed else 0


# What is written.


def write(options: argparse.Namespace) -> None:
    """The results: those of the run folders, and for rows without one those that were kept before."""
    kept = {(each["row"], each["seed"]): each for each in (json.loads(KEPT.read_text()) if KEPT.is_file() else [])}
    for row in ROWS:
        for seed in range(options.seeds):
            found = read(folder(options.runs, row, seed), row, seed)
            if found is not None:
                kept[row, seed] = asdict(found)
    KEPT.write_text(json.dumps([*kept.values()], indent=1) + "\n", encoding="utf-8")
    results = [Result(**each) for each in kept.values()]
    going = {row: epoch_of(path) for row in ROWS if (path := folder(options.runs, row, 0)).is_dir()}
    HERE.joinpath("paper_rows.md").write_text(page(results, going), encoding="utf-8")
    if results:
        picture(results, HERE / "paper_rows.svg")


def page(results: list[Result], going: dict[str, int]) -> str:
    """All rows in a table, with what is not finished."""
    rows = []
    for name in ROWS:
        settings = recipe.load(name)
        published = settings.published.top1 if settings.published else None
        found = [each for each in results if each.row == name]
        if not found:
            state = f"epoch {going[name]} of {settings.epochs}" if going.get(name) else "not begun"
            rows.append([f"`{name}`", *["-"] * 2, state, *["-"] * 3, _percent(published), *["-"] * 5])
        rows += [_cells(each, published) for each in found]
    columns = ["row", "seed", "epochs", "top-1 % ± s.e.", "many", "medium", "few", "published", "difference", "hours"]
    text = [
        "# The paper's rows",
        "",
        "What Hybrid-SC and Hybrid-PSC reach when they are trained as the paper says, 200 epochs with ResNet-32, and",
        "what the methods reach that they are compared with: the last epoch, on 5,000 test images, half of CIFAR's",
        "test split. The standard error is that of so many images; other seeds vary as well. One row: `longtail train",
        "ROW --data-root DIR`; all of them: `python benchmarks/paper_rows.py --runs DIR --data-root DIR`.",
        "",
        table([*columns, "precision", "machine", "commit"], rows),
    ]
    if results:
        text += ["", "![Top-1 over the epochs, and the published figures](paper_rows.svg)"]
    return "\n".join(text) + "\n"


def _cells(each: Result, published: float | None) -> list[str]:
    difference = "-" if published is None else f"{100 * (each.top1 - published):+.2f}"
    figures = [_percent(getattr(each, group)) for group in GROUPS]
    top1 = f"{100 * each.top1:.2f} ± {100 * each.error:.2f}"
    where = [each.precision, each.machine, each.commit]
    before = [f"`{each.row}`", str(each.seed), str(each.epochs), top1, *figures]
    return [*before, _percent(published), difference, f"{each.hours:.1f}", *where]


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"


def picture(results: list[Result], file: Path) -> None:
    """Top-1 over the epochs of every row, with the published figure as a line of the same colour."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, each in enumerate(results):
        epochs, values = zip(*each.curve, strict=True)
        (line,) = axes.plot(epochs, [100 * value for value in values], label=f"{each.row}, seed {each.seed}")
        published = recipe.load(each.row).published
        if published:
            axes.axhline(100 * published.top1, color=line.get_color(), linestyle=":", linewidth=1, zorder=number)
    axes.set(xlabel="epoch", ylabel="top-1 on test (%)", ylim=(0, None))
    axes.legend(fontsize="small")
    figure.savefig(file)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the run folders")
    parser.add_argument("--data-root", type=Path, required=True, help="folder with CIFAR")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS, metavar="ROW")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each row, from 0")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time; 0: only write the results")
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--minutes", type=float, help="save and end after this time")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    code = train(options) if options.jobs else 0
    write(options)
    sys.exit(code)


if __name__ == "__main__":
    main()
