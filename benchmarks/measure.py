"""Measuring on a machine whose speed drifts: alternate what is compared, and report ratios."""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

HERE = Path(__file__).parent


def alternate(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each candidate, measured in turn, `rounds` times after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median(values: list[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).median())


def ratio(seconds: dict[str, list[float]], slow: str, fast: str) -> float:
    """How many times as fast `fast` is as `slow`: the median over the rounds of the ratio within a round."""
    return median([a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)])


def extra_memory(run: Callable[[], object]) -> float:
    """MiB by which the process grows at most while something runs. Best measured in a process of its own."""
    page, peak, done = os.sysconf("SC_PAGE_SIZE"), 0, threading.Event()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.002)

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return max(0, peak - before) / 2**20


def in_own_process(script: str, *arguments: str) -> str:
    """What a script prints when it runs alone, so that memory and threads start afresh."""
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def about() -> str:
    """Machine, versions and commit, as a line for the end of a table."""
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return (
        f"Machine: {os.cpu_count()} cores, {model.partition(': ')[2] or platform.machine()}, "
        f"{torch.get_num_threads()} threads; torch {torch.__version__}; commit {commit}; {time.strftime('%Y-%m-%d')}."
    )


def table(columns: list[str], rows: list[list[object]]) -> str:
    cells = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
