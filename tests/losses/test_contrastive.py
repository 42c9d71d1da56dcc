"""Contrastive losses against their double sums written out in float64, and at their edges."""

import math

import pytest
import torch

from longtail.losses import anchors_without_positive, prototypical, supervised_contrastive

TEMPERATURES = [0.05, 0.1, 0.5, 1.0]
SEEDS = [0, 1, 2]


def written_out_sc(embeddings, labels, temperature):
    """Eq. 2 of Khosla et al., anchor by anchor and positive by positive."""
    z = [row / row.norm() for row in embeddings.double()]
    everyone = range(len(z))
    losses = []
    for i in everyone:
        positives = [j for j in everyone if j != i and labels[j] == labels[i]]
        if not positives:
            continue
        below = sum(torch.exp(z[i] @ z[k] / temperature) for k in everyone if k != i)
        losses.append(sum(-torch.log(torch.exp(z[i] @ z[j] / temperature) / below) for j in positives) / len(positives))
    return torch.stack(losses).mean()


def written_out_psc(embeddings, labels, prototypes, temperature):
    """Prototypes `(C, M, D)`; the own class stays out of the denominator."""
    losses = []
    for row, own in zip(embeddings.double(), labels.tolist(), strict=True):
        towards = [
            sum(torch.exp(row @ p / (row.norm() * p.norm()) / temperature) for p in several)
            for several in prototypes.double()
        ]
        others = sum(towards[c] for c in range(len(towards)) if c != own)
        losses.append(-torch.log(towards[own] / others))
    return torch.stack(losses).mean()


def sample(seed, batch=17, dim=6, classes=5):
    """Embeddings of any length and labels of which the last is alone in its class."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(batch, dim, generator=generator) * torch.rand(batch, 1, generator=generator) * 10
    labels = torch.randint(classes - 1, (batch,), generator=generator)
    labels[-1] = classes - 1
    return embeddings, labels


def sample_prototypes(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 100))


def gradients(loss, *inputs):
    """The loss and its gradients for fresh leaves of the inputs."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    value = loss(*leaves)
    return value.detach(), torch.autograd.grad(value, leaves)


def assert_same(mine, oracle):
    """Equal up to what float32 leaves of a float64 result."""
    (value, grads), (wanted, wanted_grads) = mine, oracle
    torch.testing.assert_close(value.double(), wanted.double(), rtol=1e-5, atol=1e-5)
    for grad, wanted_grad in zip(grads, wanted_grads, strict=True):
        torch.testing.assert_close(grad, wanted_grad, rtol=1e-3, atol=1e-4 * wanted_grad.abs().max().item())


def rotation(dim, seed=0):
    return torch.linalg.qr(sample_prototypes(seed, dim, dim)).Q


def simplex(classes):
    """Class directions as far apart as they can be: cosine -1 / (C - 1) between any two."""
    return torch.eye(classes) - 1 / classes


BOTH = pytest.mark.parametrize(
    "loss",
    [
        supervised_contrastive,
        lambda z, y, *, temperature: prototypical(
            z, y, torch.eye(2, z.shape[1], dtype=z.dtype), temperature=temperature
        ),
    ],
    ids=["supervised_contrastive", "prototypical"],
)


@BOTH
@pytest.mark.parametrize("temperature", [0.0, -0.1, math.nan])
def test_temperature_must_be_above_0(loss, temperature):
    with pytest.raises(ValueError, match=f"temperature is {temperature}; it must be above 0"):
        loss(torch.eye(2), torch.tensor([0, 1]), temperature=temperature)


@BOTH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    embeddings, _ = sample(0)
    labels = torch.arange(17) % 2
    embeddings = embeddings.to(dtype).requires_grad_()
    value = loss(embeddings, labels, temperature=0.05)
    assert value.dtype == torch.float32
    assert value == loss(embeddings.detach().float(), labels, temperature=0.05)
    (grad,) = torch.autograd.grad(value, embeddings)
    assert grad.dtype == dtype and grad.isfinite().all() and grad.any()


