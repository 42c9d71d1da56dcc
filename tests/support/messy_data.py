"""Somebody's untidy data: image folders and a manifest with everything that goes wrong in real ones, made up."""

import colorsys
import io
import os
import struct
import unicodedata
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CAFE = "Café au lait"  # a composed é; its folder has a decomposed one
CLASSES: tuple[str, ...] = ("heron", "robin", "kingfisher", CAFE, "dotterel", "ouzel", "phoenix")


@dataclass(frozen=True)
class Untidy:
    """What was written. Names are paths relative to `root`.

    Args:
        root: the folder, or the manifest.
        classes: images listed of each class, the unreadable ones included.
        sizes: `(width, height)` of each readable image as it is to be looked at.
        unreadable: what is wrong with each image that cannot be decoded.
        odd: what is special about each image that can.
        exact: images with the same pixels.
        near: images that are nearly the same, beyond those of `exact`; the first of each is the original.
        conflicts: images with the same pixels, or nearly, under two labels; they are in `exact` or `near` as well.
        leaks: images with the same pixels, or nearly, in two parts of the split; they are in `exact` or `near` as well.
        passed_over: files and folders that are no images by their name.
        empty: folders of classes without an image.
    """

    root: Path
    classes: dict[str, int]
    sizes: dict[str, tuple[int, int]]
    unreadable: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    exact: tuple[frozenset[str], ...] = ()
    near: tuple[tuple[str, str], ...] = ()
    conflicts: tuple[frozenset[str], ...] = ()
    leaks: tuple[frozenset[str], ...] = ()
    passed_over: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        return sum(self.classes.values())

    @property
    def readable(self) -> tuple[str, ...]:
        return tuple(self.sizes)


