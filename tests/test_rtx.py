"""NVIDIA's real ONNX parser and builder, without a GPU: TensorRT-RTX builds ahead of time.

Each build runs in a process of its own: a crash of native code is a failed test, not the end.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from reid_edge import bundle

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="TensorRT-RTX is not installed: pip install '.[test-rtx]'",
)

GRAPHS = ("fp32", "fp16", "int8_fp16")


def build(model, precision, out, *more):
    command = [sys.executable, "-m", "reid_edge", "build", "--backend", "tensorrt_rtx"]
    command += ["--target", "sm86", "--model", str(model), "--precision", precision]
    command += ["--out", str(out), "--json", "--allow-unverified", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def check(done, graph):
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["graph"] == graph
    assert answer["built"] is True
    with open(answer["engine"].replace(".plan", ".json")) as file:
        sidecar = json.load(file)
    assert sidecar["engine"] == "tensorrt_rtx"
    assert sidecar["strongly_typed"] is True
    assert sidecar["gpu"] == {"compute_capability": [8, 6]}
    assert [profile[0::2] for profile in sidecar["profiles"]] == [[1, 8], [8, 32]]


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("model", bundle.shipped())
def test_the_shipped_models_build(model, graph, tmp_path):
    check(build(model, graph.partition("_")[0], tmp_path), graph)


def test_the_second_build_finds_the_first(tmp_path):
    check(build("edge", "fp16", tmp_path), "fp16")
    again = build("edge", "fp16", tmp_path)
    assert json.loads(again.stdout)["built"] is False
    assert again.stderr == ""


def test_a_graph_that_is_none_is_refused_by_the_real_parser(tmp_path):
    import tensorrt_rtx

    from reid_edge import engines, errors
    from reid_edge.engine_options import BuildOptions

    options = BuildOptions(target=(8, 6))
    with pytest.raises(errors.EngineBuildError, match="cannot read the fp32 graph"):
        engines.build_engine(tensorrt_rtx, b"junk", "fp32", (256, 128), options)


def test_a_size_that_does_not_fit_is_refused_by_the_real_builder():
    import tensorrt_rtx

    from reid_edge import engines, errors
    from reid_edge.engine_options import BuildOptions

    graph = bundle.load(bundle.find("edge")).graph("fp32").read()
    options = BuildOptions(target=(8, 6))
    with pytest.raises(errors.EngineBuildError, match="has min=128"):
        engines.build_engine(tensorrt_rtx, graph, "fp32", (128, 128), options)


def test_a_target_that_rtx_does_not_have_is_refused(tmp_path):
    command = build("edge", "fp16", tmp_path, "--target", "sm90")
    assert command.returncode == 2
    assert "has no target sm90" in command.stderr
