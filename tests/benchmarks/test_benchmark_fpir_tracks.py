import _tiny
import numpy as np
import pytest

from benchmarks.fpir_tracks import drawn, means
from reid_edge import ReId

RATES = {"far_1e-2": 0.85, "far_1e-3": 0.9}


@pytest.fixture(scope="module")
def reid(tmp_path_factory):
    limits = {name: {"score": s, "low": s, "high": s} for name, s in RATES.items()}
    folder = _tiny.write(tmp_path_factory.mktemp("model"), thresholds=limits)
    with ReId(folder) as running:
        yield running


def people(strangers_look_alike):
    """Eight people of twelve views in eight dimensions: each an axis, or all but one axis."""
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(8), 12)
    looks = np.eye(8)[0 * pids if strangers_look_alike else pids]
    views = looks + rng.normal(0, 0.02, looks.shape)
    return (views / np.linalg.norm(views, axis=1, keepdims=True)).astype(np.float32), pids


def test_people_who_are_unlike_are_told_apart(reid):
    for figures in drawn(reid, *people(False), draws=1).values():
        assert figures["strangers, single"] == figures["strangers, ever"] == 0
        assert figures["known, single"] == figures["known, last"] == 1


def test_people_who_are_all_alike_are_named(reid):
    figures = drawn(reid, *people(True), draws=1)["asked 0.1"]
    assert figures["strangers, ever"] == 1
    assert figures["known, last"] < 1


def test_means_are_of_unit_length_and_of_the_first_views():
    views = np.eye(3, 4, dtype=np.float32)
    np.testing.assert_allclose(means(views), [[1, 0, 0, 0], [0.5**0.5, 0.5**0.5, 0, 0]])
