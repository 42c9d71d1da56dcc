"""Winograd's convolution, and bfloat16, against PyTorch's own: layers and whole networks, forward and backward.

Usage: python benchmarks/winograd.py   (five minutes on two cores)

Writes benchmarks/winograd.md on a processor with AVX2, and benchmarks/winograd-AVX512.md on one with AVX-512, where
`longtail` leaves it alone.
"""

import argparse
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longtail import machine, networks, winograd
from measure import HERE, about, alternate, ratio, table

BATCH = 128
# Channels in and out, and pixels a side: those of `airbench` at width 96 for images of 32 and 24 pixels, and others.
LAYERS = [(96, 96, 16), (96, 192, 16), (192, 192, 8), (192, 384, 8), (384, 384, 4), (192, 384, 6), (384, 384, 3)]
LAYERS += [(128, 128, 16), (256, 256, 8), (64, 64, 16), (384, 384, 2)]
NETWORKS = {
    "`airbench`, width 96 (`fast`, `best-hour`)": lambda: networks.Airbench(96),
    "`airbench`, width 64": lambda: networks.Airbench(64),
    "`resnet9`, width 32": lambda: networks.ResNet9(32),
    "`resnet9`, width 64": lambda: networks.ResNet9(64),
}


def draw(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


def layer(channels: int, outputs: int, pixels: int, rounds: int) -> list[object]:
    x, kernel = draw(BATCH, channels, pixels, pixels).requires_grad_(), draw(outputs, channels, 3, 3).requires_grad_()
    gradient = draw(BATCH, outputs, pixels, pixels)
    ways = {
        "direct": lambda: F.conv2d(x, kernel, padding=1).backward(gradient),
        "winograd": lambda: winograd.convolve(x, kernel).backward(gradient),
    }
    seconds = alternate(ways, rounds=rounds)
    used = winograd.pays(channels, outputs, pixels, pixels)
    return [
        f"{channels} to {outputs}, {pixels} x {pixels}",
        ratio(seconds, "direct", "winograd"),
        "yes" if used else "no",
    ]


def _as_with_avx2(part: winograd.Conv3x3, x: Tensor) -> Tensor:
    if winograd.pays(part.in_channels, part.out_channels, *x.shape[2:]):
        return winograd.convolve(x, part.weight)
    return nn.Conv2d.forward(part, x)


def network(name: str, pixels: int, rounds: int, *, bfloat16: bool) -> list[object]:
    ours, plain = NETWORKS[name](), NETWORKS[name]()
    for net, forward in ((ours, _as_with_avx2), (plain, nn.Conv2d.forward)):
        for part in net.modules():
            if isinstance(part, winograd.Conv3x3):
                setattr(part, "forward", partial(forward, part))  # noqa: B010
    images = draw(BATCH, 3, pixels, pixels)
    for net in (ours, plain):
        net.to(memory_format=cast(Any, torch.channels_last))

    def mixed() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            features = plain(images)
        features.float().sum().backward()

    ways = {"direct": lambda: plain(images).sum().backward(), "winograd": lambda: ours(images).sum().backward()}
    seconds = alternate(ways | ({"bfloat16": mixed} if bfloat16 else {}), rounds=rounds)
    times = [ratio(seconds, "direct", way) for way in seconds if way != "direct"]
    return [name, f"{pixels} x {pixels}", *times, *([] if bfloat16 else ["-"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    machine.keep_memory()  # as training does
    capability = torch.backends.cpu.get_cpu_capability()
    layers = [layer(*sizes, rounds) for sizes in LAYERS]
    native = machine.precision(machine.runtime(device="cpu", precision="auto")) == "bf16"
    whole = [network(name, pixels, rounds, bfloat16=native) for name in NETWORKS for pixels in (16, 24, 32)]
    text = f"""# Winograd's convolution

How many times as fast as PyTorch's direct convolution, for batches of {BATCH} images in float32 with channels last,
forward and backward; measured in turns within one run, medians of the ratios within a turn.

## Layers

`longtail` uses it, in training on a processor with AVX2 but not AVX-512, where the last column says so: from 96
channels on both sides, if at least half of the tiles of 4 x 4 pixels is image. This processor has {capability}.

{table(["layer", "times as fast", "used with AVX2"], layers)}

## Networks

As they are trained with AVX2. Stem, pooling, normalisation and layers of fewer channels are the same in both.
The last column is PyTorch's convolution in mixed precision against it in float32, where the processor has bfloat16.

{table(["network", "images", "times as fast", "direct, bfloat16"], whole)}

By `python benchmarks/winograd.py --rounds {rounds}`.
{about()}
"""
    name = "winograd.md" if capability == "AVX2" else f"winograd-{capability}.md"
    (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
