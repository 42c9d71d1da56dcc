"""Convolutions by Winograd's algorithm and in strips against PyTorch's own: layers and whole networks, both passes.

Usage: python benchmarks/convolutions.py   (five minutes on two cores)

Writes benchmarks/convolutions-AVX2.md, -AVX512.md or -AMX.md: which way is measured, and where `longtail` uses it,
depends on the processor.
"""

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from longtail import networks
from longtail.networks.cpu_convolution import conv3x3, image_strips, winograd
from longtail.runtime import hardware
from measure import HERE, about, alternate, ratio, table

BATCH = 256  # of most of our recipes
# Channels in and out, and pixels a side: those of `airbench` at width 96 for images of 32 and 24 pixels, and others.
LAYERS = [(96, 96, 16), (96, 192, 16), (192, 192, 8), (192, 384, 8), (384, 384, 4), (192, 384, 6), (384, 384, 3)]
LAYERS += [(128, 128, 16), (256, 256, 8), (64, 64, 16), (384, 384, 2), (128, 128, 6), (96, 96, 4), (64, 64, 4)]
NETWORKS = {
    "`airbench`, width 96, mirrored (`fast`, `best-hour`)": lambda: networks.MirroredAirbench(96),
    "`airbench`, width 96": lambda: networks.Airbench(96),
    "`airbench`, width 64": lambda: networks.Airbench(64),
    "`resnet9`, width 32": lambda: networks.ResNet9(32),
    "`resnet9`, width 64": lambda: networks.ResNet9(64),
}


class Way(NamedTuple):
    """A way to convolve other than PyTorch's.

    Args:
        name: of the module that has it.
        convolve: as `torch.nn.functional.conv2d` with a padding of 1.
        pays: channels in and out, height and width: whether it is used where the processor suits it.
        switch: of the module `longtail.networks.cpu_convolution.conv3x3`, whether the processor does.
        kind: data type of the images.
        where: it is used, in words.
    """

    name: str
    convolve: Callable[[Tensor, Tensor], Tensor]
    pays: Callable[[int, int, int, int], bool]
    switch: str
    kind: torch.dtype
    where: str


WINOGRAD = Way(
    "winograd",
    winograd.convolve,
    winograd.pays,
    "WINOGRAD",
    torch.float32,
    "in training in float32 on a processor with AVX2 but not AVX-512: from 96 channels on both sides, if at least half "
    "of\nthe tiles of 4 x 4 pixels is image",
)
STRIPS = Way(
    "strips",
    image_strips.convolve,
    lambda channels, outputs, _height, width: image_strips.pays(channels, outputs, width),
    "STRIPS",
    torch.bfloat16,
    "in training in bfloat16 on a processor with AMX: from 64 channels on\nboth sides, for images up to 8 pixels wide",
)


def draw(*shape: int, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(kind).contiguous(memory_format=torch.channels_last)


def layer(way: Way, channels: int, outputs: int, pixels: int, rounds: int) -> list[object]:
    x, kernel = (
        draw(*shape, kind=way.kind).requires_grad_()
        for shape in ((BATCH, channels, pixels, pixels), (outputs, channels, 3, 3))
    )
    gradient = draw(BATCH, outputs, pixels, pixels, kind=way.kind)
    ways = {
        "direct": lambda: F.conv2d(x, kernel, padding=1).backward(gradient),
        "other": lambda: way.convolve(x, kernel).backward(gradient),
    }
    seconds = alternate(ways, rounds=rounds)
    used = way.pays(channels, outputs, pixels, pixels)
    return [f"{channels} to {outputs}, {pixels} x {pixels}", ratio(seconds, "direct", "other"), "yes" if used else "no"]


def network(way: Way, name: str, pixels: int, rounds: int, *, bfloat16: bool) -> list[object]:
    net, images = NETWORKS[name](), draw(BATCH, 3, pixels, pixels)
    net.to(memory_format=cast(Any, torch.channels_last))

    def step(kind: torch.dtype, *, other: bool) -> Callable[[], None]:
        def run() -> None:
            setattr(conv3x3, way.switch, other)
            context: AbstractContextManager[Any] = nullcontext()
            if kind != torch.float32:
                context = torch.autocast("cpu", kind)
            with context:
                features = net(images)
            features.float().sum().backward()

        return run

    ways = {"direct": step(way.kind, other=False), "other": step(way.kind, other=True)}
    if bfloat16:
        ways |= {"float32": step(torch.float32, other=False), "bfloat16": step(torch.bfloat16, other=False)}
    seconds = alternate(ways, rounds=rounds)
    last = ratio(seconds, "float32", "bfloat16") if bfloat16 else "-"
    return [name, f"{pixels} x {pixels}", ratio(seconds, "direct", "other"), last]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    hardware.keep_memory()  # as training does
    processor = "AMX" if conv3x3.STRIPS else torch.backends.cpu.get_cpu_capability()
    way = STRIPS if processor == "AMX" else WINOGRAD
    layers = [layer(way, *sizes, rounds) for sizes in LAYERS]
    native = hardware.precision(hardware.runtime(device="cpu", precision="auto")) == "bf16"
    whole = [network(way, name, pixels, rounds, bfloat16=native) for name in NETWORKS for pixels in (16, 24, 32)]
    kind = str(way.kind).removeprefix("torch.")
    text = f"""# Convolutions by {way.name}.py

How many times as fast as PyTorch's direct convolution, for batches of {BATCH} images in {kind} with channels last,
forward and backward; measured in turns within one run, medians of the ratios within a turn.

## Layers

`longtail` uses it where the last column says so, {way.where}.
This processor has {processor}.

{table(["layer", "times as fast", "used"], layers)}

## Networks

As they are trained where it is used. Stem, pooling, normalisation and layers where it does not pay are the same.
The last column is PyTorch's convolution in mixed precision against it in float32, where the processor has bfloat16.

{table(["network", "images", "times as fast", "direct, bfloat16"], whole)}

By `python benchmarks/convolutions.py --rounds {rounds}`.
{about()}
"""
    (HERE / f"convolutions-{processor}.md").write_text(text)


if __name__ == "__main__":
    main()
