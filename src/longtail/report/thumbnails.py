"""Pictures: small copies of images, for pages."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def small(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> bytes:
    """A copy of an image as a WebP file whose longer side is at most `side` pixels.

    >>> small(np.zeros((8, 8, 3), np.uint8), 40)[8:12]
    b'WEBP'
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return file.getvalue()


def data_url(webp: bytes) -> str:
    """A picture as an address that holds it.

    >>> data_url(b"RIFF")
    'data:image/webp;base64,UklGRg=='
    """
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