def scene(label: int, *, seed: int, height: int = 48, width: int = 48) -> np.ndarray:
    """A coloured picture, `(height, width, 3)` uint8: the colour tells the class, the shapes are those of the seed."""
    colour = 255 * np.array(colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.8, 0.6))
    coarse = np.random.default_rng([11, label, seed]).normal(colour, 45, (6, 6, 3)).clip(0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_folder(root: Path, *, common: int = 24) -> Untidy:
    """An image folder `root/class/...` of some 80 small images, of which 60 are as they should be.

    Args:
        root: does not exist yet.
        common: ordinary images of the largest class, at least 8; the others have fewer.
    """
    made = _Made(root)
    for label, (name, images) in enumerate(
        zip(CLASSES, (common, common // 2, max(8, common // 3), 6, 3, 2, 1), strict=True)
    ):
        made.folders[name] = unicodedata.normalize("NFD", name)
        for n in range(images):
            height, width = (40, 48) if n % 3 else (48, 64)
            made.save(name, f"{n:04}.jpg", Image.fromarray(scene(label, seed=n, height=height, width=width)))
    _formats(made)
    _names(made)
    _broken(made)
    _duplicates(made)
    _clutter(made)
    _rights(made)
    return made.result(root)


def write_split_folder(root: Path, *, per_class: int = 8) -> Untidy:
    """An image folder `root/{train,val,test}/class/...` in which images of the test part are in the training part too.

    Args:
        root: does not exist yet.
        per_class: training images of each of three classes; "phoenix" has 1 and no test image.
    """
    made = _Made(root)
    for label, name in enumerate(CLASSES[:3]):
        for part, images in (("train", per_class), ("val", 2), ("test", 3)):
            made.folders[name] = f"{part}/{name}"
            for n in range(images):
                picture = scene(label, seed=1000 * ("train", "val", "test").index(part) + n)
                made.save(name, f"{part}{n}.png", Image.fromarray(picture))
    made.folders["heron"] = "test/heron"
    copy = made.again("heron", "train/heron/train0.png", "copied.png")
    made.folders["robin"] = "test/robin"
    original = _opened(made, "train/robin/train1.png")
    near = made.save("robin", "saved again.jpg", original, quality=85)
    made.near.append(("train/robin/train1.png", near))
    made.folders["phoenix"] = "train/phoenix"
    made.save("phoenix", "only.png", Image.fromarray(scene(6, seed=0)))
    made.leaks += [frozenset({"train/heron/train0.png", copy}), frozenset({"train/robin/train1.png", near})]
    return made.result(root)


def write_manifest(root: Path, *, split: bool = False) -> Untidy:
    """A CSV manifest `root/labels.csv` of bursts from camera traps, with locations and sequences.

    Each of four locations has three bursts of three frames each. The frames of a burst are nearly the same. "ouzel" is
    seen at one location only. Three rows name no image: a missing file, a folder, and a file without a byte. One image
    stands there twice, under two labels.

    Args:
        root: does not exist yet.
        split: write a column with a split that tears bursts apart: every third frame is a test image.
    """
    made = _Made(root)
    rows = []
    for location in range(4):
        for burst in range(3):
            name = "ouzel" if (location, burst) == (3, 2) else CLASSES[burst % 2]
            label = CLASSES.index(name)
            made.folders[name] = f"images/site {location}"
            picture = scene(label, seed=100 * location + burst, height=48, width=66)
            frames = []
            for frame in range(3):
                moved = Image.fromarray(picture[:, frame : frame + 64])
                frames.append(made.save(name, f"{burst}-{frame}.jpg", moved, quality=90))
                part = "test" if frame == 2 else "train"
                rows.append([frames[-1], name, f"site {location}", f"burst {location}-{burst}", part])
            made.near += [(frames[0], frames[1]), (frames[1], frames[2])]
    first = rows[0][0]
    for name, wrong in (("gone.jpg", "missing"), ("folder.jpg", "folder"), ("no.jpg", "empty")):
        made.unreadable[f"images/{name}"] = wrong
        made.classes["heron"] += 1
        rows.append([f"images/{name}", "heron", "site 0", "", "train"])
    (root / "images/folder.jpg").mkdir()
    (root / "images/no.jpg").touch()
    rows.append([first, "robin", "site 0", "burst 0-0", "train"])
    made.classes["robin"] += 1
    made.conflicts.append(frozenset({first}))
    columns = ["filepath", "label", "location", "sequence", "split"]
    lines = [",".join(row if split else row[:-1]) for row in [columns, *rows]]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return made.result(root / "labels.csv")


class _Made:
    """What has been written so far."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True)
        self.root = root
        self.folders = {name: name for name in CLASSES}
        self.classes = dict.fromkeys(CLASSES, 0)
        self.sizes: dict[str, tuple[int, int]] = {}
        self.unreadable: dict[str, str] = {}
        self.odd: dict[str, str] = {}
        self.exact: list[frozenset[str]] = []
        self.near: list[tuple[str, str]] = []
        self.conflicts: list[frozenset[str]] = []
        self.leaks: list[frozenset[str]] = []
        self.passed_over: list[str] = []
        self.empty: list[str] = []

    def write(self, name: str, file: str, content: bytes, size: tuple[int, int] | None, odd: str | None = None) -> str:
        """Write an image file of a class; without a size it is not readable, because of what is odd about it."""
        path = f"{self.folders[name]}/{file}"
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)
        self.classes[name] += 1
        if size is None:
            assert odd
            self.unreadable[path] = odd
        else:
            self.sizes[path] = size
            if odd:
                self.odd[path] = odd
        return path

    def save(self, name: str, file: str, image: Image.Image, odd: str | None = None, **options: Any) -> str:
        """Write an image of a class in the format that the name of the file ends like."""
        return self.write(name, file, encoded(image, Path(file).suffix, **options), image.size, odd)

    def again(self, name: str, path: str, file: str) -> str:
        """Write the bytes of a file once more."""
        copy = self.write(name, file, (self.root / path).read_bytes(), self.sizes[path])
        self.exact.append(frozenset({path, copy}))
        return copy

    def result(self, root: Path) -> Untidy:
        return Untidy(
            root,
            {name: images for name, images in self.classes.items() if images},
            self.sizes,
            self.unreadable,
            self.odd,
            tuple(self.exact),
            tuple(self.near),
            tuple(self.conflicts),
            tuple(self.leaks),
            tuple(self.passed_over),
            tuple(self.empty),
        )


def encoded(image: Image.Image, suffix: str, **options: Any) -> bytes:
    """An image as a file whose name ends like this."""
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[suffix.lower()], **options)
    return file.getvalue()


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a hundred bytes that says it has billions of pixels."""
    return _png(width, height, bits=8, colour=0, rows=b"\0" * 100)


def sixteen_bit_colour(pixels: np.ndarray) -> bytes:
    """A PNG with 16 bits a channel, which Pillow cannot write; each value is repeated in its lower byte."""
    height, width, _ = pixels.shape
    rows = np.repeat(pixels.reshape(height, -1), 2, axis=1)  # (height, 6 width), high and low byte
    return _png(width, height, bits=16, colour=2, rows=np.insert(rows, 0, 0, axis=1).tobytes())


def _png(width: int, height: int, *, bits: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _formats(made: _Made) -> None:
    """Every format and every kind of pixels, all of herons."""
    numbers = iter(range(500, 600))

    def heron(height: int = 40, width: int = 48) -> Image.Image:
        return Image.fromarray(scene(0, seed=next(numbers), height=height, width=width))

    for suffix in (".png", ".webp", ".tif", ".bmp", ".gif", ".JPEG"):
        made.save("heron", f"plain{suffix}", heron())
    changes: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
        "grey.jpg": ("greyscale", lambda image: image.convert("L")),
        "grey.png": ("greyscale", lambda image: image.convert("L")),
        "two colours.png": ("greyscale", lambda image: image.convert("1")),
        "palette.png": ("palette", lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE)),
        "grey alpha.png": ("alpha", lambda image: image.convert("LA")),
        "cmyk.jpg": ("cmyk", lambda image: image.convert("CMYK")),
        "cmyk.tif": ("cmyk", lambda image: image.convert("CMYK")),
        "sixteen bit.png": ("16-bit", _sixteen),
        "sixteen bit.tif": ("16-bit", _sixteen),
    }
    for file, (odd, change) in changes.items():
        made.save("heron", file, change(heron()), odd)
    for suffix in (".png", ".webp"):
        with_hole = heron().convert("RGBA")
        with_hole.paste((0, 0, 0, 0), (8, 8, 24, 24))
        made.save("heron", f"alpha{suffix}", with_hole, "alpha")
    colour = heron()
    made.write("heron", "sixteen bit colour.png", sixteen_bit_colour(np.asarray(colour)), colour.size, "16-bit")
    moving = {"save_all": True, "append_images": [heron(), heron()]}
    made.save("heron", "moving.gif", heron(), "frames", **moving)
    made.save("heron", "moving.webp", heron(), "frames", **moving)
    made.save("heron", "pages.tif", heron(), "frames", **moving)
    upright = heron(height=64, width=40)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right by a quarter
    lying = encoded(upright.transpose(Image.Transpose.ROTATE_90), ".jpg", exif=exif)
    made.write("heron", "turned.jpg", lying, upright.size, "orientation")
    image = heron()
    made.write("heron", "png inside.jpg", encoded(image, ".png"), image.size, "format")
    made.save("heron", "large.jpg", heron(height=480, width=640), "size")
    made.save("heron", "one pixel.png", heron(height=1, width=1), "size")
    made.save("heron", "long.png", heron(height=8, width=320), "size")


def _sixteen(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _names(made: _Made) -> None:
    """Names that break careless programs."""
    for n, file in enumerate(
        ("with spaces, a comma.jpg", 'quote".jpg', "鷺 🐦 ü.png", "line\nbreak.png", "-rf.png", "%d.png")
    ):
        made.save("robin", file, Image.fromarray(scene(1, seed=600 + n)))
    made.save("robin", "deep/er/down.png", Image.fromarray(scene(1, seed=620)))
    made.classes["robin"] -= 1  # a folder inside a class is a class of its own
    made.classes["robin/deep/er"] = 1


def _broken(made: _Made) -> None:
    """Files that end like images and are none."""
    good = Image.fromarray(scene(2, seed=700, height=96, width=96))
    for suffix in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"):
        content = encoded(good, suffix)
        made.write("kingfisher", f"truncated{suffix}", content[: len(content) * 6 // 10], None, "truncated")
    made.write("kingfisher", "only a header.jpg", encoded(good, ".jpg")[:20], None, "truncated")
    made.write("kingfisher", "zero bytes.jpg", b"", None, "empty")
    made.write("kingfisher", "text.jpg", b"<html>404 Not Found</html>\n", None, "no image")
    made.write("kingfisher", "bomb.png", bomb(), None, "bomb")
    for file, target, wrong in (
        ("broken link.jpg", "nowhere.jpg", "missing"),
        ("own link.jpg", "own link.jpg", "loop"),
    ):
        (made.root / "kingfisher" / file).symlink_to(target)
        made.unreadable[f"kingfisher/{file}"] = wrong
        made.classes["kingfisher"] += 1


def _duplicates(made: _Made) -> None:
    """The same images again: as they are, saved again, and changed a little."""
    made.again("heron", "heron/0000.jpg", "copy of 0000.jpg")
    made.conflicts.append(frozenset({"heron/0001.jpg", made.again("robin", "heron/0001.jpg", "mistaken.jpg")}))
    link = made.root / "heron/linked.jpg"
    link.symlink_to("0002.jpg")
    made.classes["heron"] += 1
    made.sizes["heron/linked.jpg"] = made.sizes["heron/0002.jpg"]
    made.exact.append(frozenset({"heron/0002.jpg", "heron/linked.jpg"}))
    original = "robin/original.png"
    image = Image.fromarray(scene(1, seed=800, height=60, width=80))
    made.save("robin", "original.png", image)
    made.exact.append(frozenset({original, made.save("robin", "as a bitmap.bmp", image)}))
    width, height = image.size
    changed = {
        "saved again.jpg": image,
        "brighter.png": image.point([min(255, value + 10) for value in range(256)] * 3),
        "cut.png": image.crop((1, 1, width - 1, height - 1)),
        "smaller.png": image.resize((width * 3 // 4, height * 3 // 4), Image.Resampling.BICUBIC),
    }
    for file, variant in changed.items():
        made.near.append((original, made.save("robin", file, variant)))
    mistaken = made.save(CAFE, "mistaken.jpg", _opened(made, "robin/0003.jpg"), quality=70)
    made.near.append(("robin/0003.jpg", mistaken))
    made.conflicts.append(frozenset({"robin/0003.jpg", mistaken}))


def _clutter(made: _Made) -> None:
    """What lies around between images."""
    for path in ("Thumbs.db", ".DS_Store", "notes.txt", "heron/.hidden.jpg", "robin/labels.xml"):
        (made.root / path).write_bytes(b"not an image")
        made.passed_over.append(path)
    (made.root / "__MACOSX").mkdir()
    (made.root / "__MACOSX/._0000.jpg").write_bytes(b"not an image")
    made.passed_over.append("__MACOSX")
    (made.root / "unicorn").mkdir()
    made.empty.append("unicorn")
    (made.root / "heron/loop").symlink_to(made.root, target_is_directory=True)
    made.passed_over.append("heron/loop")


def _rights(made: _Made) -> None:
    """Nothing may be written into a folder of images; and root may read whatever it wants."""
    forbidden = made.write(
        "kingfisher", "forbidden.jpg", encoded(Image.fromarray(scene(2, seed=900)), ".jpg"), (48, 48)
    )
    (made.root / forbidden).chmod(0)
    if not os.access(made.root / forbidden, os.R_OK):
        del made.sizes[forbidden]
        made.unreadable[forbidden] = "permission"
    (made.root / "dotterel/0000.jpg").chmod(0o444)
    (made.root / "dotterel").chmod(0o555)


def _opened(made: _Made, path: str) -> Image.Image:
    with Image.open(made.root / path) as image:
        return image.convert("RGB")


def pairs(group: Collection[str]) -> set[frozenset[str]]:
    """All pairs of a group of names."""
    names = sorted(group)
    return {frozenset({a, b}) for i, a in enumerate(names) for b in names[i + 1 :]}
