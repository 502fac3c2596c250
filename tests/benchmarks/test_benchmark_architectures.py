from __future__ import annotations

import json

import pytest

from benchmarks import architectures

TINY = {"stem": 8, "growth": [4, 4], "layers": [1, 2], "bottleneck": 2, "embedding": 16}


@pytest.fixture
def torch_is_there():
    for name in ("torch", "safetensors", "onnx"):
        pytest.importorskip(name, reason=f"the benchmark needs {name}")


@pytest.mark.usefixtures("torch_is_there")
def test_sizes_are_measured_against_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(architectures, "_PICTURES", 16)
    monkeypatch.setattr(architectures, "ROUNDS", 1)
    (tmp_path / "sizes.json").write_text(json.dumps({"tiny": TINY, "wider": {"growth": [8, 8]}}))
    found = architectures.run(tmp_path / "sizes.json")
    assert found["tiny"]["parameters"] < found["wider"]["parameters"]
    assert found["tiny"]["batch 16"]["time"] == 1
    assert found["wider"]["batch 1"]["images_per_second"] > 0


def test_the_kept_sizes_begin_with_a_whole_one():
    sizes = json.loads(architectures.SIZES.read_text())
    first = next(iter(sizes.values()))
    assert first.keys() == TINY.keys()
    assert all(changes.keys() < TINY.keys() for changes in list(sizes.values())[1:])
