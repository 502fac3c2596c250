"""A bundle with all four graphs, where engines go, and TensorRT over a double."""

from __future__ import annotations

import _tiny
import pytest
from tensorrt_double import make

from reid_edge import bundle


@pytest.fixture
def full_folder(tmp_path):
    return _tiny.write_all_graphs(tmp_path / "full", fp16=True, int8=True, int8_fp16=True)


@pytest.fixture
def full_bundle(full_folder):
    return bundle.load(full_folder)


@pytest.fixture
def engine_dir(tmp_path):
    return tmp_path / "engines"


@pytest.fixture
def trt_backend(trt, full_bundle):
    """A TensorRT backend over the double, with an empty log."""
    made = make(trt, full_bundle)
    trt.world.log.clear()
    yield made
    made.close()
