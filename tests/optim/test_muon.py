"""Muon against singular values, against SGD, and against its steps written out."""

import numpy as np
import pytest
import torch
from torch import nn

from longtail import recipe
from longtail.optim.muon import Muon, orthogonalised
from longtail.recipe import build


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def singular_values(matrix):
    return torch.linalg.svdvals(matrix)


@pytest.mark.parametrize("shape", [(8, 8), (4, 32), (32, 4), (1, 5)])
def test_singular_values_become_alike(shape):
    values = singular_values(orthogonalised(torch.randn(shape) * 1e-3))
    assert values.min() > 0.3 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(8, 8), (16, 144), (144, 16)])
@pytest.mark.parametrize("rounds", [1, 4, 5])
def test_it_is_the_iteration_written_out(shape, rounds):
    matrix = torch.randn(shape)
    x = matrix / matrix.norm()
    for _ in range(rounds):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    torch.testing.assert_close(orthogonalised(matrix, rounds=rounds), x, rtol=1e-3, atol=1e-3)


def test_singular_vectors_stay():
    u, _, vt = torch.linalg.svd(torch.randn(6, 10), full_matrices=False)
    got = orthogonalised(u @ torch.diag(torch.linspace(1, 3, 6)) @ vt)
    inside = u.T @ got @ vt.T
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), rtol=0, atol=1e-4)


def test_scale_and_orientation_do_not_matter():
    matrix = torch.randn(4, 7)
    torch.testing.assert_close(orthogonalised(matrix), orthogonalised(matrix * 1e4), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(orthogonalised(matrix).T, orthogonalised(matrix.T))


def test_zeros_stay_zeros():
    assert torch.equal(orthogonalised(torch.zeros(2, 3)), torch.zeros(2, 3))


def steps_of(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_other_parameters_follow_sgd_with_nesterov_momentum():
    start, gradients = torch.randn(5), [torch.randn(5) for _ in range(4)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    muon = Muon([], [ours], lr=0.1, factor=0.5, momentum=0.9, weight_decay=0.01, matrix_decay=9.0)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    torch.testing.assert_close(steps_of(muon, ours, gradients), steps_of(sgd, theirs, gradients))


def test_matrices_move_along_orthogonalised_momentum_and_decay_apart_from_it():
    weight = nn.Parameter(torch.randn(6, 2, 1, 1))
    one, two = torch.randn(6, 2, 1, 1), torch.randn(6, 2, 1, 1)
    expected = weight.detach().clone()
    momentum = torch.zeros_like(expected)
    for gradient in (one, two):
        momentum = 0.9 * momentum + gradient
        move = orthogonalised((gradient + 0.9 * momentum).flatten(1)).view(6, 2, 1, 1)
        expected = expected * (1 - 0.05 * 0.1) - 0.05 * 3**0.5 * move  # 6 rows over 2 columns
    optimizer = Muon([weight], [], lr=0.1, factor=0.5, momentum=0.9, weight_decay=7.0, matrix_decay=0.1)
    torch.testing.assert_close(steps_of(optimizer, weight, (one, two)), expected)


def test_a_parameter_without_gradient_stays():
    weight = nn.Parameter(torch.ones(2, 2))
    Muon([weight], [], lr=1.0, factor=1.0, momentum=0.9, matrix_decay=0.5).step()
    assert torch.equal(weight.detach(), torch.ones(2, 2)) and weight.grad is None


def test_its_state_is_saved_and_restored():
    gradients = [torch.randn(3, 4) for _ in range(4)]
    whole, parted = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(3, 4))

    def make(weight):
        return Muon([weight], [], lr=0.1, factor=0.5, momentum=0.9)

    expected = steps_of(make(whole), whole, gradients)
    first = make(parted)
    steps_of(first, parted, gradients[:2])
    second = make(parted)
    second.load_state_dict(first.state_dict())
    assert torch.equal(steps_of(second, parted, gradients[2:]), expected)


@pytest.mark.parametrize("network", [{"kind": "resnet9"}, {"kind": "airbench", "mirrored": True}])
def test_layers_of_the_backbone_are_matrices_and_all_else_is_not(network):
    one = recipe.load(
        "digits-lt/hybrid-psc",
        recipe.parse_overrides(["optimizer.kind=muon", "optimizer.lr=0.1", f"network={network}"]),
    )
    method = build.method(one, np.ones(10, np.int64))
    optimizer = build.optimizer(one.optimizer, method)
    matrices, others = (group["params"] for group in optimizer.param_groups)
    assert all(weight.ndim == 4 for weight in matrices)
    assert len(matrices) == sum(isinstance(part, nn.Conv2d) for part in method.classifier.backbone.modules())
    assert {id(p) for p in (*matrices, *others)} == {id(p) for p in method.parameters()}
    assert len(matrices) + len(others) == len(list(method.parameters()))
