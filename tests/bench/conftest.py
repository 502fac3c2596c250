from __future__ import annotations

import _tiny
import numpy as np
import pytest

from reid_edge.bench import timing


@pytest.fixture
def people(picture_file, tmp_path):
    """A folder of six people, two pictures from each of two cameras; half of each is chance."""
    (tmp_path / "people").mkdir()
    for pid in range(1, 7):
        for camid in (1, 2):
            for shot in (1, 2):
                chance = _tiny.picture(100 * pid + 10 * camid + shot)
                picture = (_tiny.picture(pid) // 2 + chance // 2).astype(np.uint8)
                picture_file(f"people/{pid:04}_c{camid}s1_{shot:06}_00.png", picture)
    return tmp_path / "people"


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    """Embeddings of a test stay in its own folder."""
    monkeypatch.setenv("REID_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "embeddings"


@pytest.fixture
def quick(monkeypatch):
    """Measurements of one round: their figures are not looked at."""
    monkeypatch.setattr(timing, "_MOST_ROUNDS", timing.ROUNDS)
