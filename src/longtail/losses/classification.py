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
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of logits to which the frequency of their class was added, so that they need not learn it.

    A rare class must then win by a margin in training, and the logits themselves, without the addition, are what to
    predict by: they rank classes as if all were equally frequent. With `tau` 1 this is balanced softmax.

    With `smoothing`, a share of each target goes to all classes, in proportion to the frequency that was added. An even
    share for each class would make the logits of rare ones too high: it is what they would have if they were not rare.

    A class with prior 0 is left out of the denominator: nothing is learned about it, and it gets no gradient. An image
    of such a class contradicts the prior, and its loss is infinite. An empty batch has loss 0.

    Args:
        logits: `(B, C)`, finite.
        labels: `(B,)`, in `[0, C)`.
        prior: `(C,)`, at least 0, one of them above; shares or counts of images, for only their ratios matter.
        tau: factor of the log prior; no unit, above 0.
        smoothing: share of the target that all classes get, in `[0, 1)`.
    Returns: batch mean in nats, `()`, in float32 at least.
    Raises: ValueError if `tau <= 0`, or `smoothing` is outside `[0, 1)`.
    Source: Menon et al. 2021, arXiv:2007.07314, eq. 10; with `tau` 1 Ren et al. 2020, arXiv:2007.10740, eq. 4.
        Smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7, whose `u(k)` is the prior here.

    >>> even = torch.zeros(1, 2)
    >>> logit_adjusted(even, torch.tensor([1]), torch.tensor([0.75, 0.25]), tau=1.0)  # -log(1 / 4)
    tensor(1.3863)
    """
    if not tau > 0:
        raise ValueError(f"tau is {tau}; it must be above 0")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must be at least 0 and below 1")
    wide = at_least_float32(logits)
    # The log of 0 is -inf, whose exponential is an exact 0 and passes no gradient on.
    shift = tau * torch.log(prior.to(wide.dtype))
    images = max(len(wide), 1)
    loss = F.cross_entropy(wide + shift, labels.long(), reduction="sum") / images
    if smoothing == 0:
        return loss
    shares, logs = shift.softmax(0), F.log_softmax(wide + shift, dim=1)
    of_all = -torch.where(shares > 0, shares * logs, 0.0).sum() / images
    return (1 - smoothing) * loss + smoothing * of_all
