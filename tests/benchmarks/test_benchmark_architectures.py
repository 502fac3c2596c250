from __future__ import annotations

import json

import pytest

from benchmarks import architectures
from reid_edge.errors import OptionError

TINY = {"stem": 8, "growth": [4, 4], "layers": [1, 2], "bottleneck": 2, "embedding": 16}

pytest.importorskip("torch", reason="the networks are torch's")


def test_sizes_are_measured_against_the_first(tmp_path, monkeypatch):
    for name in ("safetensors", "onnx"):
        pytest.importorskip(name, reason=f"the export needs {name}")
    monkeypatch.setattr(architectures, "_CALIBRATED_ON", 2)

    def by_turns(ways, rounds):
        for run in ways.values():
            run()
        return dict(zip(ways, ([1.0] * 3, [2.0] * 3), strict=True))

    monkeypatch.setattr(architectures, "by_turns", by_turns)
    sizes = {"tiny": TINY, "wider": {"growth": [8, 8]}}
    (tmp_path / "sizes.json").write_text(json.dumps(sizes))
    found = architectures.run(tmp_path / "sizes.json")["networks"]
    assert found["tiny"]["parameters"] < found["wider"]["parameters"]
    assert found["wider"]["batch 16"] == {
        "images_per_second": architectures._PICTURES / 2,
        "time": 2,
        "time_lowest": 2,
        "time_highest": 2,
    }
    assert found["tiny"]["batch 1"]["images_per_second"] == architectures._PICTURES


def test_the_kept_sizes_are_networks():
    networks = architectures.read(architectures.SIZES)
    millions = {
        name: round(sum(each.numel() for each in network.parameters()) / 1e6, 1)
        for name, network in networks.items()
    }
    assert next(iter(millions.items())) == ("edge-small", 2.0)
    assert millions["edge"] == 3.8


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        "{}",
        '{"a": 1}',
        '{"a": {"size": 3}}',
        json.dumps({"a": {**TINY, "layers": [1]}}),
        json.dumps({"a": {**TINY, "stem": "8"}}),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "sizes.json").write_text(content)
    with pytest.raises(OptionError, match=r"--sizes .*sizes\.json: holds no sizes"):
        architectures.run(tmp_path / "sizes.json")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionError, match="--sizes"):
        architectures.read(tmp_path / "none.json")
