"""Decoding: an image file of any kind to RGB pixels, or the reason why not."""

import errno
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError

from longtail.data.source import Pixels

# Endings of the names of images, by the format that should be inside. Not all that Pillow knows: for some of them it
# starts other programs.
_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k"),
    "TGA": (".tga",),
}
FORMAT_OF = {ending: format_ for format_, endings in _ENDINGS.items() for ending in endings}
_FORMATS = (*_ENDINGS, "DIB")
_VARIANTS = {"MPO": "JPEG", "DIB": "BMP"}  # a photo with a second one behind it; a bitmap without its first header

_ORIENTATION = 0x0112
_UPRIGHT_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_image(name: str) -> bool:
    """Whether a file is an image by the ending of its name.

    >>> is_image("a.JPG"), is_image("a.txt")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in FORMAT_OF  # noqa: PTH122 - a million times


class UnreadableError(ValueError):
    """An image that cannot be decoded.

    Args:
        name: that identifies the image for people.
        reason: why, in a few words.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[type["UnreadableError"], tuple[str, str]]:
        return type(self), (self.name, self.reason)  # so that it gets from one process to another


@dataclass(frozen=True)
class Examined:
    """An image, and what is unusual about its file.

    Args:
        pixels: `(h, w, 3)`, uint8, upright.
        unusual: in words; all of it is dealt with.
    """

    pixels: Pixels
    unusual: tuple[str, ...]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]


def decode(encoded: Path | bytes, name: str) -> Pixels:
    """Decode an image to RGB, as a viewer would show it.

    It is turned upright as its EXIF data says. What is transparent shows white. Of 16 bits a channel the upper 8 are
    kept. Of several frames the first is used. Colour profiles are not applied.

    Args:
        encoded: a file, or what it holds.
        name: that identifies the image for people.
    Returns: `(h, w, 3)`, uint8.
    Raises: UnreadableError, a `ValueError`, with the reason, and nothing else, whatever the file holds.

    >>> decode(b"", "empty.png")
    Traceback (most recent call last):
    longtail.data.decode.UnreadableError: empty.png cannot be decoded: it is empty
    """
    return _decode(encoded, name, describe=False).pixels


def examine(encoded: Path | bytes, name: str) -> Examined:
    """Decode an image as `decode` does, and describe what is unusual about its file.

    Args:
        encoded: a file, or what it holds.
        name: that identifies the image for people; its ending should fit what is inside.
    Raises: UnreadableError as `decode`.
    """
    return _decode(encoded, name, describe=True)


def size_of(encoded: Path | bytes) -> tuple[int, int] | None:
    """Width and height of an upright image by the start of its file; `None` if that cannot be read.

    >>> size_of(b"no image")
    """
    try:
        with _file(encoded, "") as file, Image.open(file, formats=_FORMATS) as image:
            # EXIF data of PNG may stand at the end of the file too, which is not read here.
            known = image.format != "PNG" or "exif" in image.info
            swapped = image.format != "TIFF" and known and _orientation(image) >= 5
            width, height = image.size
            return (height, width) if swapped else (width, height)
    except UnreadableError:
        return None


@contextmanager
def _file(encoded: Path | bytes, name: str) -> Iterator[io.BytesIO | io.BufferedReader]:
    """A file to read an image from; whatever goes wrong meanwhile becomes one kind of error."""
    try:
        with warnings.catch_warnings(), _opened(encoded) as file:
            warnings.simplefilter("ignore")  # of damage that Pillow overlooks
            yield file
    except UnreadableError:
        raise
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UnreadableError(name, f"cannot be decoded: it says it has more than {limit:,} pixels") from None
    except UnidentifiedImageError:
        raise UnreadableError(name, "cannot be decoded: it is no image, or in a format that is not known") from None
    except Exception as error:  # damaged files make Pillow raise about anything
        raise UnreadableError(name, _reason(error)) from error


def _opened(encoded: Path | bytes) -> io.BytesIO | io.BufferedReader:
    if isinstance(encoded, bytes):
        if not encoded:
            raise _NotAnImageError("cannot be decoded: it is empty")
        return io.BytesIO(encoded)
    status = encoded.stat()
    if stat.S_ISDIR(status.st_mode):
        raise _NotAnImageError("is a folder")
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise _NotAnImageError("is no ordinary file")
    if not status.st_size:
        raise _NotAnImageError("cannot be decoded: it is empty")
    return encoded.open("rb")


class _NotAnImageError(Exception):
    """What is wrong with a file before it is read."""


