from __future__ import annotations

import copy
import json

import pytest

from reid_edge.bench import compare, files
from reid_edge.errors import ReportError


def report(**figures):
    """A report of one run with the given figures, others as they are."""
    value = {"p50": 10.0, "ips": 100.0, "mAP": 0.7, "eer": 0.05, "spread": 0.01, **figures}
    return {
        "schema": "reid_edge.bench",
        "schema_version": 1,
        "machine": {"cpu": "A", "processors_allowed": 2, "packages": {"numpy": "2"}},
        "model": {"name": "edge"},
        "runs": [
            {
                "backend": "openvino",
                "precision": "fp32",
                "graph_sha256": "a" * 64,
                "single_stream": {"p50_ms": value["p50"], "spread": value["spread"]},
                "throughput": [
                    {"batch": 8, "images_per_second": value["ips"], "spread": value["spread"]}
                ],
                "accuracy": {
                    "dataset": "folder:x",
                    "figures": {"mAP": value["mAP"], "eer": value["eer"]},
                },
            }
        ],
    }


def verdicts(old, new):
    return {one.figure: one.verdict for one in compare.changes(old, new)}


def test_equal_reports_are_the_same():
    assert set(verdicts(report(), report()).values()) == {"same"}
    assert compare.doubts(report(), report()) == []


def test_less_time_and_more_pictures_are_better():
    found = verdicts(report(), report(p50=5, ips=200, mAP=0.71, eer=0.04))
    assert found == {
        "single stream, p50 ms": "better",
        "images/s, batch 8": "better",
        "mAP": "better",
        "eer": "better",
    }
    assert set(verdicts(report(p50=5, ips=200, mAP=0.71, eer=0.04), report()).values()) == {"worse"}


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [(0.01, 0.01, "worse"), (0.3, 0.01, "same"), (0.01, 0.3, "same")],
)
def test_what_lies_within_the_spread_of_either_is_the_same(then, now, expected):
    found = verdicts(report(spread=then), report(spread=now, ips=80))
    assert found["images/s, batch 8"] == expected


def test_small_changes_are_noise():
    assert set(verdicts(report(), report(p50=10.2, ips=98, mAP=0.7009)).values()) == {"same"}


def test_figures_of_other_data_are_not_compared():
    old = report()
    old["runs"][0]["accuracy"]["dataset"] = "folder:y"
    assert "mAP" not in verdicts(old, report())
    assert compare.doubts(old, report()) == [
        "openvino fp32: accuracy was measured on other data then"
    ]


def test_a_folder_that_holds_other_pictures_now_is_other_data():
    old, new = report(), report(mAP=0.9)
    old["runs"][0]["accuracy"]["pictures"], new["runs"][0]["accuracy"]["pictures"] = 100, 101
    assert "mAP" not in verdicts(old, new)
    assert compare.doubts(old, new) == ["openvino fp32: accuracy was measured on other data then"]


def test_doubts_name_what_differs():
    old = report()
    old["machine"]["cpu"] = "B"
    old["runs"][0]["graph_sha256"] = "b" * 64
    told = " ".join(compare.doubts(old, report()))
    assert "another processor then (B) than now (A)" in told
    assert "another graph" in told
    old["runs"][0]["precision"] = "int8"
    assert any("no run in common" in doubt for doubt in compare.doubts(old, report()))
    assert compare.changes(old, report()) == []


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize(
    "junk",
    [
        None,
        [],
        {},
        "text",
        True,
        -1,
        pytest.param(10**400, id="huge"),
        float("nan"),
        [[]],
        [{"batch": []}],
        {"x": 1},
    ],
)
def test_whatever_an_old_file_holds_is_no_crash(junk):
    for place in list(places(report()))[1:]:
        old = copy.deepcopy(report())
        at = old
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = junk
        for one in compare.changes(old, report()):
            assert one.verdict in ("better", "worse", "same")
        compare.doubts(old, report())


def test_an_earlier_report_is_read(tmp_path):
    path = tmp_path / "old.json"
    files.write(path, files.dump(report()))
    assert files.read(path) == report()


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "no report of this command"),
        (b'{"machine": {}, "figures": {}}', "no report of this command"),
        (b'{"schema": "reid_edge.bench"}', "schema version None"),
        (b'{"schema": "reid_edge.bench", "schema_version": 2}', "schema version 2, .* version 1"),
    ],
)
def test_another_file_is_refused(tmp_path, content, advice):
    (tmp_path / "old.json").write_bytes(content)
    with pytest.raises(ReportError, match=advice):
        files.read(tmp_path / "old.json")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ReportError, match="cannot be read"):
        files.read(tmp_path / "old.json")


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ReportError, match="is a folder"):
        files.check_writable(tmp_path)
    with pytest.raises(ReportError, match="make it first"):
        files.check_writable(tmp_path / "no" / "a.json")
    with pytest.raises(ReportError, match="cannot be written"):
        files.write(tmp_path / "no" / "a.json", "")
    files.check_writable(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_plain_json():
    assert json.loads(files.dump({"a": 1.5})) == {"a": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.dump({"a": float("nan")})
