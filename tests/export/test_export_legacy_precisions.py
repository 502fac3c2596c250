"""The converted DenseNet-121 in FP16 and INT8; its batch norms behind concatenations included."""

from __future__ import annotations

import json
import warnings

import crop_files
import numpy as np
import onnx
import pytest
from wishes import runnable

from export import pictures, running
from export.convert import convert
from export.wish import Wish
from reid_edge import bundle


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return crop_files.write(tmp_path_factory.mktemp("pictures") / "crops", people=4, pictures=2)


@pytest.fixture(scope="module")
def batch(crops):
    samples = pictures.open_set(str(crops)).samples[::8]
    return next(pictures.batches(samples, pictures.Frame(221, 221, "linear")))


@pytest.fixture(scope="module")
def folder(keras_file, crops, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "legacy"
    wish = Wish(("fp16", "int8"), str(crops), calibration_size=4, gate=str(crops))
    with warnings.catch_warnings():
        # Random weights hardly tell pictures apart: INT8 may well change their ranking.
        warnings.simplefilter("ignore", RuntimeWarning)
        convert(keras_file, out, wish=wish)
    return out


def test_default_stays_fp32(folder):
    loaded = bundle.load(folder)
    assert loaded.default_precision == "fp32"
    assert list(loaded.graphs) == ["fp32", "fp16", "int8", "int8_fp16"]
    assert loaded.gates["fp16"]
    gates = json.loads((folder / "bundle.json").read_text())["gates"]
    # Its embeddings are no directions, so they have no cosine.
    assert "cosine_mean" not in gates["int8"]
    assert gates["fp16"]["score_difference"] < 0.001
    for name in ("int8", "int8_fp16"):
        assert gates[name]["score_difference"] < 0.02
        assert gates[name]["flips"] <= 0.01


def test_answers_stay(folder, batch):
    names = ("fp32", "fp16", "int8", "int8_fp16")
    graphs = {name: runnable((folder / f"{name}.onnx").read_bytes()) for name in names}
    found = running.embed(graphs, [batch])
    scale = np.abs(found["fp32"]).mean()
    assert np.abs(found["fp16"] - found["fp32"]).max() < 0.02 * scale
    for name in ("int8", "int8_fp16"):
        assert 0 < np.abs(found[name] - found["fp32"]).mean() < 0.1 * scale


def test_graphs_shrink(folder):
    sizes = {path.stem: path.stat().st_size for path in folder.glob("*.onnx")}
    assert sizes["fp16"] < 0.51 * sizes["fp32"]
    assert sizes["int8"] < 0.36 * sizes["fp32"]
    assert sizes["int8_fp16"] < sizes["int8"]
    nodes = onnx.load(str(folder / "int8_fp16.onnx")).graph.node
    assert sum(node.op_type == "QuantizeLinear" for node in nodes) == 116


def test_shared_convolutions_stay_floats(folder):
    nodes = onnx.load(str(folder / "int8.onnx")).graph.node
    inputs = {node.name: node.input[0] for node in nodes if node.op_type == "Conv"}
    floats = {name for name, given in inputs.items() if not given.endswith("/input")}
    assert floats == {"stem/conv", *(f"transition{block}/conv" for block in (1, 2, 3))}


def test_onnx_runtime_agrees_on_int8(folder, batch):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        str(folder / "int8.onnx"), providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, {"images": batch})[0]
    found = running.embed({"": runnable((folder / "int8.onnx").read_bytes())}, [batch])[""]
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
