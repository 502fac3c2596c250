from __future__ import annotations

import os

import pytest

from reid_edge import _files


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_read_whole_up_to_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert _files.read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(_files.TooLargeError, match="larger than 4 bytes"):
        _files.read_regular(tmp_path / "a", 4)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_a_file_that_is_longer_than_it_says_stops_at_the_limit():
    assert os.stat("/proc/self/status").st_size == 0
    with pytest.raises(_files.TooLargeError):
        _files.read_regular("/proc/self/status", 10)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's /proc")
def test_no_descriptor_is_left_open(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = open_files()
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent"):
        with pytest.raises(OSError, match=r"."):
            _files.read_regular(path, 5)
    assert open_files() == before


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_not_read():
    with pytest.raises(_files.NotRegularError):
        _files.read_regular("/dev/zero", 1 << 20)


def test_names_that_no_file_can_have_are_an_os_error():
    for name in ("a\0b", "a\ud800b", "x" * 5000):
        with pytest.raises(OSError, match=r"."):
            _files.read_regular(name, 5)


def test_a_written_file_is_whole_and_replaces_an_older_one(tmp_path):
    _files.write_whole(tmp_path / "a", b"old")
    _files.write_whole(tmp_path / "a", b"new", 0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_in_pieces_is_there_at_the_end_only(tmp_path):
    with _files.whole(tmp_path / "a") as file:
        file.write(b"one ")
        assert not (tmp_path / "a").exists()
        file.write(b"two")
    assert (tmp_path / "a").read_bytes() == b"one two"

    def half():
        with _files.whole(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert (tmp_path / "a").read_bytes() == b"one two"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_is_not_written(tmp_path, name):
    with pytest.raises(OSError, match=r"."):
        _files.write_whole(tmp_path / name, b"")


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        _files.write_whole(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
