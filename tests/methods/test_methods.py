"""What each method minimises, on what it does so, and by what it predicts."""

from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from longtail import methods, recipe
from longtail.data.batches import Batch, Stream
from longtail.data.infobatch import Weights
from longtail.losses import prototypical, supervised_contrastive
from longtail.optim import schedules
from longtail.optim.schedules import Clock
from longtail.recipe import build

CLASSES, ROWS = 5, 12
COUNTS = np.array([40, 16, 6, 1, 1])
HALF = Clock(step=50, steps=100, epoch=5, epochs=10)


def make(kind: str, *overrides: str) -> Any:
    """A method of five classes; which attributes it has depends on the kind."""
    torch.manual_seed(0)
    settings = recipe.load(f"digits-lt/{kind}", recipe.parse_overrides(["network.width=4", *overrides]))
    return build.method(settings, COUNTS)


def batches(method: methods.Method, seed: int = 0) -> tuple[Batch, ...]:
    generator = torch.Generator().manual_seed(seed)

    def batch(stream: Stream) -> Batch:
        images = torch.randn(stream.views, ROWS, 3, 16, 16, generator=generator)
        return Batch(images, torch.randint(0, CLASSES, (ROWS,), generator=generator))

    return tuple(batch(stream) for stream in method.streams)


def parts(method: Any, given: tuple[Batch, ...]) -> tuple[torch.Tensor, ...]:
    """Embeddings with their labels, and logits, computed by hand from one pass of all images."""
    natural, balanced = given
    images = torch.cat([natural.images[0], natural.images[1], balanced.images[0]])
    features = method.classifier.backbone(images)
    embeddings = method.projection(features[: 2 * ROWS])
    return embeddings, torch.cat([natural.labels, natural.labels]), method.classifier.head(features[2 * ROWS :])


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
    easy = torch.arange(ROWS) % 3 > 0
    plain, step = wrapped((batch,), HALF), wrapped((batch._replace(weights=Weights(easy, 1.3, 0.7)),), HALF)
    torch.testing.assert_close(plain.each.mean(), plain.loss)
    torch.testing.assert_close(step.each, plain.each)
    # Mixed precision must not round the weights: 1.3 is 1.296875 in bfloat16.
    torch.testing.assert_close(step.loss, plain.each @ torch.where(easy, 1.3, 0.7) / ROWS, rtol=1e-5, atol=0)
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
    settings = recipe.load(
        "digits-lt/logit-adjustment", recipe.parse_overrides(["network.width=4", f"method.smoothing={smoothing}"])
    )
    method = build.method(settings, counts)
    (batch,) = batches(method)
    step = method((batch._replace(labels=batch.labels.clamp(max=3)),), HALF)
    step.loss.backward()
    assert step.loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_class_balanced_sampling_is_an_option_of_plain_training():
    assert make("ce").streams == (Stream("instance", 1),)
    assert make("ce", "method.sampling=balanced").streams == (Stream("balanced", 1),)


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


@pytest.mark.parametrize(
    ("overrides", "at_half"),
    [
        ((), 0.75),
        (("method.alpha.kind=linear",), 0.5),
        (("method.alpha.kind=cosine",), 2**-0.5),
        (("method.alpha.kind=constant", "method.alpha.value=0.3"), 0.3),
        (("method.alpha.kind=step", "method.alpha.at=0.4"), 0.0),
    ],
)
def test_every_curriculum_can_be_chosen(overrides, at_half):
    settings = recipe.load("digits-lt/hybrid-psc", recipe.parse_overrides(overrides)).method
    assert isinstance(settings, recipe.HybridPSC)
    assert build.alpha(settings.alpha)(HALF) == pytest.approx(at_half)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (("schedule.kind=step", "schedule.warmup=0.1"), [0.01, 0.1, 0.1, 0.001]),
        (("schedule.kind=cosine", "schedule.warmup=0"), [0.1, 0.1, 0.05, 0.0]),
        (("schedule.kind=one-cycle", "schedule.warmup=0.1"), [0.01, 0.1, 0.0555, 0.0011]),
        (("schedule.kind=constant",), [0.1, 0.1, 0.1, 0.1]),
    ],
)
def test_every_learning_rate_schedule_can_be_chosen(schedule, rates):
    settings = recipe.load("digits-lt/ce", recipe.parse_overrides(schedule))
    clocks = [Clock.at(step=step, epochs=10, steps_per_epoch=10) for step in (0, 10, 50, 99)]
    assert [build.learning_rate(settings, clock) for clock in clocks] == pytest.approx(rates, rel=0.03, abs=1e-4)
    assert schedules.warmup(clocks[0], fraction=0) == 1
