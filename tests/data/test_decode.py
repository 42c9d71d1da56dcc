"""Decoding: every kind of file by a value worked out by hand, and damage of every kind."""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from longtail.data.decode import Examined, UnreadableError, decode, examine, size_of
from support import messages, messy_data

# Four colours that tell how an image was turned, and that no format has trouble with: 2 rows, 3 columns of 8 x 8.
ROWS = [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(255, 255, 255), (0, 0, 0), (128, 128, 128)]]
PATCHES = np.repeat(np.repeat(np.array(ROWS, np.uint8), 8, 0), 8, 1)  # (16, 24, 3)
GREY = np.repeat(np.repeat(np.array([[0, 100, 255]], np.uint8), 8, 0), 8, 1)  # (8, 24)


def file_of(image: Image.Image | np.ndarray, suffix: str, **options) -> bytes:
    return messy_data.encoded(image if isinstance(image, Image.Image) else Image.fromarray(image), suffix, **options)


def unusual(content: bytes, name: str = "image") -> tuple[str, ...]:
    return examine(content, name).unusual


def shown(content: bytes) -> np.ndarray:
    """The pixels, which are the same for all who ask."""
    pixels = decode(content, "image")
    seen = examine(content, "image")
    np.testing.assert_array_equal(seen.pixels, pixels)
    assert (seen.height, seen.width) == pixels.shape[:2]
    return pixels


def reason(encoded: Path | bytes) -> str:
    """Why something cannot be decoded, which is the same for all who ask."""
    told = []
    for function in (decode, examine):
        with pytest.raises(UnreadableError) as error:
            function(encoded, "a name")
        assert str(error.value) == f"a name {error.value.reason}"
        messages.one_line(error)
        assert str(error.value).isprintable() and "0x" not in str(error.value)
        told.append(error.value.reason)
    assert told[0] == told[1]
    return told[0]


def pixels_or_reason(encoded: Path | bytes) -> np.ndarray | str:
    try:
        return decode(encoded, "a name")
    except UnreadableError as error:
        return error.reason


# --- what can be decoded ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif", ".ppm", ".tga", ".dib"])
def test_formats_without_loss_give_the_pixels(suffix):
    np.testing.assert_array_equal(shown(file_of(PATCHES, suffix)), PATCHES)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".jp2"])
def test_formats_with_loss_give_nearly_the_pixels(suffix):
    lossy = {".jpg": {"quality": 100, "subsampling": 0}, ".jp2": {}}.get(suffix, {"quality": 100})
    centres = (slice(4, None, 8), slice(4, None, 8))  # colours run over the edges
    assert abs(shown(file_of(PATCHES, suffix, **lossy))[centres].astype(int) - PATCHES[centres]).max() <= 8


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".gif"])
def test_grey_is_the_same_in_all_channels(suffix):
    content = file_of(GREY, suffix, **({"quality": 100} if suffix == ".jpg" else {}))
    assert abs(shown(content).astype(int) - GREY[..., None]).max() <= 1
    assert unusual(content) in (("greyscale",), ("colours from a palette",))


def test_two_colours_are_black_and_white():
    content = file_of(Image.fromarray(GREY > 128), ".png")
    assert np.unique(shown(content)).tolist() == [0, 255]
    assert unusual(content) == ("greyscale",)


def test_palettes_are_looked_up():
    content = file_of(Image.fromarray(PATCHES).quantize(6), ".png")
    np.testing.assert_array_equal(shown(content), PATCHES)
    assert unusual(content) == ("colours from a palette",)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_what_is_transparent_shows_white(suffix):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., 0], pixels[:4, :, 3], pixels[4:, 4:, 3] = 200, 255, 51  # 51 / 255 is a fifth
    content = file_of(pixels, suffix, **({"lossless": True} if suffix == ".webp" else {}))
    (opaque, hidden), fifth = shown(content)[[0, 7], 0], shown(content)[7, 7]
    assert (opaque.tolist(), hidden.tolist(), fifth.tolist()) == ([200, 0, 0], [255, 255, 255], [244, 204, 204])
    assert unusual(content) == ("transparency, which is shown white",)


