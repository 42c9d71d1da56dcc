"""Class counts: how many images each class has, and which images those are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from longtail.runtime.seeds import SUBSET

Counts = Int[np.ndarray, " classes"]


def _check_profile(n_max: int, classes: int, imbalance: float) -> None:
    if n_max < 1:
        raise ValueError(f"n_max is {n_max}; it must be at least 1 image")
    if classes < 1:
        raise ValueError(f"classes is {classes}; it must be at least 1")
    if not (np.isfinite(imbalance) and imbalance >= 1):
        raise ValueError(f"imbalance is {imbalance}; it must be a finite number of at least 1")


def exponential(n_max: int, classes: int, imbalance: float) -> Counts:
    """Counts that fall by the same factor from each class to the next.

    The formula of CIFAR-LT. Fractions are cut off, so the last class may get 0 images when `n_max < imbalance`.

    Args:
        n_max: images of class 0, at least 1.
        classes: number of classes C, at least 1.
        imbalance: `n_max` over the images of the last class, at least 1.
    Returns: `(C,)` images per class, never increasing.
    Raises: ValueError if an argument is out of range.
    Source: Cao et al. 2019 (LDAM), arXiv:1906.07413, "long-tailed" imbalance; Cui et al. 2019.

    >>> exponential(5000, 10, 100).tolist()
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    _check_profile(n_max, classes, imbalance)
    # Written with the factor below 1, as LDAM does: the other way round rounds differently for some settings.
    factor = 1 / imbalance
    counts = [int(n_max * factor ** (c / max(classes - 1, 1))) for c in range(classes)]
    # Rounding may not take the last class's last image: 49 * (1 / 49) is below 1. CIFAR-LT never meets this.
    return np.maximum(np.array(counts, dtype=np.int64), int(n_max / imbalance))


def pareto(n_max: int, classes: int, imbalance: float) -> Counts:
    """Counts that fall as a power of the class's rank (Pareto, or Zipf, distribution).

    A steeper head and a longer, flatter tail than `exponential` at the same imbalance. Cut off, so the last class may
    get 0 images when `n_max < imbalance`.

    Args:
        n_max: images of class 0, at least 1.
        classes: number of classes C, at least 1.
        imbalance: `n_max` over the images of the last class, at least 1.
    Returns: `(C,)` images per class, never increasing.
    Raises: ValueError if an argument is out of range.
    Source: Liu et al. 2019 (OLTR), arXiv:1904.05160, draws ImageNet-LT from a Pareto law; here its rank-size form,
        `n_max * (c + 1) ** -k` with `k` chosen so that the last class has `n_max / imbalance`.

    >>> pareto(1000, 10, 100).tolist()
    [1000, 250, 111, 62, 40, 27, 20, 15, 12, 10]
    """
    _check_profile(n_max, classes, imbalance)
    if classes == 1:
        return np.array([n_max], dtype=np.int64)
    power = np.log(imbalance) / np.log(classes)
    # The smallest slack keeps 10.0 from becoming 9 when the power is rounded down by one unit in the last place.
    return np.floor(n_max * np.arange(1, classes + 1) ** -power * (1 + 1e-12)).astype(np.int64)


