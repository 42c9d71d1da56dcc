"""Classification losses: logits against labels, with what is known about how frequent classes are."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from longtail.losses.precision import at_least_float32


def logit_adjusted(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    prior: Float[Tensor, " classes"],
    *,
    tau: float,
) -> Float[Tensor, ""]:
    """Cross-entropy of logits to which the frequency of their class was added, so that they need not learn it.

    A rare class must then win by a margin in training, and the logits themselves, without the addition, are what to
    predict by: they rank classes as if all were equally frequent. With `tau` 1 this is balanced softmax.

    A class with prior 0 is left out of the denominator: nothing is learned about it, and it gets no gradient. An image
    of such a class contradicts the prior, and its loss is infinite. An empty batch has loss 0.

    Args:
        logits: `(B, C)`, finite.
        labels: `(B,)`, in `[0, C)`.
        prior: `(C,)`, at least 0, one of them above; shares or counts of images, for only their ratios matter.
        tau: factor of the log prior; no unit, above 0.
    Returns: batch mean in nats, `()`, in float32 at least.
    Raises: ValueError if `tau <= 0`.
    Source: Menon et al. 2021, arXiv:2007.07314, eq. 10; with `tau` 1 Ren et al. 2020, arXiv:2007.10740, eq. 4.

    >>> even = torch.zeros(1, 2)
    >>> logit_adjusted(even, torch.tensor([1]), torch.tensor([0.75, 0.25]), tau=1.0)  # -log(1 / 4)
    tensor(1.3863)
    """
    adjusted = adjusted_logits(logits, prior, tau=tau)
    return F.cross_entropy(adjusted, labels.long(), reduction="sum") / max(len(adjusted), 1)


def adjusted_logits(
    logits: Float[Tensor, "batch classes"], prior: Float[Tensor, " classes"], *, tau: float
) -> Float[Tensor, "batch classes"]:
    """Logits plus the log of how frequent their class is, in float32 at least: what `logit_adjusted` compares.

    Args:
        logits: `(B, C)`, finite.
        prior: as in `logit_adjusted`.
        tau: as in `logit_adjusted`.
    Returns: `(B, C)`; -inf for a class with prior 0.
    Raises: ValueError if `tau <= 0`.

    >>> adjusted_logits(torch.tensor([[1.0, 1.0]]), torch.tensor([1.0, 0.0]), tau=1.0)
    tensor([[1., -inf]])
    """
    if not tau > 0:
        raise ValueError(f"tau is {tau}; it must be above 0")
    wide = at_least_float32(logits)
    # The log of 0 is -inf, whose exponential is an exact 0 and passes no gradient on.
    return wide + tau * torch.log(prior.to(wide.dtype))


def smoothed_cross_entropy(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    toward: Float[Tensor, " classes"],
    *,
    smoothing: float,
) -> Float[Tensor, " batch"]:
    """Cross-entropy with label smoothing, where a given distribution takes its share of the target from the label.

    With `smoothing` 0 this is plain cross-entropy. A class that `toward` gives nothing may have a logit of -inf.

    Args:
        logits: `(B, C)`; those of `adjusted_logits`, or as they are.
        labels: `(B,)`, in `[0, C)`.
        toward: `(C,)`, at least 0, of sum 1: uniform for plain logits (Szegedy et al.). The priors for logits that were
            adjusted by them with `tau` 1: then it pulls those that are predicted by to be equal, not to rare classes.
        smoothing: share of the target; no unit, in `[0, 1)`.
    Returns: of each image, in nats, `(B,)`, in float32 at least.
    Raises: ValueError if `smoothing` is outside its range.
    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7; other distributions than the uniform one are ours.

    >>> even = torch.tensor([0.5, 0.5])
    >>> smoothed_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), even, smoothing=0.1)  # log(2)
    tensor([0.6931])
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must be in [0, 1)")
    logits = at_least_float32(logits)
    own = F.cross_entropy(logits, labels.long(), reduction="none")
    if not smoothing:
        return own
    # 0 times -inf is not a number. Not a matrix product, whose precision is that of autocast.
    logs = F.log_softmax(logits, dim=1).masked_fill(toward == 0, 0)
    return (1 - smoothing) * own - smoothing * (logs * toward.to(logs.dtype)).sum(1)