def test_a_colour_that_stands_for_nothing_shows_white():
    palette = Image.fromarray(PATCHES).quantize(6)
    black = int(np.asarray(palette)[-1, 8])
    expected = np.where((PATCHES == 0).all(2, keepdims=True), 255, PATCHES)
    np.testing.assert_array_equal(shown(file_of(palette, ".png", transparency=black)), expected)
    np.testing.assert_array_equal(shown(file_of(palette, ".gif", transparency=black)), expected)
    np.testing.assert_array_equal(shown(file_of(PATCHES, ".png", transparency=(0, 0, 0))), expected)
    grey = shown(file_of(GREY, ".png", transparency=100))
    assert np.unique(grey).tolist() == [0, 255]


def test_grey_with_transparency():
    content = file_of(np.stack([GREY, np.where(GREY == 100, 0, 255).astype(np.uint8)], 2), ".png")
    assert np.unique(shown(content)).tolist() == [0, 255]
    assert unusual(content) == ("greyscale", "transparency, which is shown white")


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_inks_become_colours(suffix):
    """A JPEG of inks holds them inverted, as Adobe's programs write them."""
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8, :, 0], inks[8:, 8:, 3] = 255, 255  # cyan above; below white, then black
    content = file_of(Image.fromarray(inks, "CMYK"), suffix, **({"quality": 100} if suffix == ".jpg" else {}))
    corners = shown(content)[[0, 15, 15], [0, 0, 15]].astype(int)
    assert abs(corners - [[0, 255, 255], [255, 255, 255], [0, 0, 0]]).max() <= 2
    assert unusual(content) == ("CMYK instead of RGB",)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_sixteen_bits_of_grey_are_scaled(suffix):
    values = np.array([[0, 255, 256, 0x1234, 0x80FF, 65535]] * 8, np.uint16)
    content = file_of(values, suffix)
    np.testing.assert_array_equal(shown(content)[0, :, 1], [0, 0, 1, 0x12, 0x80, 255])
    assert unusual(content) == ("16 bits a channel, of which 8 are used", "greyscale")


def test_sixteen_bits_of_colour_are_scaled():
    content = messy_data.sixteen_bit_colour(PATCHES)
    np.testing.assert_array_equal(shown(content), PATCHES)
    assert unusual(content) == ("16 bits a channel, of which 8 are used",)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_not_guessed(kind):
    assert "numbers of 32 bits" in reason(file_of(np.ones((8, 8), kind), ".tif"))


TURNS = {
    1: PATCHES,
    2: PATCHES[:, ::-1],
    3: PATCHES[::-1, ::-1],
    4: PATCHES[::-1],
    5: PATCHES.transpose(1, 0, 2),
    6: np.rot90(PATCHES, 1),  # as it is stored; to be turned to the right
    7: PATCHES[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PATCHES, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_images_are_turned_upright(orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    content = file_of(np.ascontiguousarray(TURNS[orientation]), suffix, exif=exif, **lossless)
    assert abs(shown(content).astype(int) - PATCHES).max() <= 4
    assert size_of(content) == (24, 16)
    assert unusual(content) == (("to be turned upright by its EXIF data",) if orientation > 1 else ())


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"]
)
def test_damaged_exif_data_say_nothing(exif):
    content = file_of(PATCHES, ".jpg", exif=exif)
    assert shown(content).shape == PATCHES.shape
    assert unusual(content) == ()
    assert size_of(content) == (24, 16)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_orientations_that_do_not_exist_say_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = file_of(PATCHES, ".png", exif=exif)
    np.testing.assert_array_equal(shown(content), PATCHES)
    assert unusual(content) == ()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".tif", ".png"])
