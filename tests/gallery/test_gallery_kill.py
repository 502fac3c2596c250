"""A writer is killed in the midst of its work, again and again, on one and the same file."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TRIALS = 300


@pytest.fixture
def memory_folder(tmp_path):
    """Where waiting for the disk takes no time: a killed process's writes are the kernel's."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_was_acknowledged_survives_300_kills(memory_folder):
    path = memory_folder / "people.db"
    script = Path(__file__).with_name("kill_writers.py")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(script), str(path), str(TRIALS), "1"],
        capture_output=True,
        text=True,
        timeout=300,
        # One thread, so that forks are safe.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["lost"], found["wrong"], found["half"]) == (0, 0, 0)
    # Else nothing was shown: writers have to get somewhere before they are killed.
    assert found["acknowledged"] > TRIALS
    assert found["kept"] >= 3 * found["acknowledged"]
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
