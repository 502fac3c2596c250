"""One synthetic Keras file a session (29 MB), since each copy of it takes a while to make."""

from __future__ import annotations

import shutil
from pathlib import Path

import legacy_files
import openvino
import pytest

from export.convert import convert


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
