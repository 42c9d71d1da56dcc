"""A batch in parts has the gradient of the whole, and the memory of a part."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from longtail import recipe
from longtail.data.batches import Batch
from longtail.methods.gradient_cache import in_chunks
from longtail.networks import Backbone, ResNet9
from longtail.optim.schedules import Clock
from longtail.recipe import build


class Smooth(Backbone):
    """Convolutions without batch normalisation, with chance."""

    dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Tanh(), nn.Dropout(0.5), nn.Flatten())
        self.last = nn.Linear(4 * 14 * 14, self.dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers(images))


@pytest.mark.parametrize("kind", ["hybrid-sc", "hybrid-psc"])
@pytest.mark.parametrize("chunk", [1, 5, 36, 100])
def test_the_step_of_a_hybrid_is_that_of_one_pass(monkeypatch, kind, chunk):
    monkeypatch.setattr(build, "backbone", lambda _settings, fetch: Smooth())  # noqa: ARG005

    def gradients(*overrides: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        method = build.method(recipe.load(f"digits-lt/{kind}", recipe.parse_overrides(overrides)), np.ones(5, np.int64))
        method.classifier.backbone.eval()  # chance would be drawn for parts
        generator = torch.Generator().manual_seed(0)
        batches = tuple(
            Batch(
                torch.randn(stream.views, 12, 3, 16, 16, generator=generator),
                torch.randint(0, 5, (12,), generator=generator),
            )
            for stream in method.streams
        )
        loss = method(batches, Clock(0, 10, 5, 10)).loss
        loss.backward()
        return loss.detach(), {name: p.grad for name, p in method.named_parameters() if p.grad is not None}

    loss, whole = gradients()
    same_loss, parts = gradients(f"method.chunk={chunk}")
    torch.testing.assert_close(same_loss, loss)
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-5, atol=1e-5)


def test_chance_is_the_same_in_both_passes():
    torch.manual_seed(0)
    network, images = Smooth().double(), torch.randn(6, 3, 16, 16, dtype=torch.float64)
    torch.manual_seed(1)
    in_chunks(network, images, 2).square().sum().backward()
    parts = network.last.weight.grad
    assert parts is not None
    network.zero_grad()
    torch.manual_seed(1)
    torch.cat([network(part) for part in images.split(2)]).square().sum().backward()
    torch.testing.assert_close(network.last.weight.grad, parts)


def test_running_statistics_count_each_part_once():
    torch.manual_seed(0)
    network, images = ResNet9(2), torch.randn(6, 3, 16, 16)
    expected = copy.deepcopy(network)
    for part in images.split(2):
        expected(part)
    in_chunks(network, images, 2).square().sum().backward()
    for (name, buffer), other in zip(network.named_buffers(), expected.buffers(), strict=True):
        torch.testing.assert_close(buffer, other, msg=name)
    assert all(norm.track_running_stats for norm in network.modules() if isinstance(norm, nn.BatchNorm2d))


def test_only_one_part_is_kept():
    """What the first pass keeps for the second, in bytes, does not grow with the layers."""

    def kept(size: int | None) -> int:
        stored = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal stored
            stored += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            in_chunks(ResNet9(4), torch.randn(32, 3, 16, 16), size)
        return stored

    assert kept(8) < kept(None) / 20
