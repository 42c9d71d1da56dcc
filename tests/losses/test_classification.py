"""Logit adjustment and smoothing against their formulas written out in float64, and at their edges."""

import math

import pytest
import torch
from torch.nn import functional as F

from longtail.losses import adjusted_logits, logit_adjusted, smoothed_cross_entropy

TAUS = [0.3, 1.0, 2.0]
PRIOR = torch.tensor([0.5, 0.3, 0.15, 0.04, 0.01])


def written_out(logits, labels, prior, tau):
    """Eq. 10 of Menon et al., image by image: the margin between each class and the own one is in the sum."""
    losses = []
    for row, own in zip(logits.double(), labels.tolist(), strict=True):
        others = [c for c in range(len(row)) if c != own]
        ratios = prior[others].double() / prior[own].double()
        losses.append(torch.log(1 + (ratios**tau * torch.exp(row[others] - row[own])).sum()))
    return torch.stack(losses).mean()


def balanced_softmax(logits, labels, counts):
    """Eq. 4 of Ren et al."""
    weighted = counts.double() * logits.double().exp()
    return -torch.log(weighted.gather(1, labels[:, None]).squeeze(1) / weighted.sum(1)).mean()


def sample(seed, batch=17, classes=5):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, classes, generator=generator) * 3
    return logits, torch.randint(classes, (batch,), generator=generator)


@pytest.mark.parametrize(
    ("prior", "own", "tau", "value"),
    [
        ([0.75, 0.25], 0, 1.0, math.log(4 / 3)),
        ([0.75, 0.25], 1, 1.0, math.log(4)),
        ([0.75, 0.25], 1, 2.0, math.log(10)),  # 1 / 16 of 10 / 16
        ([0.5, 0.5], 1, 5.0, math.log(2)),
    ],
)
def test_of_even_logits_the_prior_decides(prior, own, tau, value):
    loss = logit_adjusted(torch.zeros(1, 2), torch.tensor([own]), torch.tensor(prior), tau=tau)
    assert loss.item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_sum_written_out_and_so_is_its_gradient(seed, tau):
    logits, labels = sample(seed)
    mine, oracle = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, wanted = logit_adjusted(mine, labels, PRIOR, tau=tau), written_out(oracle, labels, PRIOR, tau)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for each in (loss, wanted):
        each.backward()
    torch.testing.assert_close(mine.grad, oracle.grad, rtol=1e-4, atol=1e-6)


def test_with_tau_1_it_is_balanced_softmax():
    logits, labels = sample(0)
    counts = torch.tensor([500, 120, 40, 9, 2])
    loss = logit_adjusted(logits, labels, counts / counts.sum(), tau=1.0)
    assert loss.item() == pytest.approx(balanced_softmax(logits, labels, counts).item(), rel=1e-5)


def test_of_equally_frequent_classes_it_is_cross_entropy():
    logits, labels = sample(0)
    torch.testing.assert_close(
        logit_adjusted(logits, labels, torch.full((5,), 0.2), tau=1.0), F.cross_entropy(logits, labels)
    )


def test_order_names_and_scale_do_not_matter():
    logits, labels = sample(0)
    loss = logit_adjusted(logits, labels, PRIOR, tau=1.5)
    other = torch.tensor([3, 0, 4, 1, 2])
    renamed = logit_adjusted(logits[:, other], other.argsort()[labels], PRIOR[other], tau=1.5)
    shuffled = logit_adjusted(logits.flip(0), labels.flip(0), PRIOR, tau=1.5)
    counted = logit_adjusted(logits, labels, 1000 * PRIOR, tau=1.5)
    raised = logit_adjusted(logits + 7, labels, PRIOR, tau=1.5)
    for same in (renamed, shuffled, counted, raised):
        assert same.item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_minimum_ranks_classes_as_if_they_were_equally_frequent():
    """Of an image that is as likely in either class, the logits become equal, however rare one of them is."""
    logits = torch.zeros(1, 2, requires_grad=True)
    labels, prior = torch.tensor([0] * 9 + [1]), torch.tensor([0.9, 0.1])
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(200):
        optimizer.zero_grad()
        logit_adjusted(logits.expand(10, 2), labels, prior, tau=1.0).backward()
        optimizer.step()
    assert logits.softmax(1)[0, 1].item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("tau", TAUS)
def test_a_class_that_does_not_occur_is_left_out(tau):
    logits, labels = sample(0)
    labels, prior = labels.clamp(max=3), torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    mine = logits.clone().requires_grad_()
    loss = logit_adjusted(mine, labels, prior, tau=tau)
    loss.backward()
    assert loss.item() == pytest.approx(logit_adjusted(logits[:, :4], labels, prior[:4], tau=tau).item(), rel=1e-6)
    assert mine.grad is not None and mine.grad.isfinite().all()
    assert not mine.grad[:, 4].any()
    assert mine.grad[:, :4].any()


def test_an_image_of_a_class_that_cannot_occur_has_infinite_loss():
    loss = logit_adjusted(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([1.0, 0.0]), tau=1.0)
    assert loss.item() == math.inf


