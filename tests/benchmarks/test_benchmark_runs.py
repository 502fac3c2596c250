"""Each benchmark on its smallest setting: it checks its own results before it times."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from benchmarks import _crops, embed, engines, gallery, pairs, torch_extractor
from benchmarks._measure import cpu_precisions
from reid_edge.backends import _processor
from reid_edge.errors import ReportError, UnknownModelError


def speedups(figures):
    return {name: found for name, found in figures.items() if "speedup" in found}


def test_crops_have_the_heights_that_are_told():
    found = _crops.crops(5)
    assert sorted(one.shape[0] for one in found) == [60, 95, 130, 165, 200]
    assert all(0.33 < one.shape[1] / one.shape[0] < 0.52 for one in found)
    assert all(one.dtype == np.uint8 and one.shape[2] == 3 for one in found)


def test_embed_is_held_against_the_bare_engine():
    found = embed.run("edge-free", batch=2, repeats=1, rounds=1)
    assert len(speedups(found)) == len(cpu_precisions())
    assert all(one["target"] == 0.9 for one in found.values())


@pytest.mark.parametrize("name", ["embed", "engines", "footprint", "frames", "pairs"])
def test_an_unknown_model_is_refused(name):
    with pytest.raises(UnknownModelError, match="nobody"):
        importlib.import_module(f"benchmarks.{name}").run(model="nobody")


def test_engines_of_a_model_without_int8_are_compared_in_fp32(tiny_folder, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the comparison needs onnxruntime")
    monkeypatch.setattr(_processor, "has_bf16", lambda: True)
    found = engines.run(str(tiny_folder))
    assert list(found) == [
        f"openvino fp32 against onnxruntime fp32, batch {size}" for size in (1, 16)
    ]


def test_pairs_of_a_siamese_network_and_of_ours():
    found = pairs.run(others=2, grid=(2, 3), queries=2, gallery=64, rounds=1)
    assert len(speedups(found)) == 4
    assert speedups(found)["grid_2_by_48_against_one_call_for_each_pair"]["speedup"] > 1


def test_a_gallery_s_search_is_held_against_a_full_sort(monkeypatch):
    monkeypatch.setattr(gallery, "AT", 1000)
    found = gallery.run(most=1000)
    assert found.keys() == {"1000"}
    assert found["1000"]["reached"] == (found["1000"]["search_milliseconds"] <= 20)
    index, _ = gallery.filled(1000)
    assert not index.groups.in_order  # the dearer way
    assert set(np.bincount(index.owners)) == {gallery.PICTURES}


@pytest.fixture
def torch_is_there():
    for name in ("torch", "PIL", "safetensors", "onnxruntime"):
        pytest.importorskip(name, reason=f"the comparison needs {name}")


@pytest.mark.usefixtures("torch_is_there")
def test_extractors_are_of_the_same_network():
    found = torch_extractor.run(pictures=2, rounds=1)
    assert len(speedups(found)) == 3 * len(cpu_precisions())
    assert found["2 crops, fp32 against torch FP32"]["least_cosine"] > 0.999


@pytest.mark.usefixtures("torch_is_there")
def test_another_network_is_not_timed(monkeypatch):
    monkeypatch.setattr(torch_extractor, "_MEAN", (0.0, 0.0, 0.9))
    with pytest.raises(ReportError, match="not the same network"):
        torch_extractor.run(pictures=2, rounds=1)
