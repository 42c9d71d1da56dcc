"""Where a convolution is done in which way, and the version of torch that this was measured with."""

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from longtail.networks import cpu_convolution
from longtail.networks.cpu_convolution import conv3x3, image_strips, winograd
from longtail.networks.cpu_convolution.conv3x3 import Conv3x3


@pytest.fixture
def calls(monkeypatch):
    """How a layer was computed on a processor that favours every way, where it was not PyTorch's."""
    seen = []
    monkeypatch.setattr(conv3x3, "WINOGRAD", True)
    monkeypatch.setattr(conv3x3, "STRIPS", True)

    def noted(way):
        convolve = way.convolve

        def note(x, kernel):
            seen.append(way)
            return convolve(x, kernel)

        monkeypatch.setattr(way, "convolve", note)

    noted(winograd)
    noted(image_strips)
    return seen


@pytest.mark.parametrize(
    ("channels", "size", "used"),
    [
        ((96, 96), (4, 4), True),
        ((95, 96), (8, 8), False),
        ((96, 95), (8, 8), False),
        ((96, 96), (3, 3), True),
        ((96, 96), (2, 2), False),
        ((96, 96), (2, 4), True),
        ((96, 96), (5, 5), False),
    ],
)
def test_winograds_algorithm_is_used_where_it_pays(calls, channels, size, used):
    layer = Conv3x3(*channels)
    x = torch.randn(1, channels[0], *size)
    got = layer(x)
    assert calls == [winograd] * used
    torch.testing.assert_close(got, F.conv2d(x, layer.weight, padding=1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("channels", "size", "used"),
    [
        ((64, 64), (8, 8), True),
        ((63, 64), (4, 4), False),
        ((64, 63), (4, 4), False),
        ((64, 64), (1, 1), True),
        ((64, 64), (1, 9), False),
        ((64, 64), (9, 1), True),
    ],
)
def test_strips_are_used_in_mixed_precision_where_it_pays(calls, channels, size, used):
    layer = Conv3x3(*channels)
    x = torch.randn(1, channels[0], *size)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer(x)
    assert calls == [image_strips] * used
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), F.conv2d(x, layer.weight, padding=1), atol=0.03, rtol=0.02)
    got.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_evaluation_is_direct(calls):
    layer, x = Conv3x3(96, 96).eval(), torch.randn(1, 96, 4, 4)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert not calls


def test_other_processors_are_left_to_pytorch(calls, monkeypatch):
    monkeypatch.setattr(conv3x3, "WINOGRAD", False)
    monkeypatch.setattr(conv3x3, "STRIPS", False)
    layer, x = Conv3x3(96, 96), torch.randn(1, 96, 4, 4)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert not calls


def test_half_precision_of_another_kind_is_left_to_pytorch(calls):
    layer = Conv3x3(96, 96)
    with torch.autocast("cpu", torch.float16):
        assert layer(torch.randn(1, 96, 4, 4)).dtype == torch.float16
    assert not calls


ROOT = Path(__file__).parents[3]


def test_the_locked_torch_is_the_one_that_was_measured():
    """A newer one may be faster by itself, or have other kernels: measure again, or take these convolutions out."""
    if not (ROOT / "requirements").is_dir():
        pytest.skip("not a checkout")
    locked = re.search(r"^torch==(\S+)$", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    assert locked is not None
    measured = {"longtail.networks.cpu_convolution": cpu_convolution.__doc__ or ""}
    measured |= {page.name: page.read_text() for page in (ROOT / "benchmarks").glob("convolutions-*.md")}
    measured["design.md"] = (ROOT / "docs" / "design.md").read_text()
    assert len(measured) == 5
    for name, text in measured.items():
        assert {*re.findall(r"torch (\d+\.\d+\.\d+)", text)} == {locked[1]}, (
            f"{name}: a newer torch needs a new measurement (benchmarks/convolutions.py)"
        )
