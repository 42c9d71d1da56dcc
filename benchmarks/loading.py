"""Loading of images that are decoded while training, against torchvision's usual way, and decoders by themselves.

Usage: python benchmarks/loading.py   (5 minutes on two cores; writes benchmarks/loading.md)
"""

import argparse
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_jpeg

from longtail.data import augment, batches, decoded_cache, sources
from longtail.data.decode import decode
from longtail.runtime import hardware
from measure import HERE, about, alternate, median, ratio, table

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AREA = (0.08, 1.0)
BATCH, WORKERS = 64, 2
SIZES = {64: (64, 64, 64), 224: (224, 224, 224), 500: (500, 375, 224)}  # width and height, and side of the views
FOREVER = 10**6


def pictures(width: int, height: int, images: int) -> Iterator[bytes]:
    """JPEGs cut out of two photographs, mirrored and turned: each has what photographs have to encode."""
    photographs = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(0)
    for n in range(images):
        photograph = photographs[n % 2]
        scale = rng.uniform(1, min(photograph.width / width, photograph.height / height))
        w, h = int(width * scale), int(height * scale)
        x, y = rng.integers(photograph.width - w + 1), rng.integers(photograph.height - h + 1)
        picture = photograph.resize(
            (width, height), Image.Resampling.BICUBIC, box=(int(x), int(y), int(x) + w, int(y) + h)
        )
        if rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        yield file.getvalue()


class Twice:
    """Two views of an image, as code for contrastive learning makes them."""

    def __init__(self, transform: Callable[[Any], Tensor]) -> None:
        self.transform = transform

    def __call__(self, image: Any) -> list[Tensor]:
        return [self.transform(image), self.transform(image)]


def usual(folder: Path, side: int) -> Iterator[list[Tensor]]:
    """Normalised float views by `ImageFolder`, `DataLoader` and the transforms that examples use."""
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(side, scale=AREA),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    data = ImageFolder(str(folder), Twice(transform))
    endless = RandomSampler(data, replacement=True, num_samples=BATCH * FOREVER)
    for views, _ in DataLoader(data, BATCH, sampler=endless, num_workers=WORKERS):
        yield views


def ours(source: sources.Source, side: int) -> Iterator[Tensor]:
    """Normalised float views as training makes them."""
    settings = augment.Augmentation(mean=MEAN, std=STD, flip=0.5)
    plan = batches.Plan(source.labels, (batches.Stream("instance", views=2),), BATCH, seed=0)
    encoded = batches.Encoded(source, np.arange(len(source.labels)), size=side, area=AREA)
    steps = batches.decoded(plan, encoded, workers=WORKERS, start=0, stop=FOREVER)
    for step, [(batch,)] in enumerate(steps):
        drawn = augment.draw(settings, views=2, batch=BATCH, height=side, width=side, key=(0, 0, step))
        yield augment.augment(batch.images, drawn, settings)


