"""Decoding: an image file of any kind to RGB pixels, or the reason why not."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from longtail.data.source import Pixels


class UnreadableError(ValueError):
    """An image that cannot be decoded.

    Args:
        name: by which a person finds the image.
        reason: why, in a few words.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[type["UnreadableError"], tuple[str, str]]:
        return type(self), (self.name, self.reason)  # so that it gets from one process to another


def decode(encoded: Path | bytes, name: str) -> Pixels:
    """Decode an image to RGB.

    Args:
        encoded: a file, or what it holds.
        name: by which a person finds the image.
    Returns: `(h, w, 3)`, uint8.
    Raises: UnreadableError, a `ValueError`, with the reason.

    >>> decode(b"", "empty.png")
    Traceback (most recent call last):
    longtail.data.decoding.UnreadableError: empty.png cannot be decoded: it is empty, or in no format that Pillow knows
    """
    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise UnreadableError(name, "does not exist") from None
    except UnidentifiedImageError:
        raise UnreadableError(name, "cannot be decoded: it is empty, or in no format that Pillow knows") from None
    # What damaged files make Pillow raise, depending on their format.
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise UnreadableError(name, f"cannot be decoded: {' '.join(str(error).split())}") from error
