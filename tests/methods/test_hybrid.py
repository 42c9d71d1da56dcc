"""Hybrid networks: what both branches minimise, on what, and by what they predict."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from longtail import methods
from longtail.data.batches import Batch, Stream
from longtail.losses import prototypical, supervised_contrastive
from support.small_methods import CLASSES, HALF, ROWS, batches, make


def parts(method: Any, given: tuple[Batch, ...]) -> tuple[torch.Tensor, ...]:
    """Embeddings with their labels, and logits, computed by hand from one pass of all images."""
    natural, balanced = given
    images = torch.cat([natural.images[0], natural.images[1], balanced.images[0]])
    features = method.classifier.backbone(images)
    embeddings = method.projection(features[: 2 * ROWS])
    return embeddings, torch.cat([natural.labels, natural.labels]), method.classifier.head(features[2 * ROWS :])


@pytest.mark.parametrize("kind", ["hybrid-sc", "hybrid-psc"])
@pytest.mark.parametrize(("epoch", "alpha"), [(0, 1.0), (5, 0.75), (9, 0.19)])
def test_a_hybrid_weighs_contrast_against_cross_entropy(kind, epoch, alpha):
    method = make(kind)
    assert method.streams == (Stream("instance", views=2), Stream("balanced", views=1))
    given = batches(method)
    step = method(given, HALF._replace(epoch=epoch))
    embeddings, labels, logits = parts(method, given)
    if isinstance(method, methods.HybridPSC):
        contrast = prototypical(embeddings, labels, method.prototypes, temperature=method.temperature)
    else:
        contrast = supervised_contrastive(embeddings, labels, temperature=method.temperature)
    cross_entropy = F.cross_entropy(logits, given[1].labels)
    torch.testing.assert_close(step.loss, alpha * contrast + (1 - alpha) * cross_entropy)
    torch.testing.assert_close(step.terms["contrast"], contrast)
    torch.testing.assert_close(step.terms["cross_entropy"], cross_entropy)
    assert step.terms["alpha"].item() == pytest.approx(alpha)
    assert not any(term.requires_grad for term in step.terms.values())


@pytest.mark.parametrize("kind", ["hybrid-sc", "hybrid-psc"])
def test_each_branch_is_silent_at_its_end_of_the_curriculum(kind):
    method = make(kind, "method.alpha.kind=constant", "method.alpha.value=1")
    method(batches(method), HALF).loss.backward()
    assert not method.classifier.head.weight.grad.any(), "no cross-entropy at alpha 1"
    assert method.projection[0].weight.grad.any()
    method = make(kind, "method.alpha.kind=constant", "method.alpha.value=0")
    method(batches(method), HALF).loss.backward()
    assert method.classifier.head.weight.grad.any()
    # Zero, not missing: data-parallel training waits for every gradient.
    assert all(p.grad is not None and not p.grad.any() for p in method.projection.parameters())


def test_prototypes_are_learned_and_there_may_be_several_a_class():
    method = make("hybrid-psc", "method.prototypes_per_class=3")
    assert method.prototypes.shape == (CLASSES, 3, 128)
    torch.testing.assert_close(method.prototypes.norm(dim=2), torch.ones(CLASSES, 3))
    method(batches(method), HALF).loss.backward()
    assert method.prototypes.grad is not None and method.prototypes.grad.any()


def test_anchors_without_a_positive_are_counted():
    method = make("hybrid-sc")
    natural, balanced = batches(method)
    # Two views give every image a positive; one view of distinct classes gives none.
    assert method((natural, balanced), HALF).terms["anchors_without_positive"] == 0
    alone = Batch(natural.images[:1, :CLASSES], torch.arange(CLASSES))
    step = method((alone, balanced), HALF)
    assert step.terms["anchors_without_positive"] == CLASSES
    assert step.terms["contrast"] == 0


@pytest.mark.parametrize("kind", ["hybrid-sc", "hybrid-psc"])
def test_prediction_uses_the_classifier_branch_only(kind):
    method = make(kind).eval()
    images = batches(method)[1].images[0]
    before = method.predict(images)
    torch.nn.init.zeros_(method.projection[0].weight)
    assert torch.equal(method.predict(images), before)
    assert torch.equal(method.classifier(images), before)


def test_class_names_do_not_matter():
    """Renaming the classes of the feature branch leaves Hybrid-SC's loss as it was."""
    method = make("hybrid-sc").eval()
    natural, balanced = batches(method)
    renamed = natural._replace(labels=CLASSES - 1 - natural.labels)
    torch.testing.assert_close(method((natural, balanced), HALF).loss, method((renamed, balanced), HALF).loss)