@BOTH
def test_float64_stays_and_its_gradient_is_that_of_finite_differences(loss):
    embeddings, _ = sample(0)
    embeddings = embeddings.double().requires_grad_()
    assert loss(embeddings, torch.arange(17) % 2, temperature=0.1).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda z: loss(z, torch.arange(17) % 2, temperature=0.1), embeddings)


@BOTH
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(loss, dtype):
    embeddings, _ = sample(0)
    labels = torch.arange(17) % 2
    assert loss(embeddings, labels.to(dtype), temperature=0.1) == loss(embeddings, labels, temperature=0.1)


@BOTH
def test_empty_batch_is_0_with_a_gradient(loss):
    embeddings = torch.zeros(0, 4, requires_grad=True)
    value = loss(embeddings, torch.zeros(0, dtype=torch.int64), temperature=0.1)
    value.backward()
    assert value == 0 and embeddings.grad is not None


@BOTH
def test_an_embedding_of_length_0_stays_finite(loss):
    embeddings, _ = sample(0)
    embeddings[3] = 0
    value, (grad,) = gradients(lambda z: loss(z, torch.arange(17) % 2, temperature=0.05), embeddings)
    assert value.isfinite() and grad.isfinite().all()


# Supervised contrastive.


def test_sc_by_hand():
    degrees = torch.tensor([0.0, 60.0, 180.0]).deg2rad()
    embeddings = torch.stack([degrees.cos(), degrees.sin()], dim=1)
    # Cosines: 1/2 between the first two, -1 and -1/2 to the third, which is alone. All divided by 1/2.
    wanted = (math.log(1 + math.exp(-2 - 1)) + math.log(1 + math.exp(-1 - 1))) / 2
    value = supervised_contrastive(embeddings, torch.tensor([7, 7, -3]), temperature=0.5)
    assert value.item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("seed", SEEDS)
def test_sc_is_the_double_sum_and_so_is_its_gradient(seed, temperature):
    embeddings, labels = sample(seed)
    assert anchors_without_positive(labels) > 0
    assert_same(
        gradients(lambda z: supervised_contrastive(z, labels, temperature=temperature), embeddings),
        gradients(lambda z: written_out_sc(z, labels, temperature), embeddings),
    )


def test_sc_of_separated_classes_is_its_floor():
    # 3 classes of 4 at right angles: 3 positives at cosine 1, 8 others at cosine 0.
    labels = torch.arange(3).repeat(4)
    value = supervised_contrastive(torch.eye(3)[labels], labels, temperature=0.5)
    assert value.item() == pytest.approx(math.log(3 + 8 * math.exp(-2)), rel=1e-6)


