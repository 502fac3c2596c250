"""The tables of a gallery's file, and the check that a file has these and nothing else.

A file from outside is hostile until checked: a trigger or a view in it would run when we
write or read.  So its schema has to be ours, word for word.
"""

from __future__ import annotations

import sqlite3

from ..errors import GalleryFileError

APPLICATION_ID = 0x52654964  # "ReId", in the file's header
VERSION = 1

# AUTOINCREMENT never gives an id twice: readers take what is above the last one they have seen.
_TABLES = (
    """CREATE TABLE gallery (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  fingerprint TEXT NOT NULL,
  model TEXT NOT NULL,
  size INTEGER NOT NULL,
  edits INTEGER NOT NULL
)""",
    """CREATE TABLE identity (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE
)""",
    """CREATE TABLE picture (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  identity INTEGER NOT NULL REFERENCES identity (id),
  embedding BLOB NOT NULL,
  camera TEXT,
  time REAL,
  thumbnail BLOB
)""",
    "CREATE INDEX picture_of ON picture (identity)",
)


def create(connection: sqlite3.Connection, fingerprint: str, model: str, size: int) -> None:
    """Write the tables of an empty gallery, within the caller's transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    for table in _TABLES:
        connection.execute(table)
    connection.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, 0)", (fingerprint, model, size))


def check(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a database that is no gallery of this version.

    Raises:
        GalleryFileError: another program's, of another version, or with other tables.
    """
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if kind != APPLICATION_ID:
        raise GalleryFileError(
            f"{path}: is a database, but no gallery of reid_edge; it was left as it is; "
            "give the path of a gallery"
        )
    if version != VERSION:
        raise GalleryFileError(
            f"{path}: gallery version {version}, this reid_edge reads version {VERSION}; "
            "it was left as it is; "
            + ("upgrade reid_edge" if version > VERSION else "make a new gallery")
        )
    if _schema(connection) != _expected():
        raise GalleryFileError(
            f"{path}: its tables are not those of a gallery; the file was changed by another "
            "program; restore it from a backup"
        )


def _expected() -> list[tuple[object, ...]]:
    with_ours = sqlite3.connect(":memory:")
    try:
        for table in _TABLES:
            with_ours.execute(table)
        return _schema(with_ours)
    finally:
        with_ours.close()


def _schema(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    ).fetchall()
