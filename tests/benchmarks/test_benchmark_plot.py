from __future__ import annotations

import itertools
import json

import cv2
import pytest

from benchmarks import plot
from reid_edge.errors import ReportError

RATIO = {"speedup": 3.0, "speedup_lowest": 2.0, "speedup_highest": 4.0}
PEERS = {
    "contenders": [
        {
            "name": name,
            "precision": "fp32",
            "ours": ours,
            "mAP": mean_ap,
            "images_per_second": {"1": 100.0 * mean_ap, "16": 200.0},
        }
        for name, ours, mean_ap in (("ours: edge", True, 0.7), ("some-peer-0001", False, 0.6))
    ],
    "dataset": "market1501",
    "whole_protocol": True,
    "fp32 against some-peer-0001 fp32, batch 1": {**RATIO, "target": 1.0, "reached": True},
}


def keep(folder, name, figures):
    (folder / f"{name}.json").write_text(json.dumps({"machine": {}, "figures": figures}))


def test_every_ratio_is_found_and_nothing_else(tmp_path):
    keep(tmp_path, "b", {"a_grid": {**RATIO, "target": 5.0}, "seconds": 3.0, "times": {"x": 1}})
    keep(tmp_path, "a", {"other": RATIO})
    assert plot.ratios(tmp_path) == [
        plot.Ratio("a: other", 2.0, 3.0, 4.0, None),
        plot.Ratio("b: a grid", 2.0, 3.0, 4.0, 5.0),
    ]


def test_kept_results_of_the_checkout_can_be_read():
    assert plot.kept()
    assert all(plot.ratios(folder) for folder in plot.kept())


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["some-peer-0286", "some-peer-0288"], ["0286", "0288"]),
        (["some-peer-0286", "some-peer-0286-int8"], ["0286", "0286-int8"]),
        (["some-peer-02860", "some-peer-02861"], ["02860", "02861"]),
        (["some-peer-0286-int8"], ["int8"]),
        (["one", "other"], ["one", "other"]),
        ([], []),
    ],
)
def test_names_lose_what_all_of_them_begin_with(names, short):
    assert list(plot.short_names(names).values()) == short


def test_pictures_are_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the train extra")
    keep(tmp_path, "a", {"missed": {**RATIO, "target": 5.0}, "free": RATIO})
    assert plot.draw(tmp_path) == [tmp_path / "ratios.png"]
    keep(tmp_path, "peers", PEERS)
    written = plot.draw(tmp_path)
    assert written == [tmp_path / "ratios.png", tmp_path / "peers.png"]
    assert all(cv2.imread(str(path)).std() > 1 for path in written)


@pytest.mark.parametrize("folder", plot.kept(), ids=lambda folder: folder.name)
def test_labels_of_the_kept_peers_cover_one_another_nowhere(folder, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib, of the train extra")
    drawn = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    figures = json.loads((folder / "peers.json").read_text())["figures"]
    plot.draw_peers(figures, tmp_path / "peers.png")
    (figure,) = drawn
    for axes in figure.axes:
        labels = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(labels) == len(figures["contenders"])
        for a, b in itertools.combinations(labels, 2):
            assert min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1
        assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in labels)


def test_files_of_others_are_refused(tmp_path):
    with pytest.raises(ReportError, match="holds no results"):
        plot.draw(tmp_path)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ReportError, match=r"a\.json: is no file that --json wrote"):
        plot.ratios(tmp_path)
