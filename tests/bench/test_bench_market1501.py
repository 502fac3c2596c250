"""The official figures, held against another evaluation that shares no code with the package."""

from __future__ import annotations

import os
from pathlib import Path

import _market1501
import _tiny
import numpy as np
import pytest

from reid_edge import ReId
from reid_edge.bench import accuracy
from reid_edge.bench.cache import Cache, folder
from reid_edge.bench.tasks import open_task

MARKET = os.environ.get("REID_EDGE_MARKET1501")


def both(reid, root, cache):
    """The report's figures, and those of the other evaluation, of the same embeddings."""
    spec = f"market1501:{root}"
    found = accuracy.measure(reid, spec, open_task(spec), cache, lambda done: None)
    assert found.section["skipped"] == 0
    paths = found.task.paths
    query, gallery = (
        _market1501.listed(Path(root) / name) for name in ("query", "bounding_box_test")
    )
    assert [path for path, _, _ in query + gallery] == paths
    rows, head = found.embeddings, reid.bundle.head
    expected = _market1501.evaluate(
        query, gallery, rows[: len(query)], rows[len(query) :], head.scale, head.bias
    )
    return found.section["figures"], expected


@pytest.fixture
def small(tmp_path, picture_file):
    """Market-1501 in small: seven people, three cameras, distractors and junk."""
    for name in ("query", "bounding_box_test"):
        (tmp_path / name).mkdir()

    def save(folder, pid, camid, shot):
        chance = _tiny.picture(1000 + 100 * pid + 10 * camid + shot)
        picture = (0.5 * _tiny.picture(max(pid, 0)) + 0.5 * chance).astype(np.uint8)
        stem = f"{pid:04}" if pid >= 0 else "-1"
        picture_file(f"{folder}/{stem}_c{camid}s1_{shot:06}_00.png", picture)

    for camid in (1, 2, 3):
        for pid in range(1, 8):
            if (pid, camid) != (7, 2):
                save("query", pid, camid, 0)
                for shot in range(1, 2 + pid % 3):
                    save("bounding_box_test", pid, camid, shot)
        for shot in (1, 2):
            save("bounding_box_test", 0, camid, shot)
            save("bounding_box_test", -1, camid, shot)
    return tmp_path


def test_the_small_market_gives_equal_figures_in_both(tiny, small):
    found, expected = both(tiny, small, Cache(tiny, None))
    trapezoids = expected.pop("mAP of trapezoids")
    # Open-set figures have a reference of their own.
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert 0 < found["mAP"] < 1
    assert abs(trapezoids - found["mAP"]) > 1e-3  # or it would not matter which of the two
    assert len({round(value, 4) for value in found.values()}) > 9


class TestFull:
    """The shipped model on the whole of Market-1501; its embeddings are kept for the next time."""

    @pytest.fixture
    def private_cache(self):
        """The user's own, in place of the other tests'."""

    @pytest.mark.skipif(
        not MARKET,
        reason="takes minutes: set REID_EDGE_MARKET1501 to the folder of Market-1501-v15.09.15",
    )
    def test_the_shipped_model_s_figures_are_those_of_another_evaluation(self):
        with ReId() as reid:
            found, expected = both(reid, MARKET, Cache(reid, folder()))
            print(f"\n{reid.info()['backend']} {reid.info()['precision']}")
        for name, value in expected.items():
            print(f"{name:20} {found.get(name, float('nan')):12.6f} {value:12.6f}")
        del expected["mAP of trapezoids"]
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-3)
        assert (found["queries"], found["gallery"]) == (3368, 15_913)