@pytest.mark.parametrize("labels", [[0] * 8, [0, 0, 1, 1, 1, 2, 3, 4]], ids=["one class", "several"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_sc_of_collapsed_embeddings_is_chance_with_no_gradient(labels, temperature):
    embeddings = torch.tensor([[3.0, -4.0]]).repeat(8, 1)
    value, (grad,) = gradients(
        lambda z: supervised_contrastive(z, torch.tensor(labels), temperature=temperature), embeddings
    )
    assert value.item() == pytest.approx(math.log(7), rel=1e-5)
    torch.testing.assert_close(grad, torch.zeros(8, 2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_sc_without_any_positive_is_0_with_a_zero_gradient(batch):
    embeddings, _ = sample(0, batch=batch)
    with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either
        value, (grad,) = gradients(
            lambda z: supervised_contrastive(z, torch.arange(batch), temperature=0.05), embeddings
        )
    assert value == 0
    assert torch.equal(grad, torch.zeros_like(grad))


def test_sc_of_a_pair_alone_is_0():
    # The positive is the whole denominator.
    embeddings, _ = sample(0, batch=2)
    value = supervised_contrastive(embeddings, torch.tensor([4, 4]), temperature=0.05)
    assert value.item() == pytest.approx(0, abs=1e-5)


def test_sc_compares_with_embeddings_that_are_alone():
    # Without the third, a pair has nothing to be told from; with it, chance is one of two.
    value, (grad,) = gradients(
        lambda z: supervised_contrastive(z, torch.tensor([0, 0, 1]), temperature=1.0),
        torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]]),
    )
    assert value.item() == pytest.approx(math.log(2), rel=0.02)
    assert grad[2].any()


def test_sc_depends_on_neither_order_nor_names_nor_lengths_nor_axes():
    embeddings, labels = sample(3)
    value = supervised_contrastive(embeddings, labels, temperature=0.1).item()
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    names = torch.tensor([2**40, -1, 7, 0, 3])
    for same in (
        (embeddings[order], labels[order]),
        (embeddings, names[labels]),
        (embeddings * sample_prototypes(1, 17, 1).exp(), labels),
        (embeddings @ rotation(6), labels),
    ):
        assert supervised_contrastive(*same, temperature=0.1).item() == pytest.approx(value, rel=1e-5)
    assert supervised_contrastive(embeddings, labels[order], temperature=0.1).item() != pytest.approx(value, rel=0.01)


def test_sc_is_stable_for_long_embeddings_at_a_low_temperature():
    embeddings, labels = sample(4)
    value, (grad,) = gradients(lambda z: supervised_contrastive(z, labels, temperature=0.05), embeddings * 1e6)
    assert value.item() == pytest.approx(written_out_sc(embeddings, labels, 0.05).item(), rel=1e-5)
    assert grad.isfinite().all()
    # Where exp(1 / t) itself is far outside float32.
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    value = supervised_contrastive(opposite, torch.tensor([0, 0, 1]), temperature=1e-3)
    assert value.item() == pytest.approx((2000 + math.log(2)) / 2)


def test_anchors_without_positive():
    for labels, alone in [([], 0), ([3], 1), ([0, 0, 0], 0), ([5, -2, 5, 0, 9], 3)]:
        assert anchors_without_positive(torch.tensor(labels, dtype=torch.int64)) == alone


# Prototypical.


def test_psc_by_hand():
    degrees = torch.tensor([0.0, 90.0, 180.0]).deg2rad()
    prototypes = torch.stack([degrees.cos(), degrees.sin()], dim=1)
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # To the own prototype, the first: e^2 over e^0 + e^-2. To the second: e^0 over e^2 + e^-2.
    wanted = (math.log(1 + math.exp(-2)) - 2 + math.log(math.exp(2) + math.exp(-2))) / 2
    value = prototypical(embeddings, torch.tensor([0, 1]), prototypes, temperature=0.5)
    assert value.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("classes", "temperature", "value"), [(10, 1.0, 1.086), (100, 0.1, -5.51)])
def test_psc_on_a_simplex(classes, temperature, value):
    directions = simplex(classes)
    loss = prototypical(directions, torch.arange(classes), directions, temperature=temperature).item()
    assert loss == pytest.approx(value, abs=0.005)
    formula = -1 / temperature + math.log(classes - 1) - 1 / ((classes - 1) * temperature)
    assert loss == pytest.approx(formula, rel=1e-5)


@pytest.mark.parametrize(("classes", "value"), [(10, 2.197), (100, 4.595)])
def test_psc_at_random_is_the_logarithm_of_the_other_classes(classes, value):
    embeddings, prototypes = sample_prototypes(0, 64, 4096), sample_prototypes(1, classes, 4096)
    loss = prototypical(embeddings, torch.arange(64) % classes, prototypes, temperature=1.0)
    assert loss.item() == pytest.approx(value, abs=0.01)


def test_psc_leaves_the_own_class_out_of_the_denominator():
    # At right angles to all others, only 1 / t tells the own prototype from them.
    value = prototypical(torch.eye(5), torch.arange(5), torch.eye(5), temperature=0.05)
    assert value.item() == pytest.approx(math.log(4) - 20, rel=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("several", [1, 3])
def test_psc_is_the_sum_written_out_and_so_are_its_gradients(several, seed, temperature):
    embeddings, labels = sample(seed)
    prototypes = sample_prototypes(seed, 5, several, 6)
    assert_same(
        gradients(lambda z, p: prototypical(z, labels, p, temperature=temperature), embeddings, prototypes),
        gradients(lambda z, p: written_out_psc(z, labels, p, temperature), embeddings, prototypes),
    )


def test_psc_of_one_prototype_a_class_in_either_shape():
    embeddings, labels = sample(0)
    prototypes = sample_prototypes(0, 5, 6)
    value = prototypical(embeddings, labels, prototypes, temperature=0.1)
    assert prototypical(embeddings, labels, prototypes.unsqueeze(1), temperature=0.1) == value
    equal = prototypes.unsqueeze(1).repeat(1, 4, 1)
    assert prototypical(embeddings, labels, equal, temperature=0.1).item() == pytest.approx(value.item(), rel=1e-5)


def test_psc_draws_to_the_nearest_of_several_prototypes():
    embeddings, labels = torch.tensor([[1.0, 0.1]]), torch.tensor([0])
    prototypes = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])
    _, (grad,) = gradients(lambda p: prototypical(embeddings, labels, p, temperature=0.1), prototypes)
    near, far = grad[0].norm(dim=1)
    assert near > 10 * far > 0


