from __future__ import annotations

import hashlib
import io
import os
import stat

import _tiny
import numpy as np
import pytest

from reid_edge import ReId
from reid_edge.bench.cache import Cache, folder

HASHES = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
ROWS = np.eye(3, _tiny.SIZE, dtype=np.float32)


@pytest.fixture
def cache(tiny, tmp_path):
    found = Cache(tiny, tmp_path / "kept")
    found.keep(HASHES, ROWS)
    return found


def entry(tmp_path):
    (path,) = (tmp_path / "kept").glob("*")
    return path


def test_what_was_kept_is_found(cache, tiny, tmp_path):
    again = Cache(tiny, tmp_path / "kept")
    np.testing.assert_array_equal(again.find(HASHES), ROWS)
    assert (again.hits, again.misses) == (3, 0)


def test_other_pictures_or_another_order_are_not_found(cache):
    assert cache.find(HASHES[:2]) is None
    assert cache.find(HASHES[::-1]) is None
    assert (cache.hits, cache.misses) == (0, 5)


def test_another_graph_or_precision_is_not_found(cache, tmp_path):
    other = _tiny.write(tmp_path / "other", _tiny.model(normalise=False))
    with ReId(other, backend="openvino") as reid:
        assert Cache(reid, tmp_path / "kept").find(HASHES) is None


def test_the_folder_is_its_owner_s_alone(cache, tmp_path):
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(tmp_path).stat().st_mode) == 0o600


def saved(array, **options):
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


GOOD = saved(ROWS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        GOOD[:-1],
        GOOD[:40],
        GOOD + bytes(1 << 16),
        saved(ROWS.astype(np.float64)),
        saved(ROWS[:2]),
        saved(ROWS[:, :-1]),
        saved(np.full_like(ROWS, np.nan)),
        saved(np.array([{}, {}, {}]), allow_pickle=True),
        GOOD.replace(b"(3, 8)", b"(3, 99999999999999)"),
        GOOD.replace(b"'<f4'", b"'|O8'"),
    ],
)
def test_an_entry_that_is_not_what_it_should_be_is_not_used(cache, tmp_path, content):
    entry(tmp_path).write_bytes(content)
    assert cache.find(HASHES) is None
    cache.keep(HASHES, ROWS)
    np.testing.assert_array_equal(cache.find(HASHES), ROWS)


def test_a_pipe_in_its_place_does_not_block(cache, tmp_path):
    path = entry(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert cache.find(HASHES) is None


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_folder_that_others_may_enter_is_not_used(cache, tiny, tmp_path, mode):
    (tmp_path / "kept").chmod(mode)
    again = Cache(tiny, tmp_path / "kept")
    assert "chmod 700" in again.problem
    assert again.find(HASHES) is None
    again.keep(HASHES[:1], ROWS[:1])
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_folder_of_another_user_is_not_used(cache, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert Cache(tiny, tmp_path / "kept").find(HASHES) is None


def test_the_oldest_entries_go_when_there_are_too_many(tiny, tmp_path):
    cache = Cache(tiny, tmp_path / "kept", most_bytes=3 * len(saved(ROWS[:1])))
    for number, one in enumerate(HASHES):
        cache.keep([one], ROWS[:1])
        os.utime(cache._path([one]), (number, number))
    assert cache.find(HASHES[:1]) is not None  # used now, so no longer the oldest
    cache.keep([b"another"], ROWS[:1])
    assert cache.find(HASHES[1:2]) is None
    assert cache.find(HASHES[:1]) is not None
    assert cache.find([b"another"]) is not None


def test_a_folder_that_cannot_be_written_is_told_and_no_error(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tiny, tmp_path / "file" / "kept")
    cache.keep(HASHES, ROWS)
    assert "cannot be kept" in cache.problem
    assert cache.find(HASHES) is None


def test_no_folder_keeps_nothing(tiny, tmp_path):
    cache = Cache(tiny, None)
    cache.keep(HASHES, ROWS)
    assert cache.find(HASHES) is None
    assert cache.problem is None


def test_the_folder_is_the_user_s_unless_told_otherwise(monkeypatch, private_cache):
    assert folder() == private_cache
    monkeypatch.delenv("REID_EDGE_CACHE")
    assert folder().parts[-2:] == ("reid_edge", "embeddings")
