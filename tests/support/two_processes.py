"""Functions for two processes that train together; each process runs the same one."""

import queue
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.multiprocessing import get_context  # pyright: ignore[reportAttributeAccessIssue]
from torch.nn.parallel import DistributedDataParallel

from longtail import losses, recipe
from longtail.data.batches import Batch
from longtail.optim.schedules import Clock
from longtail.recipe import build
from longtail.runtime import distributed as process_group

WORLD = 2
LOSS = {"hybrid-sc": losses.supervised_contrastive, "hybrid-psc": losses.prototypical}


def together(work: Callable[[int], Any]) -> list[Any]:
    """Run a function of this module in every process, over gloo; what each returned, in rank order."""
    meeting = Path(tempfile.mkdtemp()) / "processes"
    context = get_context("spawn")
    answers: Any = context.Queue()
    started = [context.Process(target=_run, args=(work, rank, meeting, answers)) for rank in range(WORLD)]
    for process in started:
        process.start()
    try:
        return [answer for _, answer in sorted(answers.get(timeout=180) for _ in started)]
    except queue.Empty:
        raise AssertionError("a process failed or waits for the other; see its output") from None
    finally:
        for process in started:
            process.join(timeout=10)
            process.kill()


def _run(work: Callable[[int], Any], rank: int, meeting: Path, answers: Any) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=WORLD)
    answer = work(rank)
    # As numpy: tensors would travel through shared memory that dies with this process.
    answers.put((rank, {name: value.detach().numpy() for name, value in answer.items()}))
    distributed.barrier()
    distributed.destroy_process_group()


def mine(tensor: torch.Tensor, rank: int | None, dim: int = 0) -> torch.Tensor:
    """A process's rows; all of them for `None`, which stands for one process alone."""
    if rank is None:
        return tensor
    return tensor.index_select(dim, torch.arange(rank, tensor.shape[dim], WORLD))


def gathered(rank: int | None) -> dict[str, torch.Tensor]:
    """Gather rows, and weigh them with numbers that differ by process."""
    rows = mine(torch.arange(8.0).view(4, 2), rank).requires_grad_()
    everyone = process_group.gather(rows)
    weight = torch.arange(1.0, 9.0).view(4, 2) * (1 if rank is None else rank + 1)
    (everyone * weight).sum().backward()
    assert rows.grad is not None
    return {"everyone": everyone, "gradient": rows.grad}


def normalised(rank: int | None) -> dict[str, torch.Tensor]:
    """Batch normalisation of images whose statistics differ by process."""
    generator = torch.Generator().manual_seed(0)
    images = (
        torch.randn(6, 3, 4, 4, generator=generator, dtype=torch.float64) * torch.arange(1, 7).view(6, 1, 1, 1) + 50
    )
    goal = torch.randn(6, 3, 4, 4, generator=generator, dtype=torch.float64)
    norm: nn.Module = nn.BatchNorm2d(3, dtype=torch.float64)
    if rank is not None:
        norm = process_group.share_batchnorm(norm, torch.device("cpu"))
    weight = norm.get_parameter("weight")
    x = mine(images, rank).requires_grad_()
    y = norm(x)
    (y * mine(goal, rank)).pow(2).sum().backward()
    assert x.grad is not None and weight.grad is not None
    buffers = {name: buffer for name, buffer in norm.named_buffers() if name != "num_batches_tracked"}
    return {"y": y, "x.grad": x.grad, "weight.grad": weight.grad, **buffers}


def sc_gradients(rank: int | None) -> dict[str, torch.Tensor]:
    return _gradients("hybrid-sc", rank)


def psc_gradients(rank: int | None) -> dict[str, torch.Tensor]:
    return _gradients("hybrid-psc", rank)


def mirrored_gradients(rank: int | None) -> dict[str, torch.Tensor]:
    return _gradients("hybrid-psc", rank, "network.kind=airbench", "network.mirrored=true")


def _gradients(name: str, rank: int | None, *settings: str) -> dict[str, torch.Tensor]:
    """The gradient of one step of a hybrid network, in double precision."""
    torch.manual_seed(0)
    one = recipe.load(f"digits-lt/{name}", recipe.parse_overrides([*settings, "network.width=4"]))
    method = build.method(one, np.ones(10, np.int64)).double()
    generator = torch.Generator().manual_seed(1)

    def batch(views: int) -> Batch:
        images = torch.randn(views, 32, 3, 16, 16, generator=generator, dtype=torch.float64)
        labels = torch.randint(0, 10, (32,), generator=generator)
        return Batch(mine(images, rank, dim=1), mine(labels, rank))

    module = method
    if rank is not None:
        process_group.share_batchnorm(method, torch.device("cpu"))
        module = DistributedDataParallel(method)
    module((batch(2), batch(1)), Clock(0, 10, 5, 10)).loss.backward()
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
