"""Files that are whole or not there, and locks: on Windows too, where there is no lock of POSIX."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.runtime import files
from longtail.runtime.files import replacing, write_text

# Takes a lock, says so, and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from longtail.runtime import files

with getattr(files, sys.argv[1])(Path(sys.argv[2])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    file = tmp_path / "file"
    write_text(file, "old")
    with replacing(file) as new:
        new.write_text("new ä", encoding="utf-8")
        assert file.read_text() == "old"
    assert file.read_text(encoding="utf-8") == "new ä"
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_file_that_is_not_finished_leaves_the_old_one(tmp_path, error):
    file = tmp_path / "file"
    write_text(file, "old")

    def write():
        with replacing(file) as new:
            new.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert file.read_text() == "old"
    assert [*tmp_path.iterdir()] == [file]


def test_a_folder_comes_whole_and_what_a_killed_process_left_goes(tmp_path):
    folder = tmp_path / "folder"
    (tmp_path / ".folder.new").mkdir()
    (tmp_path / ".folder.new" / "left").touch()
    with replacing(folder) as new:
        new.mkdir()
        write_text(new / "file", "text")
    assert [*folder.iterdir()] == [folder / "file"]
    assert [*tmp_path.iterdir()] == [folder]


def test_a_device_is_written_to_as_it_is():
    write_text(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("kind", ["by_system", "by_library"])
def test_a_lock_keeps_others_out_until_its_process_is_killed(tmp_path, kind):
    file, lock = tmp_path / ".lock", getattr(files, kind)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, kind, str(file)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout and holder.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError), lock(file):
            raise AssertionError("two have the lock")
        holder.kill()
    with lock(file):
        pass


@pytest.mark.parametrize(("platform", "kind"), [("win32", "by_library"), ("linux", "by_system")])
def test_windows_is_locked_too(tmp_path, monkeypatch, platform, kind):
    taken, lock = list[Path](), getattr(files, kind)
    monkeypatch.setattr(files, kind, lambda file: taken.append(file) or lock(file))
    with monkeypatch.context() as patch:
        patch.setattr(files.sys, "platform", platform)
        with files.locked(tmp_path / ".lock"):
            pass
    assert taken == [tmp_path / ".lock"]
