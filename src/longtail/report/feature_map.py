"""The section with the map of features: images in two dimensions, near each other if the network finds them alike."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from longtail.report.difference import Verdicts
from longtail.report.html import data_url
from longtail.report.run import GROUPS, Run
from longtail.report.section import Content, Section
from longtail.report.svg import SPAN, dots

_LEAST = 10  # images for a map
_ROUNDS = 400
_COLOURS = 200  # classes, up to which each has one
_GOLDEN = 137.508  # degrees between the hues of neighbours, which makes neighbours look unlike


@dataclass(frozen=True)
class Spots:
    """Images of one class, or of one group if there are too many classes for colours: hue in degrees, and points."""

    group: str
    hue: int
    path: str


@dataclass(frozen=True)
class Map:
    """Images in two dimensions, near each other if the network finds them alike.

    Args:
        key: names the map for the script.
        title: how it was made.
        note: what distances mean.
        spots: of each class, most frequent class first, or of each group.
        wrong: path of a ring around each image that is not recognised.
        x, y: of all images, in the order of the data for the script, in units from the left and from the top.
    """

    key: str
    title: str
    note: str
    spots: list[Spots]
    wrong: str
    x: list[int]
    y: list[int]


@dataclass(frozen=True)
class Maps:
    """The maps of one run."""

    name: str
    maps: list[Map]


@dataclass(frozen=True)
class View:
    """The maps of each run, and whether each class has a colour."""

    runs: list[Maps]
    coloured: bool


def _build(runs: Sequence[Run], _: Verdicts) -> Content:
    drawn = [Maps(run.name, maps(run, key=f"map{number}")) for number, run in enumerate(runs)]
    data = {
        "maps": {
            map_.key: {"run": number, "x": map_.x, "y": map_.y}
            for number, each in enumerate(drawn)
            for map_ in each.maps
        },
        "images": [images(run) if each.maps else None for run, each in zip(runs, drawn, strict=True)],
    }
    return Content(View(drawn, coloured(runs[0])), data)


SECTION = Section("map", "Map", "Map of the features", "feature_map.html", _build)


def rows(run: Run) -> list[int]:
    """Rows of the predictions that are on the maps: those of the sample whose features the run kept."""
    kept = {*run.gallery.rows} if run.gallery else set()
    return [row for row in run.examples.mapped if row in kept]


def coloured(run: Run) -> bool:
    """Whether there are few enough classes that each may have a colour."""
    return len(run.class_names) <= _COLOURS


def maps(run: Run, *, key: str) -> list[Map]:
    """By principal components, and by t-SNE; none if the run kept too few features."""
    shown = rows(run)
    if run.gallery is None or len(shown) < _LEAST:
        return []
    place = {row: i for i, row in enumerate(run.gallery.rows)}
    features = np.asarray(run.gallery.features, np.float32)[[place[row] for row in shown]]
    linear, share = components(features)
    drawn = [
        _map(
            run,
            shown,
            linear[:, :2],
            f"{key}-pca",
            "Principal components",
            f"{share:.0%} of the variance. Distances are as they are, seen from one side.",
        )
    ]
    if np.ptp(linear) > 0:
        note = "Neighbours are alike; how far groups are from each other, and how large they are, means little."
        drawn.append(_map(run, shown, neighbours(linear), f"{key}-tsne", "t-SNE", note))
    return drawn


def components(features: Float[np.ndarray, "images dim"]) -> tuple[Float[np.ndarray, "images few"], float]:
    """Up to 50 principal components, and the share of the variance that the first two hold."""
    from sklearn.decomposition import PCA  # a second of import

    centred = features - features.mean(0)
    if not np.ptp(centred):
        return np.zeros((len(features), 2), np.float32), 0.0
    fitted = PCA(min(50, *features.shape), svd_solver="full", random_state=0).fit(centred)
    found = fitted.transform(centred)
    if found.shape[1] < 2:
        found = np.concatenate([found, np.zeros_like(found)], axis=1)
    return found, float(fitted.explained_variance_ratio_[:2].sum())


def neighbours(linear: Float[np.ndarray, "images few"]) -> Float[np.ndarray, "images 2"]:
    """t-SNE of principal components, the same every time.

    Source: van der Maaten and Hinton 2008, J. Mach. Learn. Res. 9; fewer rounds than usual and a coarser
        approximation, for speed.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(linear) - 1) / 3)
    scaled = linear / linear.std()
    # Threads that wait for each other would be many times slower on a busy machine than one that works.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TSNE(perplexity=perplexity, init="pca", angle=0.8, max_iter=_ROUNDS, random_state=0).fit_transform(
            scaled
        )


def _map(run: Run, shown: Sequence[int], at: Float[np.ndarray, "images 2"], key: str, title: str, note: str) -> Map:
    low, extent = at.min(0), np.ptp(at, axis=0)
    # One scale for both directions, so that distances are true; 3 % of room at each side.
    spread = float(extent.max()) or 1.0
    x, y = (((at - low - extent / 2) / spread * 0.94 + 0.5) * SPAN).T
    labels, points = run.labels[[*shown]], [*zip(x.tolist(), y.tolist(), strict=True)]
    spots = []
    if coloured(run):
        order = np.argsort([-each.train_count for each in run.summary.per_class], kind="stable")
        for rank, number in enumerate(order.tolist()):
            own = dots(points[i] for i in np.flatnonzero(labels == number))
            spots += [Spots(run.group(number), round(rank * _GOLDEN) % 360, own)] * bool(own)
    else:
        members = [(group, np.flatnonzero(run.masks[group][labels])) for group in GROUPS]
        spots = [Spots(group, 0, dots(points[i] for i in those)) for group, those in members]
    missed = run.predicted[[*shown]] != labels
    return Map(
        key,
        title,
        note,
        spots,
        dots(points[i] for i in np.flatnonzero(missed)),
        x.round().astype(int).tolist(),
        (SPAN - y).round().astype(int).tolist(),
    )


def images(run: Run) -> dict[str, Any]:
    """What the script says of images on the maps: class, prediction, confidence in %, and thumbnail."""
    shown, kept = rows(run), run.thumbnails
    return {
        "true": run.labels[shown].tolist(),
        "taken": run.predicted[shown].tolist(),
        "sure": [round(100 * float(run.confidences[row])) for row in shown],
        "picture": [data_url(kept[row]).partition(",")[2] for row in shown],
    }
