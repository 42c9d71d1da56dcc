"""Contrastive losses: embeddings against each other, or against class prototypes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from longtail.losses.contrastive_tiled import smallest_temperature, tiled_supervised_contrastive
from longtail.losses.precision import at_least_float32


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")


def supervised_contrastive(
    embeddings: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"], *, temperature: float
) -> Float[Tensor, ""]:
    """Pull embeddings of the same class together and push all others away.

    An anchor without another embedding of its class contributes nothing; if no anchor has one, or the batch is empty,
    the loss is 0 and so is its gradient. Several views of an image are several embeddings with the same label.

    Time grows with `B ** 2`, memory only with `B`: similarities are computed in tiles, and again for the gradient, at
    temperatures from 0.023 on (in float32; 0.0028 in float64). Below, memory grows with `B ** 2` too.

    Args:
        embeddings: `(B, D)`, any length; normalised here, in float32 at least.
        labels: `(B,)`, any integers.
        temperature: divides cosine similarity; no unit, above 0.
    Returns: mean over the anchors that have a positive, in nats, `()`.
    Raises: ValueError if `temperature <= 0`.
    Source: Khosla et al. 2020, arXiv:2004.11362, eq. 2 (the sum over positives outside the logarithm), as used by
        Wang et al. 2021, arXiv:2103.14267.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> supervised_contrastive(z, torch.tensor([0, 0, 1]), temperature=1.0)  # -log(e / (e + 1))
    tensor(0.3133)
    """
    _check_temperature(temperature)
    z = F.normalize(at_least_float32(embeddings), dim=1)
    sizes, sums = _classes(z, labels)
    if temperature >= smallest_temperature(z.dtype):
        return tiled_supervised_contrastive(z, sizes, sums.detach(), temperature=temperature)
    # So low a temperature needs the maximum taken out of each sum of exponentials: the formula as it is written.
    positives = sizes - 1  # (B,)
    anchors = positives > 0
    to_positives = (z * (sums - z)).sum(1) / positives.clamp(min=1)  # (B,)
    similarity = z @ z.T / temperature  # (B, B)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    # The lowest finite number, not -inf: a batch of one would otherwise meet NaN on the way to its gradient.
    to_others = similarity.masked_fill(itself, torch.finfo(z.dtype).min).logsumexp(1)  # (B,)
    losses = torch.where(anchors, to_others - to_positives / temperature, 0)
    return losses.sum() / anchors.sum().clamp(min=1)


def _classes(
    z: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"]
) -> tuple[Int[Tensor, " batch"], Float[Tensor, "batch dim"]]:
    """How many embeddings the class of each one has, and their sum.

    With the sum, an embedding's similarities to all its positives are one dot product: no B x B mask is needed.
    """
    _, index, sizes = labels.unique(return_inverse=True, return_counts=True)
    if z.device.type == "mps":  # which has no segments
        return sizes[index], z.new_zeros(len(sizes), z.shape[1]).index_add_(0, index, z)[index]
    # Summed in sorted order, not with atomic additions, so that repeating it gives the same bits.
    together = index.argsort(stable=True)
    sums = torch.segment_reduce(z[together], "sum", lengths=sizes, axis=0) if len(z) else z
    return sizes[index], sums[index]


def anchors_without_positive(labels: Int[Tensor, " batch"]) -> Int[Tensor, ""]:
    """Count the embeddings that have no other of their class in the batch: they teach a contrastive loss nothing.

    Args:
        labels: `(B,)`, any integers.
    Returns: the count, `()`.

    >>> anchors_without_positive(torch.tensor([0, 0, 1, 2]))
    tensor(2)
    """
    sizes = labels.unique(return_counts=True)[1]
    return (sizes == 1).sum()


def prototypical(
    embeddings: Float[Tensor, "batch dim"],
    labels: Int[Tensor, " batch"],
    prototypes: Float[Tensor, "classes dim"] | Float[Tensor, "classes several dim"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """Pull each embedding to its class's prototype and away from the prototypes of the other classes.

    The positive stays out of the denominator, so the loss may be negative. Time and memory grow with the number of
    classes, not with the square of the batch. With M prototypes a class, `exp(z.p/t)` is summed over the M, so an
    embedding is drawn mostly to the one it is nearest to; M equal prototypes give the loss of one.

    Args:
        embeddings: `(B, D)`, any length; normalised here, in float32 at least.
        labels: `(B,)`, in `[0, C)`.
        prototypes: `(C, D)` or `(C, M, D)`, any length; normalised here.
        temperature: divides cosine similarity; no unit, above 0.
    Returns: batch mean in nats, `()`; 0 for an empty batch.
    Raises: ValueError if `temperature <= 0` or `C < 2`.
    Source: Wang et al. 2021, arXiv:2103.14267, prototypical supervised contrastive loss; M > 1 is our reading.

    >>> prototypical(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), temperature=1.0)
    tensor(-1.)
    """
    _check_temperature(temperature)
    classes = len(prototypes)
    if classes < 2:
        raise ValueError(f"prototypes are of {classes} class; at least 2 are needed, or there is nothing to push away")
    z = F.normalize(at_least_float32(embeddings), dim=1)
    p = F.normalize(at_least_float32(prototypes).reshape(classes, -1, prototypes.shape[-1]), dim=2)  # (C, M, D)
    similarity = z / temperature @ p.flatten(0, 1).T  # (B, C * M)
    if p.shape[1] > 1:
        similarity = similarity.unflatten(1, p.shape[:2]).logsumexp(2)  # (B, C)
    own = labels.long().unsqueeze(1)
    to_own = similarity.gather(1, own).squeeze(1)
    to_others = similarity.scatter(1, own, torch.finfo(z.dtype).min).logsumexp(1)
    return (to_others - to_own).sum() / max(len(z), 1)
