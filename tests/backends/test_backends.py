"""What every backend that is installed promises."""

from __future__ import annotations

import importlib.util

import _tiny
import numpy as np
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from reid_edge import ReId, backends, bundle, errors

ON_CPU = ("openvino", "onnxruntime")  # the others: test_tensorrt.py
INSTALLED = [name for name in ON_CPU if importlib.util.find_spec(name)]


@pytest.fixture(params=ON_CPU)
def name(request):
    if request.param not in INSTALLED:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def start(name, folder):
    return backends.choose(bundle.load(folder), name, "fp32", "cpu")


def batch(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 16, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_embeddings_are_those_of_the_reference_implementation_of_onnx(name, tiny_folder, count):
    pictures = batch(count)
    (expected,) = ReferenceEvaluator(_tiny.model()).run(None, {"images": pictures})
    backend = start(name, tiny_folder)
    found = backend.run(pictures)
    backend.close()
    assert (found.dtype, found.shape) == (np.float32, (count, 8))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_batches_of_changing_size_do_not_disturb_one_another(name, tiny_folder):
    backend = start(name, tiny_folder)
    whole = batch(9)
    kept = backend.run(whole)
    for size in (1, 4, 9, 2):
        np.testing.assert_allclose(backend.run(whole[:size]), kept[:size], atol=2e-6)
    backend.close()


def test_a_result_is_not_overwritten_by_the_next_run(name, tiny_folder):
    backend = start(name, tiny_folder)
    first = backend.run(batch(3, 0))
    kept = first.copy()
    backend.run(batch(3, 1))
    assert np.array_equal(first, kept)
    backend.close()


def test_it_says_what_it_is(name, tiny_folder):
    backend = start(name, tiny_folder)
    assert backend.name == name
    assert backend.precision == "fp32"
    assert "cpu" in backend.device.lower()
    backend.close()


def test_a_closed_backend_says_so_and_closes_again(name, tiny_folder):
    backend = start(name, tiny_folder)
    backend.close()
    backend.close()
    with pytest.raises(errors.ClosedError, match="make a new one"):
        backend.run(batch(1))


@pytest.mark.parametrize(
    "variant",
    [
        {"input_name": "pictures"},
        {"input_type": TensorProto.FLOAT},
        {"input_type": TensorProto.INT8},
        {"input_shape": (1, 32, 16, 3)},
        {"input_shape": ("batch", "height", "width", 3)},
        {"output_name": "features"},
        {"size": 9},
        {"second_output": True},
        {"second_input": True},
    ],
    ids=str,
)
def test_a_graph_with_other_inputs_or_outputs_is_refused_with_the_fix(name, tmp_path, variant):
    folder = _tiny.write(tmp_path / "bad", _tiny.model(**variant))
    with pytest.raises(
        errors.BundleGraphError, match=r"expected (images|embeddings): .*export the bundle again"
    ):
        ReId(folder, backend=name, device="cpu")


def test_a_graph_of_another_picture_size_is_refused(name, tmp_path):
    described = {"input": {"height": 16, "width": 32, "resize": "area"}}
    folder = _tiny.write(tmp_path / "bad", **described)
    with pytest.raises(errors.BundleGraphError, match="graph's inputs are images"):
        ReId(folder, backend=name, device="cpu")


@pytest.mark.parametrize("content", [b"\x08\x0a", b"\x12\x04junk", b"\x3a\x00"], ids=repr)
def test_a_file_that_no_engine_can_load_is_refused_with_the_fix(name, tmp_path, content):
    folder = _tiny.write(tmp_path / "bad", content)
    with pytest.raises(errors.BundleGraphError, match="export the bundle again"):
        ReId(folder, backend=name, device="cpu")


def test_an_operator_that_does_not_exist_is_a_package_error(name, tmp_path):
    model = _tiny.model()
    model.graph.node[5].op_type = "Frobnicate"
    with pytest.raises(errors.ReidEdgeError, match=r"fp32\.onnx"):
        ReId(_tiny.write(tmp_path / "bad", model), backend=name, device="cpu")


def test_a_failing_run_is_a_backend_error(name, tiny_folder):
    backend = start(name, tiny_folder)
    with pytest.raises(errors.BackendError):
        backend.run(np.zeros((1, 9, 9, 3), np.uint8))
    assert backend.run(batch(1)).shape == (1, 8)
    backend.close()


def test_the_backends_agree(tiny_folder):
    if len(INSTALLED) < 2:
        pytest.skip("one backend is installed")
    pictures = [_tiny.picture(seed) for seed in range(5)]
    scores = []
    for name in INSTALLED:
        with ReId(tiny_folder, backend=name, device="cpu") as model:
            scores.append(model.predict(pictures[0], pictures))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
