from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from reid_edge.bench import html, plots
from reid_edge.bench.compare import Change
from reid_edge.bench.galleries import Candidate, Sheet
from reid_edge.bench.plots import Axis, Series

EVIL = '<script>alert("x")</script>&'


class Page(HTMLParser):
    """What a browser would make of a page: its tags, all attributes, and unclosed tags."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def report(**changes):
    """A report of one run with speed and accuracy."""
    timing = {"p50_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0}
    timing |= {"calls": 200, "spread": 0.01, "stable": True}
    run = {
        "backend": "openvino",
        "precision": "int8+fp32",
        "graph_sha256": "ab" * 32,
        "gpu_memory_mib": None,
        "engine": None,
        "single_stream": {**timing, "histogram": {"edges_ms": [1, 2, 3], "counts": [3, 1]}},
        "multi_stream": timing,
        "throughput": [
            {
                "batch": batch,
                "images_per_second": 10.0 * batch,
                "engine_images_per_second": 11.0 * batch,
                "spread": 0.02,
                "stable": batch != 8,
            }
            for batch in (8, 1)
        ],
        "stages": {
            "ms_per_picture": dict.fromkeys(("decode", "resize", "engine", "head", "other"), 1.0),
            "share_outside_engine": 0.8,
            "share_outside_engine_decoded": 0.75,
        },
        "accuracy": {
            "dataset": "folder:" + EVIL,
            "figures": {"mAP": 0.6543, "rank1": 0.8},
            "pictures": 1234,
            "skipped": 1,
            "pairs_same": 10,
            "pairs_different": 100,
            "drift": {"mAP": -0.001, "flips": 0.002, "max_abs_score": 0.1},
            "curves": {
                "cmc": [0.8, 0.9, 1.0],
                "roc": {"far": [1e-4, 1e-2, 1], "tpr": [0.2, 0.7, 1]},
                "calibration": {"mass": [0.5, 0.5], "confidence": [0.1, 0.9], "share": [0.0, 1.0]},
            },
        },
    }
    machine = {
        "cpu": EVIL,
        "board": None,
        "processors": 4,
        "processors_allowed": 2,
        "mhz_now": None,
        "governor": None,
        "power_mode": "15W",
        "gpus": [{"name": "Some GPU"}],
        "packages": {"numpy": "2"},
    }
    return {
        "reid_edge": "0",
        "created": "now",
        "model": {"name": "edge", "version": "1", "licence": "research only"},
        "machine": machine,
        "runs": [run],
        "warnings": ["careful " + EVIL],
        **changes,
    }


def test_the_page_shows_the_figures_and_every_plot():
    page = Page(html.page(report()))
    text = " ".join(page.text)
    for shown in ("2.00 / 3.00 / 4.00", "80.0 ± 1 % (unstable)", "0.6543", "-0.00100", "0.200 %",
                  "1,233, 1", "15W", "Some GPU", "abababababab"):  # fmt: skip
        assert shown in text
    titles = dict(page.attributes), page.tags.count("svg")
    assert titles[1] == 6
    for title in ("Latency of one pair", "Throughput by batch", "From file to score", "ROC", "CMC",
                  "Calibration"):  # fmt: skip
        assert title in text


def test_the_page_asks_for_nothing_and_runs_nothing():
    """Whatever names hold, no script, no link, no source outside the page."""
    sheets = [Sheet(Candidate("data:image/jpeg;base64,AA==", EVIL), [
        Candidate("data:image/jpeg;base64,AA==", EVIL, 0.5, False)])]  # fmt: skip
    changes = [Change(EVIL, EVIL, 1.0, 2.0, "worse")]
    text = html.page(report(), sheets, changes, [EVIL])
    page = Page(text)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "url(" not in text
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert sources == ["data:image/jpeg;base64,AA=="] * 2
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert any("default-src 'none'" in (value or "") for _, value in page.attributes)


def test_a_99th_percentile_of_few_calls_says_so():
    whole = report()
    whole["runs"][0]["single_stream"] |= {"calls": 33}
    whole["runs"][0]["multi_stream"] = {**whole["runs"][0]["multi_stream"], "stable": False}
    text = " ".join(Page(html.page(whole)).text)
    assert "2.00 / 3.00 / 4.00 (33 calls)" in text
    assert "2.00 / 4.00 (unstable)" in text


def test_galleries_have_green_and_red_frames():
    ranked = [Candidate("data:,", "1, camera 2", 0.9, True), Candidate("data:,", "2", 0.8, False)]
    text = html.page(report(), [Sheet(Candidate("data:,", "1, camera 1"), ranked)])
    assert re.findall(r'<div class="(query|right|wrong)">', text) == ["query", "right", "wrong"]
    assert "0.900<br>1, camera 2" in text


def test_a_report_of_speed_alone_or_of_accuracy_alone_has_a_page():
    whole = report()["runs"][0]
    speed = {name: value for name, value in whole.items() if name != "accuracy"}
    assert Page(html.page(report(runs=[speed]))).tags.count("svg") == 3
    kept = ("backend", "precision", "graph_sha256", "gpu_memory_mib", "engine", "accuracy")
    accuracy = {name: whole[name] for name in kept}
    assert Page(html.page(report(runs=[accuracy]))).tags.count("svg") == 3
    accuracy["accuracy"]["curves"]["cmc"] = []  # of pairs
    assert Page(html.page(report(runs=[accuracy]))).tags.count("svg") == 2


def svg(figure):
    return ElementTree.fromstring(figure[figure.index("<svg") : figure.index("</figure>")])


def test_lines_go_where_the_points_are():
    x, y = Axis("x", 0, 10), Axis("y", 0, 1)
    drawn = svg(plots.lines("t", [Series("s", [(0, 0), (10, 1), (5, 2)])], x, y))
    (line,) = drawn.iter("polyline")
    (x0, y0), (x1, y1), (x2, y2) = (
        map(float, point.split(",")) for point in line.get("points").split()
    )
    assert x0 < x2 < x1
    assert y1 < y0  # up is less
    assert y2 == y1  # clipped
    assert x2 == pytest.approx((x0 + x1) / 2)


def test_a_logarithmic_axis_has_equal_decades():
    axis = Axis("x", 1e-4, 1, logarithmic=True)
    assert [axis.place(value) for value in axis.ticks()] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert axis.place(0) == 0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 33, [0, 10, 20, 30]), (0.7, 1, [0.7, 0.8, 0.9, 1]),
     (0, 0, [0]), (1, 20, [5, 10, 15, 20])],
)  # fmt: skip
def test_ticks_are_round(low, high, expected):
    assert Axis("x", low, high).ticks() == pytest.approx(expected)


def test_a_histogram_shows_shares():
    drawn = svg(plots.histogram("t", "ms", [("a", [1, 2, 3], [30, 10]), ("b", [2, 3], [1])]))
    assert len(list(drawn.iter("polyline"))) == 2


def test_bars_are_as_long_as_their_parts():
    rows = [("a", [("p", 1.0), ("q", 3.0)]), ("b", [("p", 1.0), ("q", 1.0)])]
    widths = [float(bar.get("width")) for bar in svg(plots.bars("t", "ms", rows)).iter("rect")]
    assert widths[1] == pytest.approx(3 * widths[0])
    assert widths[2] == pytest.approx(widths[3])
