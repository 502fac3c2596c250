"""One synthetic Keras file (29 MB) and one edge checkpoint with true statistics a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import crop_files
import edge_files
import legacy_files
import numpy as np
import openvino
import pytest

from export import emulation, pictures, running
from export.convert import convert


@pytest.fixture(scope="session", autouse=True)
def usual_execution():
    """Tiny networks are judged alike on every processor: of few pictures, a hair decides.

    Gives what is replaced.
    """
    usual = running.execution

    def execution(graph, half, int8, unsigned):
        if int8:
            return running.Execution(emulation.emulate(graph), "f32", "f32", emulated=True)
        return usual(graph, half, int8, unsigned)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "execution", execution)
        yield usual


@pytest.fixture(scope="session")
def keras_weights():
    return legacy_files.random_weights()


@pytest.fixture(scope="session")
def keras_file(keras_weights, tmp_path_factory):
    """A save of the whole model."""
    path = tmp_path_factory.mktemp("keras") / "model heavy.h5"
    legacy_files.save(path, keras_weights)
    return path


@pytest.fixture
def keras_copy(keras_file, tmp_path):
    """The same, to be damaged at will."""
    return Path(shutil.copy(keras_file, tmp_path / "model.h5"))


@pytest.fixture(scope="session")
def keras_bundle(keras_file, tmp_path_factory):
    """The bundle of the whole model."""
    out = tmp_path_factory.mktemp("bundles") / "legacy"
    convert(keras_file, out)
    return out


@pytest.fixture(scope="session")
def run():
    """Run a bundle's graph on OpenVINO: (folder, uint8 pictures) -> embeddings."""
    core = openvino.Core()

    def run(folder, pictures):
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        return core.compile_model(str(folder / "fp32.onnx"), "CPU", options)(pictures)[0].copy()

    return run


@pytest.fixture(scope="session")
def crops(tmp_path_factory):
    return crop_files.write(tmp_path_factory.mktemp("pictures") / "crops", people=8, pictures=4)


@pytest.fixture(scope="session")
def state(crops, tmp_path_factory):
    """Random weights, but the last norm's statistics are true, so that embeddings differ."""
    state = edge_files.random_state(np.float32)
    folder = tmp_path_factory.mktemp("first")
    edge_files.save(folder / "edge.safetensors", state)
    convert(folder / "edge.safetensors", folder / "out")
    network = running.Network((folder / "out" / "fp32.onnx").read_bytes(), ["features"])
    samples = pictures.open_set(str(crops)).samples
    (batch,) = pictures.batches(samples, pictures.Frame(64, 32, "area"), len(samples))
    projected = network.run(batch)[1] @ state["project.weight"].T
    state["neck.running_mean"] = projected.mean(axis=0)
    state["neck.running_var"] = projected.var(axis=0)
    return state


@pytest.fixture(scope="session")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "edge.safetensors"
    edge_files.save(path, state)
    return path


@pytest.fixture(scope="session")
def edge_bundle(weights, tmp_path_factory):
    """The bundle of a small edge network, in FP32 only."""
    out = tmp_path_factory.mktemp("bundles") / "edge"
    convert(weights, out)
    return out


@pytest.fixture
def copy(edge_bundle, tmp_path):
    """The same, to be changed at will."""
    return shutil.copytree(edge_bundle, tmp_path / "copy")