def _reason(error: Exception) -> str:
    match error:
        case _NotAnImageError():
            return str(error)
        case FileNotFoundError() | NotADirectoryError():
            return "does not exist"
        case PermissionError():
            return "may not be read by this user"
        case OSError(errno=errno.ELOOP):
            return "is a link that leads back to itself"
        case OSError(errno=int(), strerror=str(words)):
            return f"cannot be read: {words}"
        case MemoryError():
            return "cannot be decoded: it needs more memory than there is"
        case _:
            words = " ".join(str(error).split()) or type(error).__name__
            return f"cannot be decoded: {words if words.isprintable() else ascii(words)}"


def _decode(encoded: Path | bytes, name: str, *, describe: bool) -> Examined:
    """An image; what is unusual about its file, only if that is to be described, which takes Pillow's time."""
    with _file(encoded, name) as file:
        quick = _ordinary_jpeg(file)
        if quick is not None and not quick.has_more and not describe:
            return Examined(quick.pixels, ())
        try:
            with Image.open(file, formats=_FORMATS) as image:
                return _by_pillow(image, name, None if quick is None else quick.pixels, describe=describe)
        except Exception:
            if quick is None:
                raise
            return Examined(quick.pixels, ())  # Pillow is stricter with what is damaged beside the pixels


class _Quick(NamedTuple):
    """Pixels, and whether there may be EXIF data that say how to turn them."""

    pixels: Pixels
    has_more: bool


def _ordinary_jpeg(file: io.BytesIO | io.BufferedReader) -> _Quick | None:
    """Decode a JPEG of three colours at two thirds of the time that Pillow takes, to the same pixels.

    `None` is for all other files, and for damaged ones: Pillow overlooks some damage, and has words for the rest.
    """
    start = file.read(3)
    if start != b"\xff\xd8\xff":
        file.seek(0)
        return None
    content = start + file.read()
    file.seek(0)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours != "YCbCr" or int(height) * int(width) > 2 * (Image.MAX_IMAGE_PIXELS or np.inf):
            return None
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:
        return None
    return _Quick(pixels, b"Exif\0\0" in content or b"http://ns.adobe.com/xap/1.0/" in content)


def _by_pillow(image: ImageFile.ImageFile, name: str, pixels: Pixels | None, *, describe: bool) -> Examined:
    """An image of any kind, whose header was read, and whose pixels may be known as they are stored."""
    unusual = [*_unusual_kind(image, name)] if describe else []
    turned_when_loaded = image.format == "TIFF" and _orientation(image) != 1
    if pixels is None:
        image.load()
    turn = 1 if image.format == "TIFF" else _orientation(image)
    colour = _colour(image, name) if pixels is None else Image.fromarray(pixels)
    upright = colour.transpose(_UPRIGHT_BY[turn]) if turn in _UPRIGHT_BY else colour
    if describe and (turned_when_loaded or turn != 1):
        unusual.append("to be turned upright by its EXIF data")
    if describe and _moves(image):
        unusual.append("several frames, of which the first is used")
    return Examined(np.asarray(upright), tuple(unusual))


def _colour(image: ImageFile.ImageFile, name: str) -> Image.Image:
    """RGB of an image of any mode."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        what = "numbers of 32 bits for pixels, of which nobody knows what is black and what is white"
        raise UnreadableError(name, f"cannot be decoded: it has {what}; save it with 8 or 16 bits")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _orientation(image: ImageFile.ImageFile) -> int:
    """How to turn the image upright, from 1, which is as it is, to 8."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - damaged EXIF data say nothing
        return 1
    return found if found in _UPRIGHT_BY else 1


def _moves(image: ImageFile.ImageFile) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - what is behind the first frame does not matter
        return False


def _unusual_kind(image: ImageFile.ImageFile, name: str) -> Iterator[str]:
    """What is unusual about format and mode of an image that was opened and is not yet decoded."""
    format_ = _VARIANTS.get(str(image.format), image.format)
    ending = Path(name).suffix.lower()
    if FORMAT_OF.get(ending, format_) != format_:
        yield f"{format_} inside, though the name ends in {ending}"
    mode = image.mode
    if mode.startswith("I") or any(re.search(r";16[BLN]", str(tile[3])) for tile in image.tile):
        yield "16 bits a channel, of which 8 are used"
    if mode in ("1", "L", "LA") or mode.startswith("I"):
        yield "greyscale"
    if mode in ("P", "PA"):
        yield "colours from a palette"
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        yield f"{mode} instead of RGB"
    if image.has_transparency_data:
        yield "transparency, which is shown white"
