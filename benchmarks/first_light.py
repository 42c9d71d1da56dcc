"""First light: the paper's two methods and plain cross-entropy on real data, ten epochs each.

Usage: python benchmarks/first_light.py --data-root DIR   (resumes; writes benchmarks/first_light.md)
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

RECIPES = ("ce", "hybrid-psc", "hybrid-sc")
OVERRIDES = ("epochs=10",)
HERE = Path(__file__).parent


def run(name: str, out: Path, data_root: str) -> None:
    """Train, or go on with training; a finished run is left alone."""
    if (out / "summary.json").exists():
        return
    if (out / "recipe.yaml").exists():
        command = ["resume", str(out)]
    else:
        settings = [part for override in OVERRIDES for part in ("--set", override)]
        command = ["train", f"cifar100-lt-100/{name}", *settings, "--data-root", data_root, "--out", str(out)]
    subprocess.run([sys.executable, "-m", "longtail.cli", *command], check=True)


def table(runs: dict[str, Path]) -> str:
    """The results as Markdown, with all that is needed to repeat them."""
    rows, about = [], {}
    for name, out in runs.items():
        summary = json.loads((out / "summary.json").read_text())
        about = json.loads((out / "environment.json").read_text())
        log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        seconds = max(record["seconds"] for record in log if "seconds" in record)
        cells = [f"{100 * summary[key]:.2f}" for key in ("top1", "many", "medium", "few", "balanced_accuracy")]
        rows.append(f"| {name} | {' | '.join(cells)} | {seconds / 60:.1f} | {about['commit']} |")
    settings = " ".join(f"--set {override}" for override in OVERRIDES)
    return f"""# First light

CIFAR-100-LT, imbalance 100 (10,847 images), ResNet-32, the shipped recipes with their schedules scaled from 200 epochs
to 10; seed 0, last epoch, test (5,000), so a standard error of about 0.5 points. Ten epochs are far too few for the
recipes' learning rates: these figures show that the whole path works on real data, not which method is better.

| method | top-1 % | many (35) | medium (35) | few (30) | balanced % | minutes | commit |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Each by `longtail train cifar100-lt-100/METHOD {settings} --data-root DIR`; all three by
`{shlex.join(["python", "benchmarks/first_light.py", "--data-root", "DIR"])}`.
Machine: {about["cores"]} cores, {about["threads"]} threads, torch {about["libraries"]["torch"]}, {about["machine"]}.
It was busy with other work at the time, so the minutes are an upper bound.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/first_light"))
    options = parser.parse_args()
    runs = {name: options.runs / name for name in RECIPES}
    for name, out in runs.items():
        run(name, out, options.data_root)
    (HERE / "first_light.md").write_text(table(runs))


if __name__ == "__main__":
    main()
