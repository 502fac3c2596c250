from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from benchmarks import _measure
from benchmarks._packages import require
from reid_edge import bundle
from reid_edge.backends import _processor
from reid_edge.errors import MissingDependencyError


def test_ways_take_turns_and_run_once_untimed_in_each():
    called = []
    ways = {name: lambda name=name: called.append(name) for name in "ab"}
    times = _measure.by_turns(ways, rounds=2)
    assert called == list("aabbaabb")
    assert {name: len(found) for name, found in times.items()} == {"a": 2, "b": 2}


def test_ratios_are_taken_turn_by_turn():
    # The machine is twice as slow in the second turn: no ratio notices.
    found = _measure.compare([1.0, 2.0, 1.0], [3.0, 6.0, 4.0])
    assert (found["speedup"], found["speedup_lowest"], found["speedup_highest"]) == (3.0, 3.0, 4.0)
    assert (found["ours_seconds"], found["theirs_seconds"]) == (1.0, 4.0)
    assert "target" not in found


@pytest.mark.parametrize(("target", "reached"), [(3.0, True), (3.1, False)])
def test_the_median_reaches_a_target_or_not(target, reached):
    found = _measure.compare([1.0] * 3, [2.0, 3.0, 9.0], target)
    assert (found["target"], found["reached"]) == (target, reached)


@pytest.mark.parametrize(
    ("activations", "avx2", "offered"),
    [
        ({"int8": "uint8"}, True, ("fp32", "int8")),
        ({"int8": "int8"}, True, ("fp32",)),  # as older exports wrote it
        ({"int8": "uint8"}, False, ("fp32",)),
    ],
)
def test_a_precision_is_compared_where_it_is_offered(monkeypatch, activations, avx2, offered):
    monkeypatch.setattr(_processor, "has_fast_int8", lambda: False)
    monkeypatch.setattr(_processor, "has_avx2", lambda: avx2)
    model = bundle.load(bundle.find("edge-free"))
    assert _measure.offered(dataclasses.replace(model, activations=activations)) == offered


def test_what_the_model_lacks_or_failed_with_is_not_compared(monkeypatch):
    monkeypatch.setattr(_processor, "has_fast_int8", lambda: True)
    model = bundle.load(bundle.find("edge-free"))
    assert _measure.offered(model) == ("fp32", "int8")
    failed = dataclasses.replace(model, gates={"int8": False})
    alone = dataclasses.replace(model, graphs={"fp32": model.graph("fp32")})
    assert _measure.offered(failed) == _measure.offered(alone) == ("fp32",)


def test_the_machine_is_described_without_the_system():
    found = _measure.machine()
    assert found["processors"] > 0
    assert "numpy" in found["packages"]
    assert "system" not in found


def run_report(monkeypatch, run, *words, add_options=lambda parser: None):
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        _measure.report("About.", run, add_options)
    return ended.value.code


def test_figures_are_printed_and_kept(monkeypatch, tmp_path, capsys):
    path = tmp_path / "figures.json"
    code = run_report(
        monkeypatch,
        lambda size: {"size": size},
        "--json",
        path,
        "--size",
        7,
        add_options=lambda parser: parser.add_argument("--size", type=int),
    )
    assert code == 0
    kept = json.loads(path.read_text())
    assert kept == json.loads(capsys.readouterr().out)
    assert kept["figures"] == {"size": 7}
    assert kept["machine"]["python"]
    assert kept["models"] == {
        name: bundle.load(bundle.find(name)).version for name in bundle.shipped()
    }


def test_the_usage_shows_how_it_is_run(monkeypatch, capsys):
    assert run_report(monkeypatch, dict, "--help") == 0
    assert capsys.readouterr().out.startswith("usage: python -m benchmarks.benchmark [-h]")


def test_a_place_that_cannot_be_written_stops_before_the_measurement(monkeypatch, tmp_path, capsys):
    def run():
        raise AssertionError("measured")

    assert run_report(monkeypatch, run, "--json", tmp_path / "none" / "figures.json") == 1
    assert "make it first" in capsys.readouterr().err


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, capsys):
    with pytest.raises(MissingDependencyError, match="pip install some-thing"):
        require("no_such_package_here", "some-thing")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    from benchmarks import keras

    assert run_report(monkeypatch, keras.run) == 1
    assert "error: this benchmark needs the package tensorflow" in capsys.readouterr().err
