"""Plain cross-entropy and logit adjustment: what they minimise, on what, and by what they predict."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from longtail import recipe
from longtail.data.batches import Stream
from longtail.data.sampler import Weights
from longtail.recipe import build
from support.small_methods import CLASSES, COUNTS, HALF, ROWS, batches, make


def test_cross_entropy_is_that_of_one_view():
    method = make("ce")
    (batch,) = given = batches(method)
    step = method(given, HALF)
    expected = F.cross_entropy(method.classifier(batch.images[0]), batch.labels)
    torch.testing.assert_close(step.loss, expected)
    assert step.terms.keys() == {"cross_entropy"}


@pytest.mark.parametrize("kind", ["ce", "logit-adjustment"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_weights_count_in_the_mean_and_not_in_the_losses_of_single_images(kind, precision):
    method = make(kind)
    wrapped = Fabric(accelerator="cpu", precision=precision).setup_module(method)
    (batch,) = batches(method)
    weights = torch.where(torch.arange(ROWS) % 3 > 0, 1.3, 0.7)
    plain, step = wrapped((batch,), HALF), wrapped((batch._replace(weights=Weights(weights)),), HALF)
    torch.testing.assert_close(plain.each.mean(), plain.loss)
    torch.testing.assert_close(step.each, plain.each)
    # Mixed precision must not round the weights: 1.3 is 1.296875 in bfloat16.
    torch.testing.assert_close(step.loss, plain.each @ weights / ROWS, rtol=1e-5, atol=0)
    assert step.loss.requires_grad and not step.each.requires_grad


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_logit_adjustment_knows_how_frequent_classes_are_and_predicts_without(tau):
    method = make("logit-adjustment", f"method.tau={tau}")
    assert method.streams == (Stream("instance", 1),)
    (batch,) = given = batches(method)
    logits, step = method.classifier(batch.images[0]), method(given, HALF)
    shares = torch.tensor(COUNTS / COUNTS.sum())
    torch.testing.assert_close(step.loss, F.cross_entropy(logits + tau * shares.log().float(), batch.labels))
    assert step.terms.keys() == {"cross_entropy"}
    method.eval()
    assert torch.equal(method.predict(batch.images[0]), method.classifier(batch.images[0]))


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_smoothing_gives_classes_a_share_alike_or_with_logit_adjustment_by_frequency(tau):
    shares = torch.tensor(COUNTS / COUNTS.sum()).float() ** tau
    shares, even = shares / shares.sum(), torch.full((CLASSES,), 1 / CLASSES)
    for kind, offset, toward in (("ce", torch.zeros(CLASSES), even), ("logit-adjustment", shares.log(), shares)):
        method = make(kind, "method.smoothing=0.2", *([f"method.tau={tau}"] if kind != "ce" else []))
        (batch,) = given = batches(method)
        target = 0.8 * F.one_hot(batch.labels, CLASSES) + 0.2 * toward
        expected = F.cross_entropy(method.classifier(batch.images[0]) + offset, target)
        torch.testing.assert_close(method(given, HALF).loss, expected)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_logit_adjustment_bears_a_class_without_training_images(smoothing):
    counts = np.array([9, 4, 2, 1, 0])
    settings = recipe.load("digits-lt/logit-adjustment", {"network.width": 4, "method.smoothing": smoothing})
    method = build.method(settings, counts)
    (batch,) = batches(method)
    step = method((batch._replace(labels=batch.labels.clamp(max=3)),), HALF)
    step.loss.backward()
    assert step.loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_class_balanced_sampling_is_an_option_of_plain_training():
    assert make("ce").streams == (Stream("instance", 1),)
    assert make("ce", "method.sampling=balanced").streams == (Stream("balanced", 1),)


@pytest.mark.parametrize(("sampling", "prior"), [("instance", [0.9, 0, 0.1]), ("balanced", [0.5, 0, 0.5])])
def test_cross_entropy_assumes_the_distribution_that_it_drew(sampling: str, prior: list[float]) -> None:
    method = make("ce", f"method.sampling={sampling}")
    assert method.assumed_prior(np.array([9, 0, 1])).tolist() == prior


@pytest.mark.parametrize(
    ("tau", "expected"), [(1, [0.5, 0, 0.5]), (0.5, [0.75, 0, 0.25]), (2, [0.1, 0, 0.9]), (1e6, [0, 0, 1])]
)
def test_logit_adjustment_takes_the_prior_away_again(tau: float, expected: list[float]) -> None:
    method = make("logit-adjustment", f"method.tau={tau}")
    assert method.assumed_prior(np.array([9, 0, 1])).tolist() == pytest.approx(expected)