def test_of_several_frames_the_first_is_taken(suffix):
    lossless = {"lossless": True} if suffix == ".webp" else {}
    others = [Image.fromarray(PATCHES[::-1]), Image.fromarray(PATCHES[:, ::-1])]
    content = file_of(PATCHES, suffix, save_all=True, append_images=others, **lossless)
    np.testing.assert_array_equal(shown(content), PATCHES)
    assert "several frames, of which the first is used" in unusual(content)


def test_names_that_do_not_fit_are_told():
    content = file_of(PATCHES, ".png")
    for name, expected in (
        ("a.jpg", ("PNG inside, though the name ends in .jpg",)),
        ("a.JPEG", ("PNG inside, though the name ends in .jpeg",)),
        ("a.PNG", ()),
        ("a.b/c", ()),
        ("train.parquet, image 4", ()),
    ):
        assert unusual(content, name) == expected
    assert unusual(file_of(PATCHES, ".jpg"), "a.jfif") == ()
    assert unusual(file_of(PATCHES, ".dib"), "a.bmp") == ()


def test_an_ordinary_file_has_nothing_odd(tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(file_of(PATCHES, ".jpg"))
    seen = examine(file, "a.jpg")
    assert isinstance(seen, Examined)
    assert (seen.width, seen.height, seen.unusual) == (24, 16, ())
    np.testing.assert_array_equal(decode(file, "a.jpg"), seen.pixels)


@pytest.mark.parametrize(
    "name", ["Ünï 鷺 🐦.png", "with space, comma.png", "line\nbreak.png", os.fsdecode(b"\xff\xe9.png")]
)
def test_files_of_any_name(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(file_of(PATCHES, ".png"))
    np.testing.assert_array_equal(decode(file, "a name"), PATCHES)
    assert size_of(file) == (24, 16)


# --- what cannot ------------------------------------------------------------------------------------------------------


def test_files_that_hold_no_image():
    assert reason(b"") == "cannot be decoded: it is empty"
    no_image = "cannot be decoded: it is no image, or in a format that is not known"
    for content in (
        b"<html>404 Not Found</html>\n",
        b"\0" * 1000,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ):
        assert reason(content) == no_image
        assert size_of(content) is None


def test_files_that_are_not_there_or_not_files(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "broken.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, expected in (
        ("gone.jpg", "does not exist"),
        ("broken.jpg", "does not exist"),
        ("empty.jpg/a.jpg", "does not exist"),
        ("empty.jpg", "cannot be decoded: it is empty"),
        ("folder.jpg", "is a folder"),
        ("loop.jpg", "is a link that leads back to itself"),
        ("pipe.jpg", "is no ordinary file"),
        ("long" * 100, "cannot be read: File name too long"),
        ("null\0.jpg", "cannot be decoded: embedded null byte"),
    ):
        assert reason(tmp_path / name) == expected
        assert size_of(tmp_path / name) is None


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
    file = tmp_path / "a.jpg"
    file.write_bytes(file_of(PATCHES, ".jpg"))

    def refuse(*_):  # since root may read whatever it wants
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", refuse)
    assert reason(file) == "may not be read by this user"


@pytest.mark.parametrize(
    "bomb",
    [
        messy_data.bomb(),
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
        + b"\0" * 1000,
        b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0)
        + b"\x08\x01\0\0",
        b"P6 60000 60000 255\n",
    ],
    ids=["png", "bmp", "gif", "ppm"],
)
def test_bombs_are_known_by_their_header(bomb):
    assert reason(bomb) == "cannot be decoded: it says it has more than 178,956,970 pixels"
    assert size_of(bomb) is None


def test_large_images_are_no_bombs_and_warn_nobody():
    content = file_of(Image.new("1", (10_000, 10_000)), ".png")  # Pillow warns of more than 89 million pixels
    assert size_of(content) == (10_000, 10_000)
    assert decode(content, "large.png").shape == (10_000, 10_000, 3)


def test_settings_of_warnings_are_left_alone():
    before = [*warnings.filters]
    decode(file_of(PATCHES, ".png"), "a.png")
    reason(b"no image")
    assert warnings.filters == before


# --- damage -----------------------------------------------------------------------------------------------------------


def _samples() -> dict[str, bytes]:
    picture = Image.fromarray(messy_data.scene(0, seed=0, height=40, width=56))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    more = {"save_all": True, "append_images": [picture.transpose(Image.Transpose.ROTATE_180)]}
    made = {suffix: file_of(picture, suffix) for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".ppm")}
    made |= {suffix: file_of(picture, suffix) for suffix in (".avif", ".jp2", ".tga")}
    made["progressive"] = file_of(picture, ".jpg", progressive=True, exif=exif)
    made["inks"] = file_of(picture.convert("CMYK"), ".jpg")
    made["palette"] = file_of(picture.quantize(16), ".png", exif=exif)
    made["alpha"] = file_of(picture.convert("RGBA"), ".webp", exif=exif)
    made["moving"] = file_of(picture, ".gif", **more)
    made["moving webp"] = file_of(picture, ".webp", **more)
    made["moving png"] = file_of(picture, ".png", **more)
    made["sixteen"] = messy_data.sixteen_bit_colour(np.asarray(picture))
    for compression in ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits"):
        made[compression] = file_of(picture, ".tif", compression=compression, exif=exif)
    return made