def step(n_max: int, classes: int, imbalance: float) -> Counts:
    """The first half of the classes has `n_max` images, the other half `n_max / imbalance`.

    With an odd number of classes the smaller half is the frequent one.

    Args:
        n_max: images of a frequent class, at least 1.
        classes: number of classes C, at least 1.
        imbalance: `n_max` over the images of a rare class, at least 1.
    Returns: `(C,)` images per class, never increasing.
    Raises: ValueError if an argument is out of range.
    Source: Buda et al. 2018, arXiv:1710.05381, step imbalance with half of the classes rare.

    >>> step(500, 5, 10).tolist()
    [500, 500, 50, 50, 50]
    """
    _check_profile(n_max, classes, imbalance)
    counts = np.full(classes, int(n_max / imbalance), dtype=np.int64)
    counts[: classes // 2] = n_max
    return counts


def count(labels: Int[np.ndarray, " images"], classes: int) -> Counts:
    """Count the images of each class.

    Args:
        labels: `(N,)`, in `[0, C)`.
        classes: number of classes C.
    Returns: `(C,)` images per class.
    Raises: ValueError if a label is out of range.

    >>> count(np.array([0, 2, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}; they must lie in 0..{classes - 1}")
    return np.bincount(labels, minlength=classes).astype(np.int64)


def subset(
    labels: Int[np.ndarray, " images"],
    counts: Counts,
    *,
    seed: int,
    held_out: int = 0,
    class_names: Sequence[str] | None = None,
) -> tuple[Int[np.ndarray, " chosen"], Int[np.ndarray, " validation"]]:
    """Choose `counts[c]` images of each class c, and hold out others for validation.

    The images of a class are put in one seeded order; training takes them from the front and validation from the
    back. Subsets of one seed are therefore nested: the images of imbalance 100 are among those of imbalance 10. A class
    too small for both gives its training share first what the validation split leaves: only the most frequent
    classes of a long tail lose images that way.

    Args:
        labels: `(N,)`, in `[0, C)`.
        counts: `(C,)` images wanted per class.
        seed: chooses the order.
        held_out: images per class for validation, at least 0.
        class_names: C names, used in error messages only.
    Returns: indices of the training images and of the held-out images, both ascending.
    Raises: ValueError if a class has fewer images than `counts` asks for, or no more than `held_out`.

    >>> chosen, validation = subset(np.array([0, 0, 0, 1, 1, 1]), np.array([2, 1]), seed=0, held_out=1)
    >>> len(chosen), len(validation), len(set(chosen) & set(validation))
    (3, 2, 0)
    """
    available = count(labels, len(counts))
    chosen, validation = [], []
    for c, (wanted, has) in enumerate(zip(counts.tolist(), available.tolist(), strict=True)):
        name = class_names[c] if class_names is not None else str(c)
        if wanted > has:
            raise ValueError(f"{wanted} images asked for of class {name!r}; it has {has}")
        if held_out and has <= held_out:
            raise ValueError(f"{held_out} validation images asked for of class {name!r}; it has {has} and must keep 1")
        order = np.random.default_rng([seed, SUBSET, c]).permutation(np.flatnonzero(labels == c))
        chosen.append(order[: min(wanted, has - held_out)])
        validation.append(order[has - held_out :])
    return np.sort(np.concatenate(chosen)), np.sort(np.concatenate(validation))


def priors(counts: Counts) -> Float[np.ndarray, " classes"]:
    """Turn counts into class probabilities.

    Args:
        counts: `(C,)` images per class, at least one of them above 0.
    Returns: `(C,)` probabilities that sum to 1; 0 for a class without images.
    Raises: ValueError if no class has an image.

    >>> priors(np.array([3, 1])).tolist()
    [0.75, 0.25]
    """
    total = counts.sum()
    if total == 0:
        raise ValueError("counts are all 0; at least one class must have an image")
    return counts / total


def gini(counts: Counts) -> float:
    """How unequal class sizes are: Gini's coefficient.

    Args:
        counts: `(C,)` images per class; classes without images count too.
    Returns: 0 if all classes are of one size, towards 1 if one class has all images; 0 without images.
    Source: Gini 1912: the mean difference of two class sizes over twice their mean.

    >>> gini(np.array([5, 5])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    total, classes = counts.sum(), len(counts)
    if not total:
        return 0.0
    ranks = 2 * np.arange(1, classes + 1) - classes - 1
    return float((ranks * np.sort(counts)).sum() / (classes * total))


def effective_numbers(counts: Counts, *, beta: float) -> Float[np.ndarray, " classes"]:
    """The effective number of images of each class: what is left when images overlap in content.

    Args:
        counts: `(C,)` images per class.
        beta: overlap, in `[0, 1)`; 0 gives 1 for every class with images, close to 1 gives the counts themselves.
    Returns: `(C,)` effective images, 0 for a class without images.
    Raises: ValueError if `beta` is out of range.
    Source: Cui et al. 2019, arXiv:1901.05555, `(1 - beta ** n) / (1 - beta)`.

    >>> effective_numbers(np.array([1, 2, 0]), beta=0.5).tolist()
    [1.0, 1.5, 0.0]
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta}; it must be at least 0 and below 1")
    return (1 - beta ** counts.astype(np.float64)) / (1 - beta)


@dataclass(frozen=True)
class Groups:
    """Bounds between many-, medium- and few-shot classes, in training images.

    Args:
        many: a class with more images than this is "many".
        few: a class with fewer images than this is "few"; the rest, both bounds included, is "medium".
    Raises: ValueError unless `0 <= few <= many`.
    Source: Liu et al. 2019 (OLTR), arXiv:1904.05160: more than 100, 20 to 100, fewer than 20.

    >>> masks = Groups().masks(np.array([500, 101, 100, 20, 19, 0]))
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'many': 2, 'medium': 2, 'few': 2}
    """

    many: int = 100
    few: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.few <= self.many:
            raise ValueError(f"group bounds are many > {self.many}, few < {self.few}; need 0 <= few <= many")

    def masks(self, counts: Counts) -> dict[str, Bool[np.ndarray, " classes"]]:
        """Say which classes are in which group: `{"many" | "medium" | "few": (C,)}`, each class in exactly one."""
        many, few = counts > self.many, counts < self.few
        return {"many": many, "medium": ~many & ~few, "few": few}
