"""Scores: logits to probabilities, ranks and likelihoods."""

import numpy as np
from jaxtyping import Float, Float64, Int

from longtail.metrics import validation

Logits = Float[np.ndarray, "images classes"]
Labels = Int[np.ndarray, " images"]
PerImage = Float64[np.ndarray, " images"]


def softmax(logits: Logits) -> Float64[np.ndarray, "images classes"]:
    """Turn logits into probabilities, in float64 and without overflow.

    Args:
        logits: `(N, C)`, finite.
    Returns: `(N, C)` probabilities; each row sums to 1. Twice the memory of float32 logits.
    Raises: ValueError if a logit is not finite.

    >>> softmax(np.array([[1000.0, 1000.0], [0.0, -2000.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    validation.finite("logits", logits)
    probabilities = _exponentials(logits, 1.0)
    probabilities /= probabilities.sum(1, keepdims=True)
    return probabilities


def top_k_accuracy(logits: Logits, labels: Labels, k: int) -> float:
    """Share of images whose true class is among the k highest logits.

    Of equal logits the lower class index ranks first, so `k=1` is the accuracy of `argmax`.

    Args:
        logits: `(N, C)`, finite; probabilities do as well.
        labels: `(N,)`, in `[0, C)`.
        k: from 1 to C.
    Returns: a fraction, 0 to 1.
    Raises: ValueError if there is no image or an argument is out of range.

    >>> top_k_accuracy(np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), np.array([1, 2]), 2)
    0.5
    """
    validation.scores("logits", logits, labels)
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"k is {k}; it must be at least 1 and at most {logits.shape[1]}, the number of classes")
    return float(np.mean(ranks(logits, labels) < k))


def negative_log_likelihood(logits: Logits, labels: Labels) -> float:
    """Mean cross-entropy between the true class and the softmax of the logits.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)`, in `[0, C)`.
    Returns: nats, at least 0.
    Raises: ValueError if there is no image, a label is out of range or a logit is not finite.

    >>> round(negative_log_likelihood(np.array([[0.0, 0.0]]), np.array([1])), 6)  # log 2
    0.693147
    """
    validation.scores("logits", logits, labels)
    return float(np.mean(confidences_and_losses(logits, labels)[1]))


def confidences_and_losses(logits: Logits, labels: Labels, *, temperature: float = 1.0) -> tuple[PerImage, PerImage]:
    """Probability of the highest class, and minus the log of that of the true class.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)`, in `[0, C)`.
        temperature: by which logits are divided, above 0.
    """
    # Sums are relative to the highest logit: adding it first would lose digits when all logits are large.
    sums = [_exponentials(logits[rows], temperature).sum(1) for rows in validation.blocks(logits)]
    log_sums = np.log(np.concatenate(sums))
    below_top = np.subtract(logits.max(1), logits[np.arange(len(labels)), labels], dtype=np.float64)
    return np.exp(-log_sums), below_top / temperature + log_sums


def ranks(logits: Logits, labels: Labels) -> Int[np.ndarray, " images"]:
    """How many classes rank before the true one.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)`, in `[0, C)`.
    Returns: `(N,)`, 0 where the true class is the highest.
    """
    found = np.empty(len(labels), dtype=np.int64)
    for rows in validation.blocks(logits):
        block, own = logits[rows], labels[rows, None]
        score = np.take_along_axis(block, own, 1)
        before = np.where(np.arange(block.shape[1]) < own, block >= score, block > score)
        found[rows] = np.count_nonzero(before, axis=1)
    return found


def _exponentials(logits: Logits, temperature: float) -> Float64[np.ndarray, "images classes"]:
    # The difference can overflow float32, so it is taken in float64.
    exponents = np.subtract(logits, logits.max(1, keepdims=True), dtype=np.float64)
    exponents /= temperature
    return np.exp(exponents, out=exponents)
