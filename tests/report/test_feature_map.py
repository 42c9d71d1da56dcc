"""Maps of the features."""

from dataclasses import replace

import numpy as np
import pytest

from longtail.report import feature_map


def test_maps_hold_every_kept_image_once(read):
    pca, tsne = feature_map.maps(read, key="m")
    assert (pca.title, tsne.title) == ("Principal components", "t-SNE")
    for drawn in (pca, tsne):
        assert sum(spots.path.count("M") for spots in drawn.spots) == len(drawn.x) == 100
        assert drawn.wrong.count("M") == int((read.labels != read.predicted).sum())
        assert min(drawn.x + drawn.y) >= 0 and max(drawn.x + drawn.y) <= 1000
    again, _ = feature_map.maps(read, key="m")
    assert again == pca


def test_components_are_those_of_the_covariance():
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    found, share = feature_map.components(features)
    centred = features - features.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(centred @ axes.T), atol=1e-4)
    assert share == pytest.approx(float((values[:2] ** 2).sum() / (values**2).sum()), abs=1e-5)


def test_features_that_are_all_alike_still_make_a_map(read):
    alike = replace(read.gallery, features=np.ones_like(read.gallery.features))
    assert [drawn.title for drawn in feature_map.maps(replace(read, gallery=alike), key="m")] == [
        "Principal components"
    ]
    one = replace(read.gallery, features=read.gallery.features[:, :1])
    assert len(feature_map.maps(replace(read, gallery=one), key="m")) == 2
    assert feature_map.maps(replace(read, gallery=None), key="m") == []