def rates(loaders: dict[str, Iterator[Any]], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds an image of each loader, in turns. What workers have ready when a turn begins does not count."""
    measured: dict[str, list[float]] = {name: [] for name in loaders}
    for turn in range(rounds + 1):
        for name, loader in loaders.items():
            for _ in range(3 * WORKERS):
                next(loader)
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds or done < 4:
                next(loader)
                done += 1
            if turn:
                measured[name].append((time.perf_counter() - start) / (done * BATCH))
    return measured


def loading(rounds: int, images: int) -> str:
    rows: list[list[object]] = []
    for name, (width, height, side) in SIZES.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "images"
            for n, content in enumerate(pictures(width, height, images)):
                file = folder / f"class {n % 2}" / f"{n}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            source = sources.read(folder).source
            packed = decoded_cache.decode_once(
                source, shorter_side=round(side * 8 / 7), folder=Path(temporary) / "packed", workers=WORKERS
            )
            loaders = {
                "usual": usual(folder, side),
                "decoded": ours(source, side),
                "packed": ours(packed.source, side),
            }
            seconds = rates(loaders, rounds=rounds, seconds=1.2)
            del loaders  # ends the workers
        speeds = [f"{1 / median(seconds[kind]):,.0f}" for kind in seconds]
        gains = [ratio(seconds, "usual", kind) for kind in ("decoded", "packed")]
        rows.append([f"{name}: {width} x {height} to {side}", *speeds, *gains])
    columns = ["JPEG", "torchvision, images/s", "longtail, images/s", "packed, images/s", "longtail", "packed"]
    return table(columns, rows)


def decoders(rounds: int) -> str:
    """One thread, from bytes to an array of RGB."""

    def pillow(content: bytes) -> object:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))

    def torchvision(content: bytes) -> object:
        return decode_jpeg(torch.frombuffer(content, dtype=torch.uint8), mode=ImageReadMode.RGB)

    each: dict[str, Callable[[bytes], object]] = {
        "Pillow": pillow,
        "torchvision.io": torchvision,
        "simplejpeg": simplejpeg.decode_jpeg,
        "longtail": lambda content: decode(content, ""),
    }
    rows: list[list[object]] = []
    for name, (width, height, _) in SIZES.items():
        contents = [*pictures(width, height, 16)]

        def all_of(function: Callable[[bytes], object], contents: list[bytes] = contents) -> Callable[[], object]:
            return lambda: [function(content) for content in contents]

        seconds = alternate({kind: all_of(function) for kind, function in each.items()}, rounds=rounds)
        speeds = [f"{median(values) / len(contents) * 1e6:,.0f}" for values in seconds.values()]
        rows.append([name, *speeds, ratio(seconds, "Pillow", "longtail")])
    return table(["JPEG", *(f"{kind}, µs" for kind in each), "longtail against Pillow"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=384)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", "The given buffer is not writable")  # nobody writes to it
    hardware.keep_memory()  # as training does
    torch.set_num_threads(1)  # the workers keep both cores busy: a second thread here would only wait for the first
    busy = os.getloadavg()[0]
    by_loader = loading(options.rounds, options.images)
    by_decoder = decoders(3 * options.rounds)
    text = f"""# Loading

Every row was measured in turns within one run; ratios are medians of the ratios within a turn. Images are cut out of
the two photographs that scikit-learn ships, saved as JPEG of quality 90.

## Two views of images that are decoded while training

Random resized crop (area {AREA[0]} to {AREA[1]:g}), flip, normalisation: two views of each image, batches of {BATCH}
images, {WORKERS} worker processes. What is timed ends with normalised float32 batches in the process that trains, which
has one thread.
"torchvision" is `ImageFolder`, `DataLoader` and `RandomResizedCrop`, `RandomHorizontalFlip`, `ToTensor`, `Normalize` on
Pillow's images, applied twice to each decoded image. "longtail" decodes in every step too (`data.packed=false`).
"packed" reads images that were decoded, and shrunk to a shorter side of 8/7 of a view, once (`data.packed=true`). An
image counts once, however many views it has. The last two columns say how many times as fast as torchvision.

{by_loader}

The goals are twice and five times as fast. Beside decoding there remain two resizes of each image in the workers, and
the arithmetic on floats in the process that trains. Tried: another decoder, resizing by PyTorch instead of Pillow,
mirroring bytes instead of floats, augmenting a few images at a time.

## Decoders

One thread, from the bytes of a file to an array. Pillow, torchvision and simplejpeg all use libjpeg-turbo and give the
same pixels, of whole files and of damaged ones. `longtail` takes simplejpeg for ordinary JPEGs and Pillow for all else;
torchvision prints a line about each file that is slightly damaged, and takes longer for small ones.

{by_decoder}

By `python benchmarks/{Path(__file__).name}`. Load of the machine when it began: {busy:.1f}. {about()}
"""
    (HERE / "loading.md").write_text(text)


if __name__ == "__main__":
    main()