SAMPLES = _samples()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=25, deadline=5000)
@given(data=st.data())
def test_damaged_files_give_pixels_or_a_reason(kind, data, tmp_path_factory):
    content = bytearray(SAMPLES[kind])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 8)) if content else 0):
        # Headers are where most goes wrong.
        most = len(content) - 1 if data.draw(st.booleans()) else min(64, len(content) - 1)
        content[data.draw(st.integers(0, most))] ^= data.draw(st.integers(1, 255))
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(content)
    before = open_descriptors()
    size = size_of(file)
    pixels = pixels_or_reason(file)
    if isinstance(pixels, str):
        assert reason(bytes(content))
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        seen = examine(bytes(content), "a name")
        np.testing.assert_array_equal(seen.pixels, pixels)
        assert size is None or sorted(size) == sorted((seen.width, seen.height))
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"keep_rgb": True}, {"quality": 30}]
)
@pytest.mark.parametrize("size", [(37, 53), (1, 1), (200, 64)])
def test_jpegs_give_the_pixels_of_pillow(options, size):
    content = file_of(messy_data.scene(0, seed=0, height=size[0], width=size[1]), ".jpg", **options)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(shown(content), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", [".jpg", "progressive"])
@settings(max_examples=60, deadline=5000)
@given(data=st.data())
def test_damaged_jpegs_give_the_pixels_of_pillow(kind, data):
    content = bytearray(SAMPLES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    ours = pixels_or_reason(bytes(content))
    try:
        with Image.open(io.BytesIO(content)) as image:
            theirs = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception:  # noqa: BLE001
        return
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", SAMPLES)
def test_files_cut_short_are_unreadable_wherever_pixels_are_missing(kind):
    content = SAMPLES[kind]
    for length in range(1, len(content) // 2, 97):
        if "moving" in kind and length > len(content) // 3:
            break  # the first frame may be whole
        assert reason(content[:length])


@given(st.binary(max_size=200))
def test_any_bytes_give_pixels_or_a_reason(content):
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0", b"BM", b"GIF89a", b"P6 "):
        pixels_or_reason(start + content)


def test_nothing_is_written_to_the_terminal(capfd):
    libtiff = {"tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits"}  # which says what it does not like
    for content in (content for kind, content in SAMPLES.items() if kind not in libtiff):
        for damaged in (content[:-20], content[: len(content) // 2], content[:50] + b"\xff" * 20 + content[70:]):
            pixels_or_reason(damaged)
    assert capfd.readouterr() == ("", "")
