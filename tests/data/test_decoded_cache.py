"""Packs: the pixels of the files, from one file, made once and never half."""

import functools
import multiprocessing
import os
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from longtail.data import crops, decoded_cache, sources
from longtail.data.decode import UnreadableError, decode
from longtail.data.source import Source
from support import messages, messy_data

SIZES = [(20, 30), (30, 20), (64, 48), (9, 7), (40, 40), (33, 21)]  # heights and widths


@pytest.fixture
def folder(tmp_path) -> Path:
    """Images of several sizes, of two classes; the last but one is empty."""
    for n, (height, width) in enumerate(SIZES):
        file = tmp_path / "images" / ("wren", "crow")[n % 2] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(
            messy_data.encoded(Image.fromarray(messy_data.scene(0, seed=n, height=height, width=width)), ".png")
        )
    (tmp_path / "images/wren/4.png").write_bytes(b"")
    return tmp_path / "images"


@pytest.fixture
def packs(tmp_path) -> Path:
    return tmp_path / "packs"


def read(folder: Path) -> Source:
    return sources.read(folder).source


def packed(source: Source, packs: Path, shorter_side: int | None = 16, **options: Any) -> decoded_cache.Decoded:
    return decoded_cache.decode_once(source, shorter_side=shorter_side, folder=packs, **options)


def same(given: decoded_cache.Decoded, source: Source, shorter_side: int | None = 16) -> None:
    assert [*given.source.ids] == [*source.ids]
    for i, name in enumerate(source.ids):
        if i in given.unreadable:
            assert name == "wren/4.png"
            with pytest.raises(UnreadableError, match=r"^wren/4\.png cannot be decoded: it is empty$"):
                given.source.image(i)
        else:
            np.testing.assert_array_equal(given.source.image(i), crops.shrunk(source.image(i), shorter_side))


def counted(source: Source) -> tuple[Source, Counter]:
    """A source that counts how often each image was asked for."""
    asked = Counter[int]()

    def image(i: int) -> np.ndarray:
        asked[i] += 1
        return source.image(i)

    return replace(source, image=image), asked


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shorter_side", [None, 16, 1000])
def test_pixels_are_those_of_the_files(folder, packs, shorter_side, workers):
    source, told = read(folder), []
    made = packed(source, packs, shorter_side, workers=workers, progress=lambda *each: told.append(each))
    assert [*made.unreadable.values()] == ["cannot be decoded: it is empty"]
    same(made, source, shorter_side)
    assert told[-1] == (6, 6)


def test_images_are_decoded_once(folder, packs):
    source = read(folder)
    packed(source, packs)
    again, asked = counted(source)
    second = packed(again, packs)
    assert set(asked) == set(second.unreadable)  # which may be readable by now
    same(second, source)


def test_images_are_not_copied(folder, packs):
    made = packed(read(folder), packs).source
    assert not made.image(0).flags.owndata
    assert not made.image(0).flags.writeable


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_other_processes_open_the_file_themselves(folder, packs, method):
    made = packed(read(folder), packs).source
    sums = [int(made.image(i).sum()) for i in range(3)]  # it is open here
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(functools.partial(_sum, made), range(3)) == sums


def _sum(source: Source, index: int) -> int:
    return int(source.image(index).sum())


def test_what_other_processes_get_is_small(folder, packs):
    source = read(folder)
    made = packed(source, packs).source
    made.image(0)
    assert len(pickle.dumps(made)) < len(pickle.dumps(source)) + 1000


