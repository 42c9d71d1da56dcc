"""Thumbnails: small WebP copies of images, for pages and for what a run keeps of its examples."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def webp(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> bytes:
    """A copy of an image as a WebP file whose longer side is at most `side` pixels.

    >>> webp(np.zeros((8, 8, 3), np.uint8), 40)[8:12]
    b'WEBP'
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return file.getvalue()
