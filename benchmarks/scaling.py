"""How the cost of training grows: images, batch, threads, and processes.

Usage: python benchmarks/scaling.py --data-root DIR   (25 minutes on two cores; writes benchmarks/scaling.md as it goes)
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from measure import HERE, about, median, table

RECIPE = "cifar100-lt-100/hybrid-psc"


def steps(data_root: str, *overrides: str, devices: int = 1, threads: int = 2) -> list[float]:
    """Seconds of each step of a short training, without the first three."""
    out = Path(tempfile.mkdtemp()) / "run"
    settings = ("epochs=1", "tensorboard=false", "log_every=1", *overrides)
    sets = [part for override in settings for part in ("--set", override)]
    run = ["--data-root", data_root, "--out", str(out), "--device", "cpu", "--devices", str(devices)]
    subprocess.run(
        [sys.executable, "-m", "longtail.cli", "train", RECIPE, *run, *sets],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        check=True,
        capture_output=True,
    )
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    times = [line["seconds"] for line in lines if "seconds" in line]
    shutil.rmtree(out.parent)
    return [after - before for before, after in pairwise(times[2:])]


def processes(data_root: str, rounds: int) -> str:
    """One process with two threads against two with one each, in turns."""
    rows: list[list[object]] = []
    for shared in ("true", "false"):
        setup = ("data.n_max=150", "batch_size=256", f"sync_batchnorm={shared}")
        ratios, one, two = [], [], []
        for _ in range(rounds):
            one.append(median(steps(data_root, *setup)))
            two.append(median(steps(data_root, *setup, devices=2, threads=1)))
            ratios.append(one[-1] / two[-1])
        rows.append([shared, *(768 / median(times) for times in (one, two)), median(ratios)])
    columns = [
        "shared batch statistics",
        "1 process x 2 threads, images/s",
        "2 processes x 1 thread, images/s",
        "ratio",
    ]
    return table(columns, rows)


def batch_sizes(data_root: str) -> str:
    rows: list[list[object]] = []
    for batch in (64, 128, 256, 512):
        seconds = median(steps(data_root, "data.n_max=300", f"batch_size={batch}"))
        rows.append([batch, seconds, 3 * batch / seconds])
    return table(["batch", "seconds a step", "images/s"], rows)


def image_counts(data_root: str) -> str:
    rows: list[list[object]] = []
    for n_max in (100, 200, 400):
        times = steps(data_root, f"data.n_max={n_max}", "batch_size=128")
        rows.append([n_max, len(times) + 3, median(times), (len(times) + 3) * median(times)])
    return table(["images of the most frequent class", "steps an epoch", "seconds a step", "seconds an epoch"], rows)


def thread_counts(data_root: str, rounds: int) -> str:
    pairs = [
        [median(steps(data_root, "data.n_max=100", "batch_size=256", threads=threads)) for threads in (1, 2)]
        for _ in range(rounds)
    ]
    speeds = [768 / median([pair[i] for pair in pairs]) for i in (0, 1)]
    gain = median([one / two for one, two in pairs])
    return table(["threads", "images/s", "gain"], [[1, speeds[0], 1.0], [2, speeds[1], gain]])


def report(sections: dict[str, str], *, missing: list[str]) -> str:
    """What has been measured so far."""
    text = "\n\n".join(f"## {name}\n\n{section}" for name, section in sections.items())
    rest = f"Not measured in this run: {', '.join(missing)}.\n\n" if missing else ""
    return f"""# Scaling

Hybrid-PSC, ResNet-32, CIFAR-100-LT, three views of `batch` images a step; images/s counts views. Medians over the steps
of one short run; what is compared was run in turns. The goal for two processes against two threads is 0.95. A ratio is
the median of the ratios within a turn, and the speeds beside it are medians over all turns: where the two disagree, the
machine changed from turn to turn, and the row says little.

{text}

{rest}Cost against classes is in [losses.md](losses.md).

By `python benchmarks/{Path(__file__).name} --data-root DIR`. {about()}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sections = {
        "Processes": lambda: processes(options.data_root, options.rounds),
        "Threads": lambda: thread_counts(options.data_root, options.rounds),
        "Batch": lambda: batch_sizes(options.data_root),
        "Images": lambda: image_counts(options.data_root),
    }
    done = dict[str, str]()
    for name, measure in sections.items():
        done[name] = measure()
        (HERE / "scaling.md").write_text(report(done, missing=[*sections][len(done) :]))


if __name__ == "__main__":
    main()
