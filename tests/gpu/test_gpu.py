"""On an NVIDIA GPU: engines built, run, and held against the CPU.  `python -m pytest -m gpu`."""

from __future__ import annotations

import functools
import importlib.util
import threading

import numpy as np
import pytest

from reid_edge import ReId, backends, bundle
from reid_edge.backends import _choose, _cuda, _engine
from reid_edge.engine_options import BuildOptions
from reid_edge.errors import BackendError, UnservedGpuError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not _cuda.driver_present(), reason="there is no NVIDIA GPU"),
]
COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.99}


def _has(module):
    return importlib.util.find_spec(module) is not None


@functools.cache
def _obstacle(name):
    """Why this TensorRT cannot be tested here, or nothing."""
    if not _has(name):
        return f"{name} is not installed"
    try:
        _engine.aimed(_engine.load(name), _cuda.open_gpu().info, BuildOptions())
    except UnservedGpuError as error:
        return str(error)
    except BackendError:
        pass  # whatever else is wrong is for the tests to say
    return ""


@pytest.fixture(params=("tensorrt", "tensorrt_rtx"))
def backend(request):
    """Each TensorRT that can be tested here."""
    if obstacle := _obstacle(request.param):
        pytest.skip(obstacle)
    return request.param


@pytest.fixture(scope="module")
def pictures():
    """100 pictures of coloured blocks and noise."""
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (100, 8, 4, 3)).repeat(32, 1).repeat(32, 2)
    return (blocks * 0.8 + rng.integers(0, 52, blocks.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def expected(pictures):
    cpu = "openvino" if _has("openvino") else "onnxruntime"
    with ReId(backend=cpu, precision="fp32", device="cpu") as reid:
        return reid.embed(pictures)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """One folder, so that each engine is built once."""
    return tmp_path_factory.mktemp("engines")


def agreement(found, expected):
    return (found * expected).sum(1).min()


@pytest.mark.parametrize("precision", COSINE)
def test_embeddings_are_those_of_the_cpu(backend, precision, pictures, expected, engines):
    with ReId(
        backend=backend, precision=precision, engine_dir=engines, allow_unverified=True
    ) as reid:
        for count in (1, 7, 33, 100):
            found = reid.embed(pictures[:count])
            assert agreement(found, expected[:count]) >= COSINE[precision]


def test_a_second_start_loads_the_engine(backend, pictures, tmp_path, capfd):
    ReId(backend=backend, precision="fp16", engine_dir=tmp_path).close()
    capfd.readouterr()
    ReId(backend=backend, precision="fp16", engine_dir=tmp_path).close()
    assert "building" not in capfd.readouterr().err


def test_threads_get_their_own_answers(backend, pictures, expected, engines):
    wrong = []
    with ReId(backend=backend, precision="fp16", engine_dir=engines) as reid:

        def work(start):
            for _ in range(5):
                rows = slice(start, start + 20)
                if agreement(reid.embed(pictures[rows]), expected[rows]) < 0.999:
                    wrong.append(start)

        threads = [threading.Thread(target=work, args=(start,)) for start in (0, 20, 40, 60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.skipif(not _cuda._installed("cuda.bindings"), reason="needs cuda-bindings")
def test_cuda_graphs_change_no_number(backend, pictures, engines):
    options = {"backend": backend, "precision": "fp16", "engine_dir": engines}
    with ReId(**options) as plain, ReId(**options, cuda_graphs=True) as replayed:
        for count in (1, 3, 8, 32, 50, 3):
            np.testing.assert_array_equal(
                replayed.embed(pictures[:count]), plain.embed(pictures[:count])
            )


def test_engines_live_beside_torch(pictures, expected, engines):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    backend = next((name for name in ("tensorrt", "tensorrt_rtx") if not _obstacle(name)), None)
    if backend is None or not torch.cuda.is_available():
        pytest.skip("needs torch with CUDA and TensorRT")
    numbers = torch.arange(1000, device="cuda")
    with ReId(backend=backend, precision="fp16", engine_dir=engines) as reid:
        assert agreement(reid.embed(pictures), expected) >= 0.999
        assert int(numbers.sum()) == 499500
    assert int((numbers * 2).sum()) == 999000


@pytest.mark.skipif(not _choose._onnxruntime_has_cuda(), reason="needs onnxruntime-gpu")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_runtime_on_cuda_agrees_with_the_cpu(precision, pictures, expected):
    with ReId(
        backend="onnxruntime", precision=precision, device="cuda", allow_unverified=True
    ) as reid:
        assert agreement(reid.embed(pictures), expected) >= COSINE[precision]


def test_the_gpu_describes_itself():
    info = _cuda.open_gpu().info
    assert info.name
    assert info.compute_capability >= (5, 0)
    assert info.multiprocessors > 0
    assert info.memory > 1 << 30


def test_the_stages_of_a_batch_take_some_time_each(backend, engines):
    found = backends.choose(
        bundle.load(bundle.find(None)),
        backend,
        "fp16",
        engine=backends.EngineOptions(folder=engines),
    )
    stages = found.stages(32)
    found.close()
    assert all(0 < stages[name] < 1000 for name in ("h2d", "compute", "d2h"))