def test_psc_turns_prototypes_towards_their_class():
    embeddings, labels = sample(0)
    prototypes = sample_prototypes(0, 5, 6)
    _, (to_embeddings, to_prototypes) = gradients(
        lambda z, p: prototypical(z, labels, p, temperature=0.1), embeddings, prototypes
    )
    assert to_embeddings.any(1).all() and to_prototypes.any(1).all()
    # Only turned: a longer vector is as good.
    torch.testing.assert_close((to_embeddings * embeddings).sum(1), torch.zeros(17), rtol=0, atol=1e-5)
    torch.testing.assert_close((to_prototypes * prototypes).sum(1), torch.zeros(5), rtol=0, atol=1e-5)
    after = prototypical(embeddings, labels, prototypes - 0.1 * to_prototypes, temperature=0.1)
    assert after < prototypical(embeddings, labels, prototypes, temperature=0.1)


def test_psc_depends_on_neither_order_nor_names_nor_lengths_nor_axes():
    embeddings, labels = sample(3)
    prototypes = sample_prototypes(3, 5, 2, 6)
    value = prototypical(embeddings, labels, prototypes, temperature=0.1).item()
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    names = torch.tensor([3, 0, 4, 1, 2])
    turn = rotation(6)
    for same in (
        (embeddings[order], labels[order], prototypes),
        (embeddings, names[labels], prototypes[names.argsort()]),
        (embeddings, labels, prototypes.flip(1)),
        (embeddings * sample_prototypes(1, 17, 1).exp(), labels, prototypes),
        (embeddings, labels, prototypes * sample_prototypes(1, 5, 2, 1).exp()),
        (embeddings @ turn, labels, prototypes @ turn),
    ):
        assert prototypical(*same, temperature=0.1).item() == pytest.approx(value, rel=1e-5)
    assert prototypical(embeddings, names[labels], prototypes, temperature=0.1).item() != pytest.approx(value, rel=0.01)


def test_psc_is_a_mean_over_embeddings_that_do_not_know_each_other():
    embeddings, labels = sample(0)
    prototypes = sample_prototypes(0, 5, 6)
    rows = [slice(i, i + 1) for i in range(17)]
    alone = [prototypical(embeddings[row], labels[row], prototypes, temperature=0.1) for row in rows]
    together = prototypical(embeddings, labels, prototypes, temperature=0.1)
    assert together.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_psc_is_stable_for_long_vectors_at_a_low_temperature():
    embeddings, labels = sample(4)
    prototypes = sample_prototypes(4, 5, 3, 6)
    value, grads = gradients(
        lambda z, p: prototypical(z, labels, p, temperature=0.05), embeddings * 1e6, prototypes * 1e6
    )
    assert value.item() == pytest.approx(written_out_psc(embeddings, labels, prototypes, 0.05).item(), rel=1e-5)
    assert all(grad.isfinite().all() for grad in grads)
    assert prototypical(torch.eye(2).flip(0), torch.arange(2), torch.eye(2), temperature=1e-3).item() == pytest.approx(
        1000
    )


@pytest.mark.parametrize("shape", [(1, 4), (1, 3, 4)])
def test_psc_of_one_class_has_nothing_to_push_away(shape):
    with pytest.raises(ValueError, match="at least 2 are needed"):
        prototypical(torch.ones(2, 4), torch.zeros(2, dtype=torch.int64), torch.ones(shape), temperature=0.1)
