"""Run by test_gallery_kill.py in a process of its own, which forks: kill writers by chance.

Usage: kill_writers.py FILE TRIALS SEED.  Each writer adds pictures, three at a time, and says
through a pipe which ids were acknowledged and with what; at a random moment it is killed.  The
next one works on the same file.  At last the file has to hold all that was acknowledged, and
of what was not, whole additions only.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
import time
import traceback
from pathlib import Path

import gallery_files

from reid_edge.gallery.store import Store

LINE = struct.Struct("<IIqqq")  # trial, turn, three ids
PICTURES = 3


def name(trial, turn):
    return f"{trial}/{turn}"


def writer(path, trial, pipe):
    store = Store(path, gallery_files.SPACE)
    turn = 0
    while True:
        embeddings = gallery_files.rows(PICTURES, seed=(trial << 20) + turn)
        ids = gallery_files.put(store, name(trial, turn), embeddings)
        os.write(pipe, LINE.pack(trial, turn, *ids))
        turn += 1


def trial_once(path, trial, chance):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            writer(path, trial, writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    received = b""
    for _ in range(chance.choice((0, 1, 2, 5))):  # 0: while it opens the file
        received += os.read(reading, LINE.size)
    time.sleep(chance.uniform(0.0, 0.003))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "a writer ended by itself"
    while part := os.read(reading, 1 << 16):
        received += part
    os.close(reading)
    return [LINE.unpack_from(received, place) for place in range(0, len(received), LINE.size)]


def main():
    path, trials, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    acknowledged = []
    for trial in range(trials):
        acknowledged += trial_once(path, trial, chance)
    found = gallery_files.content(path)
    lost = wrong = 0
    for trial, turn, *ids in acknowledged:
        expected = gallery_files.rows(PICTURES, seed=(trial << 20) + turn)
        for number, row in zip(ids, expected, strict=True):
            if number not in found:
                lost += 1
            elif found[number][0] != name(trial, turn) or (found[number][1] != row).any():
                wrong += 1
    pictures = {}
    for who, _ in found.values():
        pictures[who] = pictures.get(who, 0) + 1
    print(
        json.dumps(
            {
                "acknowledged": len(acknowledged),
                "kept": len(found),
                "lost": lost,
                "wrong": wrong,
                "half": sum(count != PICTURES for count in pictures.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
