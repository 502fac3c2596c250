"""Embeddings of people who do not exist, and what tests do to a gallery's file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from reid_edge.gallery.space import Space
from reid_edge.gallery.store import Store

ROOT = Path(__file__).parents[2]
SIZE = 8
SPACE = Space("f" * 64, "tiny", SIZE)


def rows(count, seed=0, size=SIZE):
    """Random embeddings."""
    found = np.random.default_rng(seed).normal(size=(count, size))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def put(store, name, embeddings, camera=None, time=None):
    count = len(embeddings)
    return store.add(name, embeddings, [camera] * count, [time] * count, [None] * count)


def content(path, space=SPACE):
    """Everything in a file: picture's id -> (name, embedding)."""
    store = Store(path, space)
    try:
        with store.snapshot():
            _, names, parts = store.read(0, -1)
            return {
                int(number): (names[int(owner)], row)
                for part in parts
                for number, owner, row in zip(part.ids, part.owners, part.embeddings, strict=True)
            }
    finally:
        store.close()


def python(code, *arguments):
    """A process of its own with the store, but without a model."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}",
            "OPENBLAS_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
