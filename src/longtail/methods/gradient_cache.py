"""Gradient cache: a large contrastive batch through a network in chunks, with the memory of a small one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from longtail.networks import Images


def in_chunks(network: nn.Module, images: Images, size: int | None) -> Float[Tensor, "batch dim"]:
    """Send a batch through a network part by part, and again, part by part, for the gradient.

    What lies between the layers is kept for one part at a time; a loss over all outputs, such as a contrastive one,
    still sees the whole batch. The gradient is that of one pass, for a third more computation, except that batch
    normalisation takes its statistics from each part. Its running statistics count each part once.

    Args:
        network: images to features.
        images: `(B, 3, H, W)`.
        size: images a part, at least 1; `None` is all at once.
    Returns: `(B, D)`.
    Source: Gao et al. 2021, arXiv:2101.06983 (gradient cache), by means of activation checkpointing.

    >>> in_chunks(nn.Flatten(), torch.ones(5, 3, 1, 1), 2).shape
    torch.Size([5, 3])
    """
    if size is None or len(images) <= size:
        return network(images)
    once = partial(_statistics_once, network)
    return torch.cat([checkpoint(network, part, use_reentrant=False, context_fn=once) for part in images.split(size)])


def _statistics_once(network: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of the first pass and of the second."""
    return nullcontext(), _without_tracking(network)


@contextmanager
def _without_tracking(network: nn.Module) -> Iterator[None]:
    """Leave running statistics as they are; the layers must still use the same tensors as before."""
    norms = [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = norm.num_batches_tracked.clone() if norm.num_batches_tracked is not None else None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
