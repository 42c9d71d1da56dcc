"""Calibration: how far confidence is from accuracy, and a temperature that brings them together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import minimize_scalar

from longtail.metrics import validation
from longtail.metrics.scores import Labels, Logits, PerImage, confidences_and_losses

BINS = 15
_LOWEST, _HIGHEST = 0.1, 10.0


@dataclass(frozen=True)
class Bin:
    """Images of which the network was about equally sure."""

    images: int
    confidence: float | None  # mean probability of the predicted class; None without images
    accuracy: float | None  # share of them that are right; None without images


def expected_calibration_error(probabilities: Logits, labels: Labels, bins: int = BINS) -> float:
    """How far the confidence of predictions is from their accuracy: the mean gap over bins, weighted by their images.

    Only the highest probability of an image counts. Bins are equally wide and hold `lower < confidence <= upper`.

    Args:
        probabilities: `(N, C)`, rows that sum to 1 within 0.01.
        labels: `(N,)`, in `[0, C)`.
        bins: at least 1.
    Returns: a fraction, 0 to 1; lower is better.
    Raises: ValueError if there is no image, an argument is out of range or a row is no distribution.
    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.

    >>> expected_calibration_error(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
    0.25
    """
    validation.scores("probabilities", probabilities, labels)
    sums = probabilities.sum(1, dtype=np.float64)
    wrong = np.flatnonzero((probabilities.min(1) < 0) | (np.abs(sums - 1) > 0.01))
    if len(wrong):
        row = f"probabilities[{wrong[0]}] has lowest value {probabilities[wrong[0]].min()} and sum {sums[wrong[0]]}"
        raise ValueError(f"{row}; it must be at least 0 and sum to 1")
    if bins < 1:
        raise ValueError(f"bins is {bins}; it must be at least 1")
    return error(probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels, bins=bins)


def error(confidences: PerImage, right: Bool[np.ndarray, " images"], *, bins: int = BINS) -> float:
    """`expected_calibration_error` of images whose confidence is known.

    Args:
        confidences: `(N,)`, probability of the predicted class.
        right: `(N,)`, whether it is the true one.
        bins: at least 1.

    >>> error(np.array([0.75, 0.75]), np.array([True, False]))
    0.25
    """
    return float(np.abs(gaps(confidences, right, bins=bins).sum(0)).sum() / len(right))


def gaps(
    confidences: PerImage, right: Bool[np.ndarray, " images"], *, bins: int = BINS
) -> Float64[np.ndarray, "images bins"]:
    """By how much each image's accuracy (0 or 1) is above its confidence, in the column of its bin.

    Columns end with the last bin that has an image.
    The sums of the columns are all that the calibration error needs, whatever the weights of the images.

    >>> gaps(np.array([0.25, 0.75]), np.array([False, True]), bins=2).tolist()
    [[-0.25, 0.0], [0.0, 0.25]]
    """
    own = _bins_of(confidences, bins)
    found = np.zeros((len(right), own.max() + 1))
    found[np.arange(len(right)), own] = right - confidences
    return found


def reliability(confidences: PerImage, right: Bool[np.ndarray, " images"], *, bins: int = BINS) -> tuple[Bin, ...]:
    """What a reliability diagram shows: accuracy where the network was about equally sure.

    Args:
        confidences: `(N,)`, probability of the predicted class; there may be no image.
        right: `(N,)`, whether it is the true one.
        bins: at least 1; equally wide, each holds `lower < confidence <= upper`.
    Returns: all bins, from not sure to sure.

    >>> reliability(np.array([0.25, 1.0, 1.0]), np.array([True, True, False]), bins=2)
    (Bin(images=1, confidence=0.25, accuracy=1.0), Bin(images=2, confidence=1.0, accuracy=0.5))
    """
    own = _bins_of(confidences, bins)
    images = np.bincount(own, minlength=bins).tolist()
    sums = (np.bincount(own, weights=values, minlength=bins).tolist() for values in (confidences, right))
    return tuple(
        Bin(n, sure / n, hits / n) if n else Bin(0, None, None) for n, sure, hits in zip(images, *sums, strict=True)
    )


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The number by which to divide logits so that confidence means what it says.

    It changes no prediction. Fit it on validation images: on those that trained, the network is too sure of itself, and
    those that measure it would no longer do so.

    Args:
        logits: `(N, C)`, finite.
        labels: `(N,)`, in `[0, C)`.
    Returns: the temperature of the highest likelihood, from 0.1 to 10; 1 if all predictions are right, since then the
        lowest of all would be best.
    Raises: ValueError if there is no image, a label is out of range or a logit is not finite.
    Source: Guo et al. 2017, arXiv:1706.04599, sec. 4.2.

    >>> logits, labels = np.array([[4.0, 0.0]] * 4), np.array([0, 0, 0, 1])  # three of four: log 3 would be right
    >>> print(f"{fit_temperature(logits, labels) * np.log(3):.2f}")
    4.00
    """
    validation.scores("logits", logits, labels)
    if (logits.argmax(1) == labels).all():
        return 1.0
    found = minimize_scalar(
        lambda log: float(np.mean(confidences_and_losses(logits, labels, temperature=float(np.exp(log)))[1])),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def _bins_of(confidences: PerImage, bins: int) -> Labels:
    # Without the outer edges, a probability that rounding lifted above 1 still falls into the last bin.
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidences)