def test_images_from_a_table_are_packed(packs):
    content = [messy_data.encoded(Image.fromarray(messy_data.scene(0, seed=n)), ".jpg") for n in range(3)]

    def of(content: list[bytes]) -> Source:
        def image(i: int) -> np.ndarray:
            return decode(content[i], f"{i}")

        return Source(np.zeros(3, np.int64), ("wren",), image, ["0", "1", "2"], content.__getitem__)

    same(packed(of(content), packs), of(content))
    changed = [content[0], content[2], content[1]]
    same(packed(of(changed), packs), of(changed))


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_file_that_changes_is_noticed(folder, packs):
    source = read(folder)
    packed(source, packs)
    file = folder / "wren/0.png"
    before = file.stat()
    pixels = messy_data.scene(3, seed=50, height=20, width=30)
    file.write_bytes(messy_data.encoded(Image.fromarray(pixels), ".png"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file.stat().st_mtime_ns != before.st_mtime_ns
    same(packed(source, packs), source)


def test_a_file_that_vanishes_is_unreadable(folder, packs):
    source = read(folder)
    packed(source, packs)
    (folder / "crow/1.png").unlink()
    unreadable = packed(source, packs).unreadable
    assert "does not exist" in unreadable.values() and len(unreadable) == 2


def test_an_image_that_can_be_read_after_all_is_taken(folder, packs):
    """A change of rights changes neither the size nor the time of a file."""
    source = read(folder)

    def forbidden(i: int) -> np.ndarray:
        if i == 0:
            raise UnreadableError(source.ids[0], "may not be read by this user")
        return source.image(i)

    assert len(packed(replace(source, image=forbidden), packs).unreadable) == 2
    made = packed(source, packs)
    assert len(made.unreadable) == 1
    same(made, source)


def test_sizes_and_folders_have_packs_of_their_own(folder, packs):
    source = read(folder)
    for shorter_side in (16, 12, None, 16):
        same(packed(source, packs, shorter_side), source, shorter_side)
    shutil.copytree(folder, folder.with_name("copied"))
    other = read(folder.with_name("copied"))
    same(packed(other, packs), other)
    assert len([*packs.glob("*/")]) == 4


# --- interruptions and damage -----------------------------------------------------------------------------------------


def test_an_interruption_leaves_nothing(folder, packs):
    source = read(folder)

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(source, packs, progress=interrupt)
    assert not [*packs.glob("*/")]
    same(packed(source, packs), source)


def test_what_a_killed_process_left_is_removed(folder, packs):
    source = read(folder)
    packed(source, packs)
    (made,) = packs.glob("*/")
    made.rename(made.with_name(f".{made.name}.new"))
    same(packed(source, packs), source)
    assert [*packs.glob("*/")] == [made]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink, lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("file", ["pixels.bin", "sizes.npy", "about.json"])
def test_a_damaged_pack_is_made_again(folder, packs, damage, file):
    if (damage, file) == (_flip, "pixels.bin"):
        pytest.skip("to notice a changed pixel, all of them would be read at every start")
    source = read(folder)
    packed(source, packs)
    (made,) = packs.glob("*/")
    damage(made / file)
    same(packed(source, packs), source)


@pytest.mark.parametrize("about", ["[]", "{}", '{"sizes": 3, "unreadable": []}', "\0"])
def test_nonsense_about_a_pack_is_damage(folder, packs, about):
    source = read(folder)
    packed(source, packs)
    (made,) = packs.glob("*/")
    (made / "about.json").write_text(about)
    same(packed(source, packs), source)


def _pack_and_count(source: Source, packs: Path, start: Any, told: Any) -> None:
    done = []
    start.wait()
    packed(source, packs, progress=lambda *each: done.append(each))
    told.put(len(done))


def test_of_several_processes_one_packs_and_the_others_wait(folder, packs):
    context = multiprocessing.get_context("fork")
    start, told = context.Event(), context.Queue()
    source = read(folder)
    members = [context.Process(target=_pack_and_count, args=(source, packs, start, told)) for _ in range(3)]
    for member in members:
        member.start()
    start.set()
    assert sorted(told.get(timeout=60) for _ in members) == [0, 0, 1]
    for member in members:
        member.join()
    same(packed(source, packs), source)


# --- room and rights --------------------------------------------------------------------------------------------------


def test_without_room_it_is_told_how_much_is_needed(folder, packs, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(ValueError, match="decoded images need about") as error:
        packed(read(folder), packs, None)
    messages.one_line(error, "0.0 MB left", packs, "--set data.packed=false", "XDG_CACHE_HOME")
    assert not [*packs.glob("*/")]


def test_the_room_needed_is_about_right(folder, packs):
    source = read(folder)
    sizes = decoded_cache._header_sizes(source)
    for shorter_side in (None, 16):
        packed(source, packs, shorter_side)
        size = max((file.stat().st_mtime_ns, file.stat().st_size) for file in packs.glob("*/pixels.bin"))[1]
        assert abs(decoded_cache._bytes_each(sizes, shorter_side) * 5 - size) <= 0.03 * size


def test_a_disk_that_fills_up_is_told(folder, packs, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoded_cache, "_flush", full)
    with pytest.raises(ValueError, match="is full") as error:
        packed(read(folder), packs)
    messages.one_line(error, packs, "--set data.packed=false")
    assert not [*packs.glob("*/")]


def test_a_folder_that_cannot_be_written_to_is_told(folder, packs):
    packs.write_text("a file")
    with pytest.raises(ValueError, match="cannot be written to") as error:
        packed(read(folder), packs)
    messages.one_line(error, packs, "--set data.packed=false")


def test_nothing_is_written_beside_the_images(folder, packs):
    before = {path: path.lstat() for path in folder.rglob("*")}
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    same(packed(read(folder), packs), read(folder))
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == {
        path: status.st_mtime_ns for path, status in before.items()
    }


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_check_finds_what_a_pack_would(folder, packs, workers):
    source, told = read(folder), []
    found = decoded_cache.find_unreadable(source, workers=workers, progress=lambda *each: told.append(each))
    assert found == packed(source, packs).unreadable
    assert told[-1] == (6, 6)
