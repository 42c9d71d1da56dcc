"""Speed and memory of the contrastive losses.

Usage: python benchmarks/losses.py   (ten minutes on two cores; writes benchmarks/losses.md)
"""

import argparse
import sys
from pathlib import Path

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor
from torch.nn import functional as F

from longtail.losses import prototypical, supervised_contrastive
from measure import HERE, about, alternate, extra_memory, in_own_process, median, ratio, table

DIM, TEMPERATURE = 128, 0.1
THEIRS = SupConLoss(temperature=TEMPERATURE)


def written_plainly(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The formula with N x N matrices, as one would write it down."""
    z = F.normalize(embeddings, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    similarity = (z @ z.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels) & ~itself
    return -(torch.where(positive, log_share, 0).sum(1) / positive.sum(1).clamp(min=1)).mean()


def ours(embeddings: Tensor, labels: Tensor) -> Tensor:
    return supervised_contrastive(embeddings, labels, temperature=TEMPERATURE)


LOSSES = {"longtail": ours, "written plainly": written_plainly, "pytorch-metric-learning": THEIRS}


def data(n: int, classes: int = 100) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, DIM, generator=generator), torch.randint(0, classes, (n,), generator=generator)


def step(loss, embeddings: Tensor, *rest: Tensor) -> None:
    loss(embeddings.clone().requires_grad_(), *rest).backward()


def supervised() -> str:
    rows: list[list[object]] = []
    for n in (256, 512, 1024, 4096, 8192):
        embeddings, labels = data(n)
        a, b = torch.randn(n, DIM), torch.randn(DIM, n)
        candidates = {name: lambda f=f: step(f, embeddings, labels) for name, f in LOSSES.items()}
        seconds = alternate({**candidates, "gemm": lambda: a @ b}, rounds=20 if n < 4096 else 7)
        rows.append(
            [
                f"{n:,}",
                *(1e3 * median(seconds[name]) for name in LOSSES),
                1e3 * 2 * median(seconds["gemm"]),
                ratio(seconds, "written plainly", "longtail"),
                ratio(seconds, "pytorch-metric-learning", "longtail"),
            ]
        )
    columns = ["N", *(f"{name}, ms" for name in LOSSES), "two matrix products, ms", "plain / ours", "pml / ours"]
    return table(columns, rows)


def memory() -> str:
    rows = []
    for n in (1024, 4096, 8192, 65536):
        cells: list[object] = [f"{n:,}"]
        for name in LOSSES:
            if n > 8192 and name != "longtail":
                cells.append(f"{n * n * 4 / 2**30:.0f} GiB a matrix: cannot run")
            else:
                cells.append(float(in_own_process(__file__, "--memory", name, str(n))))
        rows.append(cells)
    return table(["N", *(f"{name}, MiB" for name in LOSSES)], rows)


def prototypes() -> str:
    rows: list[list[object]] = []
    for classes in (100, 1000, 2000, 4000, 8142):
        embeddings, labels = data(512, classes)
        weights = torch.randn(classes, DIM).requires_grad_()
        candidates = {
            "psc": lambda: step(lambda x, y: prototypical(x, y, weights, temperature=TEMPERATURE), embeddings, labels),
            "sc": lambda: step(ours, embeddings, labels),
            "ce": lambda: step(lambda x, y: F.cross_entropy(x @ weights.T, y), embeddings, labels),
        }
        seconds = alternate(candidates, rounds=20)
        spent = [float(in_own_process(__file__, "--memory", kind, str(classes))) for kind in ("psc", "ce")]
        rows.append([f"{classes:,}", *(1e3 * median(seconds[name]) for name in candidates), *spent])
    return table(["C", "PSC, ms", "SC, ms", "cross-entropy, ms", "PSC, MiB", "cross-entropy, MiB"], rows)


def one_memory(kind: str, size: int) -> float:
    if kind in LOSSES:
        embeddings, labels = data(size)
        step(LOSSES[kind], *data(64))  # what is set up once does not count
        return extra_memory(lambda: step(LOSSES[kind], embeddings, labels))
    embeddings, labels = data(512, size)
    weights = torch.randn(size, DIM).requires_grad_()
    losses = {
        "psc": lambda x, y: prototypical(x, y, weights, temperature=TEMPERATURE),
        "ce": lambda x, y: F.cross_entropy(x @ weights.T, y),
    }
    step(losses[kind], embeddings[:2], labels[:2])
    return extra_memory(lambda: step(losses[kind], embeddings, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", nargs=2, metavar=("LOSS", "N"))
    options = parser.parse_args()
    if options.memory:
        sys.stdout.write(f"{one_memory(options.memory[0], int(options.memory[1]))}\n")
        return
    text = f"""# Losses

Forward and backward, D = {DIM}, float32, temperature {TEMPERATURE}, 100 classes. Medians; the candidates of a row are
measured in turn, and ratios are medians of ratios within a turn, so that a machine that slows down slows all of them.

## Supervised contrastive loss: time

{supervised()}

The tiled loss with its gradient needs two matrix products (of the symmetric half, twice, and one whole) and two
exponentials of every second pair; up to 4,096 embeddings it keeps the exponentials and saves half a product.

## Supervised contrastive loss: extra peak memory

{memory()}

## Prototypical loss at scale

B = 512. Time and memory grow linearly with the number of classes; SC compares the batch with itself.

{prototypes()}

By `python benchmarks/{Path(__file__).name}`. {about()}
"""
    (HERE / "losses.md").write_text(text)


if __name__ == "__main__":
    main()
