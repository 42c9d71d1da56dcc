"""The forward pass: normalised, in evaluation mode, features and logits of the same images."""

import numpy as np
import pytest
import torch

from longtail.inference import forward
from longtail.inference.preprocessing import Batch, Normalisation
from support import untrained

HALF = Normalisation((0.5, 0.25, 0.0), (0.5, 0.5, 0.25))


def pixels(number, height=16, width=16):
    return np.random.default_rng(0).integers(0, 256, (number, height, width, 3), np.uint8)


def test_the_network_sees_normalised_images(monkeypatch):
    network, seen = untrained.model().network, []
    backbone = network.backbone.forward
    monkeypatch.setattr(network.backbone, "forward", lambda views: seen.append(views) or backbone(views))
    forward.forward(network, torch.full((2, 3, 8, 8), 255, dtype=torch.uint8), HALF)
    assert seen[0][:, :, 0, 0].tolist() == [[1.0, 1.5, 4.0]] * 2
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_features_and_logits_are_those_of_evaluation_mode_and_the_mode_is_put_back():
    model = untrained.model()
    images = torch.from_numpy(pixels(3)).permute(0, 3, 1, 2)
    model.network.train()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = forward.forward(model.network, images, HALF)
    assert model.network.training
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in HALF)
    with torch.no_grad():
        right = model.network.eval()((images.float() / 255 - mean) / std)
        torch.testing.assert_close(found.logits, right)
        torch.testing.assert_close(model.network.head(found.features), right)
    forward.forward(model.network, images, HALF)
    assert not model.network.training
    assert not found.logits.requires_grad


def test_the_mode_is_put_back_after_an_error(monkeypatch):
    network = untrained.model().network.train()
    monkeypatch.setattr(network.backbone, "forward", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        forward.forward(network, torch.zeros(1, 3, 8, 8, dtype=torch.uint8), HALF)
    assert network.training


def test_the_precision_is_that_of_the_network_and_results_are_float32():
    network = untrained.model().network
    images = torch.from_numpy(pixels(3)).permute(0, 3, 1, 2)
    exact = forward.forward(network, images, HALF)
    coarse = forward.forward(network.to(torch.bfloat16), images, HALF)
    assert coarse.logits.dtype == coarse.features.dtype == torch.float32
    assert 0 < (coarse.logits - exact.logits).abs().max() < 0.2 * exact.logits.abs().max() + 0.2


def test_logits_of_a_batch_are_in_its_order_without_images_that_failed():
    model, large, small = untrained.model(), pixels(2), pixels(1, 20, 24)
    batch = Batch(list("abcd"), [([3, 0], large), ([2], small)], {1: "is broken"})
    scored = forward.score(model, batch)
    assert (scored.names, scored.reasons) == (list("abcd"), {1: "is broken"})
    alone = [forward.forward_pixels(model, each[None]).logits[0].numpy() for each in (large[1], small[0], large[0])]
    np.testing.assert_allclose(scored.logits, np.stack(alone), atol=1e-5)


def test_a_batch_of_broken_images_has_no_logits():
    scored = forward.score(untrained.model(), Batch(["a"], [], {0: "is broken"}))
    assert (scored.logits.shape, scored.reasons) == ((0, 3), {0: "is broken"})