def test_an_empty_batch_and_a_single_class_have_loss_0():
    for logits, prior in ((torch.zeros(0, 2), [0.5, 0.5]), (torch.ones(3, 1), [1.0])):
        logits.requires_grad_()
        loss = logit_adjusted(logits, torch.zeros(len(logits), dtype=torch.long), torch.tensor(prior), tau=1.0)
        loss.backward()
        assert loss.item() == 0
        assert logits.grad is not None and not logits.grad.any()


def test_huge_logits_do_not_overflow():
    logits = torch.tensor([[1e30, -1e30], [-1e4, 1e4]])
    loss = logit_adjusted(logits, torch.tensor([0, 1]), torch.tensor([1e-6, 1.0]), tau=1.0)
    assert loss.item() == 0


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(kind):
    logits, labels = sample(0)
    loss = logit_adjusted(logits.to(kind), labels, PRIOR, tau=1.0)
    assert loss.dtype == torch.float32
    assert loss == logit_adjusted(logits.to(kind).float(), labels, PRIOR, tau=1.0)
    assert logit_adjusted(logits.double(), labels, PRIOR, tau=1.0).dtype == torch.float64


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan])
def test_tau_must_be_above_0(tau):
    logits, labels = sample(0)
    with pytest.raises(ValueError, match=rf"^tau is {tau}; it must be above 0$"):
        logit_adjusted(logits, labels, PRIOR, tau=tau)


# --- smoothing --------------------------------------------------------------------------------------------------------

EVEN = torch.full((5,), 0.2)


def test_smoothing_is_the_cross_entropy_to_a_mixed_target_written_out():
    logits, labels = sample(0)
    target = 0.9 * F.one_hot(labels, 5).double() + 0.1 * PRIOR.double()
    wanted = -(target * logits.double().log_softmax(1)).sum(1).float()
    torch.testing.assert_close(smoothed_cross_entropy(logits, labels, PRIOR, smoothing=0.1), wanted)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_toward_equal_shares_it_is_label_smoothing_as_everybody_has_it(smoothing):
    logits, labels = sample(1)
    loss = smoothed_cross_entropy(logits, labels, EVEN, smoothing=smoothing)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none"))


def test_toward_the_priors_what_it_adds_is_least_where_adjusted_logits_predict_all_classes_alike():
    logits = torch.zeros(1, 5, requires_grad=True)
    added = smoothed_cross_entropy(adjusted_logits(logits, PRIOR, tau=1.0), torch.tensor([4]), PRIOR, smoothing=0.5)
    added = added - 0.5 * F.cross_entropy(adjusted_logits(logits, PRIOR, tau=1.0), torch.tensor([4]))
    added.sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 5), rtol=0, atol=1e-7)


def test_smoothing_leaves_a_class_out_that_does_not_occur():
    logits, labels = sample(0)
    labels, prior = labels.clamp(max=3), torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    mine = logits.clone().requires_grad_()
    loss = smoothed_cross_entropy(adjusted_logits(mine, prior, tau=1.0), labels, prior, smoothing=0.1)
    loss.sum().backward()
    fewer = adjusted_logits(logits[:, :4], prior[:4], tau=1.0)
    torch.testing.assert_close(loss, smoothed_cross_entropy(fewer, labels, prior[:4], smoothing=0.1))
    assert mine.grad is not None and mine.grad.isfinite().all()
    assert not mine.grad[:, 4].any()


def test_an_image_of_a_class_that_cannot_occur_has_infinite_loss_without_smoothing_too():
    impossible = torch.tensor([[0.0, -math.inf]])
    for smoothing in (0.0, 0.1):
        loss = smoothed_cross_entropy(impossible, torch.tensor([1]), torch.tensor([1.0, 0.0]), smoothing=smoothing)
        assert loss.item() == math.inf


def test_without_smoothing_a_logit_of_minus_infinity_is_that_of_a_class_left_out():
    loss = smoothed_cross_entropy(torch.tensor([[0.0, -math.inf]]), torch.tensor([0]), EVEN[:2], smoothing=0.0)
    assert loss.item() == 0


def test_smoothing_is_as_precise_in_mixed_precision():
    logits, labels = sample(2, batch=64)
    loss = smoothed_cross_entropy(logits, labels, PRIOR, smoothing=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(smoothed_cross_entropy(logits, labels, PRIOR, smoothing=0.5), loss)


def test_smoothing_of_half_precision_is_computed_in_float32_and_of_no_images_is_nothing():
    logits, labels = sample(0)
    rough = logits.bfloat16()
    loss = smoothed_cross_entropy(rough, labels, PRIOR, smoothing=0.1)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, smoothed_cross_entropy(rough.float(), labels, PRIOR, smoothing=0.1))
    assert smoothed_cross_entropy(logits[:0], labels[:0], PRIOR, smoothing=0.1).shape == (0,)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_smoothing_must_leave_something_to_the_label(smoothing):
    logits, labels = sample(0)
    with pytest.raises(ValueError, match=rf"^smoothing is {smoothing}; it must be in \[0, 1\)$"):
        smoothed_cross_entropy(logits, labels, PRIOR, smoothing=smoothing)
