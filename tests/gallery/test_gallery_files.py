"""Files that are no gallery, hostile ones, moved ones and full disks."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import gallery_files
import numpy as np
import pytest
from gallery_files import SPACE, put, python, rows

from reid_edge import errors
from reid_edge.gallery.store import Store


def change(path, *statements):
    """What another program does to a file."""
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def refused(path, error=errors.GalleryFileError, match=None):
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(error, match=match):
        gallery_files.content(path)
    if before is not None:
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"x", b"no gallery at all" * 400, b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 8000],
)
def test_a_file_that_is_no_gallery_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    refused(path)


def test_another_program_s_database_is_refused_and_left_alone(path):
    change(path, "CREATE TABLE letters (text)", "INSERT INTO letters VALUES ('dear')")
    refused(path, match="no gallery of reid_edge")


@pytest.mark.parametrize("version", [0, 2, 2_000_000_000])
def test_another_version_is_refused_and_left_alone(enrolled, version):
    change(enrolled, f"PRAGMA user_version = {version}")
    refused(enrolled, match="upgrade" if version else "version 0")


def test_folders_pipes_and_missing_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "people.db", Path("a\0b")):
        with pytest.raises(errors.GalleryFileError):
            Store(place, SPACE)


def test_an_empty_file_becomes_a_gallery(path):
    path.touch()
    assert gallery_files.content(path) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON picture BEGIN DELETE FROM identity; END",
        "CREATE VIEW v AS SELECT * FROM picture",
        "CREATE TABLE more (x)",
        "CREATE INDEX another ON picture (time)",
        "ALTER TABLE picture ADD COLUMN more",
        "DROP INDEX picture_of",
    ],
)
def test_tables_that_are_not_ours_are_refused(enrolled, statement):
    change(enrolled, statement)
    refused(enrolled, match="tables are not those")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE picture SET embedding = zeroblob(31)", "another size"),
        ("UPDATE picture SET embedding = zeroblob(1000000)", "another size"),
        ("UPDATE picture SET embedding = 'text'", "another size"),
        ("UPDATE picture SET embedding = zeroblob(32)", "unit length"),
        ("UPDATE picture SET embedding = x'" + "ffffffff" * 8 + "'", "unit length"),
        ("UPDATE picture SET identity = 99", "nobody"),
        ("UPDATE picture SET identity = x'00'", "nobody"),
        ("UPDATE picture SET camera = x'00'", "camera"),
        (f"UPDATE picture SET camera = '{'c' * 201}'", "camera"),
        ("UPDATE picture SET camera = CAST(x'ff' AS TEXT)", "damaged"),
        ("UPDATE picture SET time = 9e999", "time"),
        ("UPDATE picture SET time = 'noon'", "time"),
        ("UPDATE identity SET name = x'00'", "name"),
        ("UPDATE identity SET name = ''", "name"),
        ("DELETE FROM gallery", "description"),
        ("UPDATE gallery SET edits = 'x'", "description"),
        ("UPDATE gallery SET edits = -1", "description"),
        ("UPDATE gallery SET edits = 9223372036854775807", "description"),
    ],
)
def test_rows_that_are_not_ours_are_refused(enrolled, statement, what):
    change(enrolled, statement)
    refused(enrolled, match=what)


def test_a_description_of_another_model_is_refused(enrolled):
    for statement in ("UPDATE gallery SET size = 9", "UPDATE gallery SET fingerprint = x'00'"):
        change(enrolled, statement)
        refused(enrolled, errors.GalleryModelError)


def test_thumbnails_of_another_size_are_not_shown(path):
    store = Store(path, SPACE)
    put(store, "anna", rows(1))
    change(path, "UPDATE picture SET thumbnail = zeroblob(5)")
    assert store.thumbnails(["anna"]) == {}
    store.close()


@pytest.mark.parametrize("what", ["removed", "renamed", "replaced"])
def test_a_file_that_lost_its_place_takes_nothing_more(path, store, what):
    """What SQLite would go on to write is nowhere to be found afterwards."""
    put(store, "anna", rows(1))
    path.rename(path.with_name("moved.db"))
    if what == "removed":
        path.with_name("moved.db").unlink()
    elif what == "replaced":
        path.write_bytes(b"")
    for call in (
        lambda: put(store, "ben", rows(1, seed=1)),
        lambda: store.remove("anna"),
        store.version,
        store.enrolled,
    ):
        with pytest.raises(errors.GalleryFileError, match="while it was open"):
            call()
    assert path.exists() == (what == "replaced")


def test_a_log_without_its_gallery_is_kept(path, store):
    """SQLite would delete it with the first look at a new file of that name."""
    put(store, "anna", rows(1))
    log = Path(f"{path}-wal")
    kept = log.read_bytes()
    assert kept
    path.rename(path.with_name("moved.db"))
    with pytest.raises(errors.GalleryFileError, match=r"people\.db-wal"):
        Store(path, SPACE)
    assert log.read_bytes() == kept
    assert not path.exists()
    path.with_name("moved.db").rename(path)
    assert len(gallery_files.content(path)) == 1


def test_links_lead_to_one_gallery(enrolled, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(enrolled)
    through, direct = Store(link, SPACE), Store(enrolled, SPACE)
    put(through, "ben", rows(1, seed=1))
    assert [one.identity for one in direct.enrolled()] == ["anna", "ben"]
    assert through.holds(enrolled)
    assert direct.holds(link)
    through.close()
    direct.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.db", "people.db"]


def test_damaged_pages_are_an_error_of_ours(path):
    store = Store(path, SPACE)
    put(store, "anna", rows(400))
    store.close()
    whole, refusals = path.read_bytes(), 0
    for seed in range(30):
        chance = np.random.default_rng(seed)
        damaged = bytearray(whole)
        for place in chance.integers(100, len(whole), 40):
            damaged[place] = chance.integers(256)
        path.write_bytes(damaged[: len(whole) if seed % 3 else len(whole) // 2])
        try:
            found = gallery_files.content(path)
        except errors.GalleryError:
            refusals += 1
        else:
            assert all(0 < len(name) <= 200 for name, _ in found.values())
            assert all(abs(np.linalg.norm(row) - 1) < 0.02 for _, row in found.values())
        finally:
            for log in path.parent.glob("people.db-*"):
                log.unlink()
    assert refusals > 5


def test_a_full_disk_keeps_nothing_of_the_addition(path, store):
    first = put(store, "anna", rows(3))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(errors.GalleryWriteError, match="nothing of this change was kept"):
        put(store, "ben", rows(2000, seed=1))
    assert list(gallery_files.content(path)) == first
    assert [one.identity for one in store.enrolled()] == ["anna"]
    store._db.execute("PRAGMA max_page_count = 100000")
    put(store, "ben", rows(2000, seed=1))
    assert len(gallery_files.content(path)) == 2003


FULL = """
import resource, sys
from pathlib import Path
import gallery_files
from reid_edge.errors import GalleryWriteError
from reid_edge.gallery.store import Store
store = Store(Path(sys.argv[1]), gallery_files.SPACE)
gallery_files.put(store, "anna", gallery_files.rows(3))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
added = 3
try:
    for turn in range(1000):
        gallery_files.put(store, f"{turn}", gallery_files.rows(100, turn))
        added += 100
except GalleryWriteError as error:
    print(added, error)
"""


def test_a_write_that_the_system_refuses_keeps_nothing_of_the_addition(path):
    out, err = python(FULL, path).communicate(timeout=120)
    assert err == ""
    added, _, message = out.partition(" ")
    assert "nothing of this change was kept" in message
    assert int(added) > 3
    assert len(gallery_files.content(path)) == int(added)
