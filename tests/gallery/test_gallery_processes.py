"""Several processes, and one that forks, on one gallery."""

from __future__ import annotations

import os
import sqlite3

import gallery_files
import pytest
from gallery_files import SPACE, put, python, rows

from reid_edge import errors
from reid_edge.gallery import connection
from reid_edge.gallery.store import Store

FORK = """
import os, sys
from pathlib import Path
import gallery_files
from reid_edge.errors import GalleryError
from reid_edge.gallery.store import Store
path = Path(sys.argv[1])
store = Store(path, gallery_files.SPACE)
gallery_files.put(store, "anna", gallery_files.rows(1))
if os.fork() == 0:
    try:
        gallery_files.put(store, "lost", gallery_files.rows(1))
    except GalleryError as error:
        print(error, flush=True)
    store.close()
    anew = Store(path, gallery_files.SPACE)
    gallery_files.put(anew, "child", gallery_files.rows(1))
    anew.close()
    os._exit(0)
os.wait()
gallery_files.put(store, "parent", gallery_files.rows(1))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_to_open_it_anew(path):
    out, err = python(FORK, path).communicate(timeout=120)
    assert err == ""
    assert "before this process was forked" in out
    names = sorted(name for name, _ in gallery_files.content(path).values())
    assert names == ["anna", "child", "parent"]


def test_another_writer_is_waited_for_and_then_told_of(enrolled, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.1)
    store = Store(enrolled, SPACE)
    other = sqlite3.connect(enrolled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.GalleryBusyError, match="locked"):
        put(store, "ben", rows(1))
    assert [one.identity for one in store.enrolled()] == ["anna"]  # reading goes on
    other.execute("ROLLBACK")
    put(store, "ben", rows(1))
    other.close()
    store.close()


READER = """
import sys, time
from pathlib import Path
import gallery_files
from reid_edge.gallery.store import Store
store = Store(Path(sys.argv[1]), gallery_files.SPACE)
last, pictures, edits, seen, until = 0, {}, -1, -1, time.monotonic() + 100
while len(pictures) < int(sys.argv[2]) and time.monotonic() < until:
    version = store.version()
    if version == seen:
        continue
    seen = version
    with store.snapshot():
        edits, names, parts = store.read(last, edits)
        for part in parts:
            for owner in part.owners:
                pictures[names[int(owner)]] = pictures.get(names[int(owner)], 0) + 1
            last = int(part.ids[-1])
    assert set(pictures.values()) <= {3}, "half of an addition was seen"
print(len(pictures))
"""


def test_two_processes_read_while_two_write(path):
    Store(path, SPACE).close()
    readers = [python(READER, path, 100) for _ in range(2)]
    writers = [Store(path, SPACE) for _ in range(2)]
    for turn in range(100):
        put(writers[turn % 2], f"{turn}", rows(3, turn))
    for reader in readers:
        out, err = reader.communicate(timeout=120)
        assert (out, err) == ("100\n", "")
    for writer in writers:
        writer.close()


OPENER = """
import sys
from pathlib import Path
import gallery_files
from reid_edge.gallery.store import Store
store = Store(Path(sys.argv[1]), gallery_files.SPACE)
gallery_files.put(store, sys.argv[2], gallery_files.rows(1))
"""


def test_several_processes_may_make_one_file_at_once(path):
    processes = [python(OPENER, path, number) for number in range(4)]
    for process in processes:
        assert process.communicate(timeout=120) == ("", "")
    assert sorted(name for name, _ in gallery_files.content(path).values()) == list("0123")
