"""First light: the paper's two methods and plain cross-entropy on real data, ten epochs each.

Usage: python benchmarks/first_light.py --data-root DIR   (resumes; writes benchmarks/first_light.md)
"""

import argparse
import shlex
from pathlib import Path

from longtail.compare import runner
from longtail.runs.folder import RunDir
from longtail.runs.records import Environment
from longtail.training import progress
from measure import HERE, table

RECIPES = ("ce", "hybrid-psc", "hybrid-sc")
OVERRIDES = ("epochs=10",)
SHARES = ("top1", "many", "medium", "few", "balanced_accuracy")


def report(runs: dict[str, RunDir]) -> str:
    """The results as Markdown, with all that is needed to repeat them."""
    rows: list[list[object]] = []
    for name, run in runs.items():
        summary, about = run.read_summary(), Environment.read(run.environment)
        shares = [100 * getattr(summary, key) for key in SHARES]
        rows.append([name, *shares, f"{(runner.seconds(run) or 0) / 60:.1f}", about.commit])
    about = next(Environment.read(run.environment) for run in runs.values())
    settings = " ".join(f"--set {override}" for override in OVERRIDES)
    return f"""# First light

CIFAR-100-LT, imbalance 100 (10,847 images), ResNet-32, the shipped recipes with their schedules scaled from 200 epochs
to 10; seed 0, last epoch, test (5,000), so a standard error of about 0.5 points. Ten epochs are far too few for the
recipes' learning rates: these figures show that the whole path works on real data, not which method is better.

{table(["method", "top-1 %", "many (35)", "medium (35)", "few (30)", "balanced %", "minutes", "commit"], rows)}

Each by `longtail train cifar100-lt-100/METHOD {settings} --data-root DIR`; all three by
`{shlex.join(["python", "benchmarks/first_light.py", "--data-root", "DIR"])}`.
Machine: {about.cores} cores, {about.threads} threads, torch {about.libraries["torch"]}, {about.machine}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/first_light"))
    options = parser.parse_args()
    recipes = [f"cifar100-lt-100/{name}" for name in RECIPES]
    planned = runner.plan(recipes, [0], options.runs, overrides=OVERRIDES)
    with progress.status() as show:
        runner.run_all(planned, runner.Execution(options.data_root, message=print, progress=show))
    runs = {name: RunDir(each.out) for name, each in zip(RECIPES, planned, strict=True)}
    (HERE / "first_light.md").write_text(report(runs))


if __name__ == "__main__":
    main()
