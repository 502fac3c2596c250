from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from reid_edge import _threads, images


@pytest.mark.parametrize("shares", [1, 2, 5, 40])
def test_each_share_is_done_once(shares):
    done = []
    _threads.share_out(done.append, shares)
    assert sorted(done) == list(range(shares))


def test_the_first_share_is_done_here_and_others_elsewhere():
    where = {}
    _threads.share_out(lambda share: where.update({share: threading.get_ident()}), 3)
    here = threading.get_ident()
    assert [where[share] == here for share in range(3)] == [True, False, False]


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_is_raised_when_none_runs_any_more(bad):
    ended = []

    def work(share):
        if share == bad:
            raise KeyError(share)
        time.sleep(0.05)
        ended.append(share)

    with pytest.raises(KeyError):
        _threads.share_out(work, 4)
    assert sorted(ended) == sorted({0, 1, 2, 3} - {bad})


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        cwd=Path(_threads.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_thread_that_outlives_the_main_one_goes_on():
    code = """
import threading
from reid_edge import _threads
_threads.share_out(lambda share: None, 3)
main = threading.main_thread()
def later():
    main.join()
    _threads.share_out(print, 3)
threading.Thread(target=later).start()
"""
    assert sorted(run(code)) == ["0", "1", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_makes_threads_of_its_own():
    code = """
import os, warnings
from reid_edge import _threads
_threads.share_out(lambda share: None, 3)
warnings.simplefilter("ignore")  # Python warns that the parent has threads: that is the test
child = os.fork()
if child == 0:
    # In one write each: print ends its line with another, which threads may come between.
    _threads.share_out(lambda share: os.write(1, b"%d\\n" % share), 3)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert sorted(run(code)) == ["0", "1", "2"]


@pytest.mark.parametrize("count", [1, 15, 16, 43])
def test_a_batch_filled_by_several_threads_is_the_same(monkeypatch, count):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (200, 200, 3), np.uint8)
    pictures = [frame[row:, : 40 + row, ::-1] for row in range(count)]
    found, expected = np.zeros((2, count, 32, 16, 3), np.uint8)
    monkeypatch.setattr(images, "threads", lambda: 1)
    images.fill(expected, pictures, "area")
    monkeypatch.setattr(images, "threads", lambda: 5)
    images.fill(found, pictures, "area")
    assert expected.any()
    np.testing.assert_array_equal(found, expected)
