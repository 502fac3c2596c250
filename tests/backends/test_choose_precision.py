"""Which graph serves a request, and what is refused; no engine runs here."""

from __future__ import annotations

import dataclasses

import pytest

from reid_edge import backends, errors

PASSED = {"fp16": True, "int8": True, "int8_fp16": True}
AVX2 = ("avx2",)
VNNI = ("avx2", "vnni")
AMX = ("avx2", "vnni", "amx")


def with_graphs(found, default, **gates):
    graphs = dict.fromkeys(("fp32", "fp16", "int8", "int8_fp16"), found.graphs["fp32"])
    return dataclasses.replace(found, graphs=graphs, default_precision=default, gates=gates)


@pytest.mark.parametrize("precision", ["int4", "", "FP32", None])
def test_an_unknown_precision_lists_the_known_ones(tiny_bundle, precision):
    with pytest.raises(errors.UnknownPrecisionError, match="give auto, fp32, fp16, int8"):
        backends.choose(tiny_bundle, precision=precision)


def test_fp16_on_a_cpu_is_refused_with_the_reason(tiny_bundle, started, cuda):
    cuda(False)
    with pytest.raises(errors.PrecisionUnavailableError, match=r"CPUs would .*precision='fp32'"):
        backends.choose(with_graphs(tiny_bundle, "fp32"), precision="fp16")
    assert started == []


@pytest.mark.parametrize(
    ("backend", "device", "precision", "graph"),
    [
        ("openvino", "cpu", "fp32", "fp32"),
        ("openvino", "cpu", "int8", "int8"),
        ("onnxruntime", "cpu", "int8", "int8"),
        ("onnxruntime", "cuda", "fp16", "fp16"),
        ("tensorrt", "cuda", "fp32", "fp32"),
        ("tensorrt", "cuda", "fp16", "fp16"),
        ("tensorrt", "cuda", "int8", "int8_fp16"),
        ("tensorrt_rtx", "cuda", "int8", "int8_fp16"),
        ("openvino", "cpu", "auto", "int8"),
        ("onnxruntime", "cpu", "auto", "fp32"),
        ("onnxruntime", "cuda", "auto", "fp16"),
        ("tensorrt", "cuda", "auto", "fp16"),
    ],
)
def test_each_place_takes_the_graph_that_suits_it(
    tiny_bundle, started, cuda, backend, device, precision, graph
):
    cuda(True)
    backends.choose(with_graphs(tiny_bundle, "auto", **PASSED), backend, precision, device)
    assert started == [(backend, graph, device)]


@pytest.mark.parametrize(
    ("gates", "cpu", "expected"),
    [
        ({"int8": True}, AMX, "int8"),
        ({"int8": True}, VNNI, "fp32"),
        ({"int8": True}, AVX2, "fp32"),
        ({"int8": False}, AMX, "fp32"),
        ({"int8_fp16": True}, AMX, "fp32"),
        ({}, AMX, "fp32"),
    ],
)
def test_auto_takes_only_what_passed_its_gate_and_what_the_processor_has(
    tiny_bundle, started, cuda, gates, cpu, expected
):
    """The graph has signs, as those of older exports."""
    cuda(False, cpu=cpu)
    backends.choose(with_graphs(tiny_bundle, "auto", **gates))
    assert started == [("openvino", expected, "cpu")]


def test_auto_follows_the_bundles_default(tiny_bundle, started, cuda):
    cuda(False)
    backends.choose(with_graphs(tiny_bundle, "fp32", **PASSED))
    assert started == [("openvino", "fp32", "cpu")]


@pytest.mark.parametrize(
    ("gates", "state"), [({"int8": False}, "failed"), ({}, "has not been put to")]
)
def test_what_did_not_pass_its_gate_runs_only_on_request(tiny_bundle, started, cuda, gates, state):
    cuda(False)
    found = with_graphs(tiny_bundle, "auto", **gates)
    with pytest.raises(errors.PrecisionUnavailableError, match=f"{state} the accuracy gate"):
        backends.choose(found, precision="int8")
    assert started == []
    backends.choose(found, precision="int8", allow_unverified=True)
    assert started == [("openvino", "int8", "cpu")]


def test_without_vnni_int8_needs_avx2_and_activations_without_a_sign(tiny_bundle, started, cuda):
    cuda(False, cpu=AVX2)
    found = with_graphs(tiny_bundle, "auto", **PASSED)
    unsigned = dataclasses.replace(found, activations={"int8": "uint8"})
    backends.choose(unsigned, "openvino", "int8", "cpu")
    backends.choose(unsigned, "openvino", "auto", "cpu")
    assert started == [("openvino", "int8", "cpu")] * 2
    # ONNX Runtime adds other products up in 16 bits.
    with pytest.raises(errors.PrecisionUnavailableError, match="backend='openvino' runs it here"):
        backends.choose(unsigned, "onnxruntime", "int8", "cpu")


def test_with_vnni_and_without_amx_signs_are_for_onnx_runtime(tiny_bundle, started, cuda):
    """OpenVINO gives wrong numbers there; ONNX Runtime gives the right ones."""
    cuda(False, cpu=VNNI)
    signed = dataclasses.replace(with_graphs(tiny_bundle, "auto", **PASSED), activations={})
    with pytest.raises(errors.PrecisionUnavailableError, match="backend='onnxruntime' runs it"):
        backends.choose(signed, "openvino", "int8", "cpu")
    backends.choose(signed, "openvino", "auto", "cpu")
    backends.choose(signed, "onnxruntime", "int8", "cpu")
    assert started == [("openvino", "fp32", "cpu"), ("onnxruntime", "int8", "cpu")]


@pytest.mark.parametrize(
    ("activations", "cpu", "remedy"),
    [
        ({}, AVX2, "export the bundle again"),
        ({"int8": "int8"}, AVX2, "export the bundle again"),
        ({"int8": "uint8"}, (), "Linux on x86 with AVX2"),
    ],
)
def test_int8_that_was_not_judged_for_a_cpu_is_refused_with_the_reason(
    tiny_bundle, started, cuda, activations, cpu, remedy
):
    cuda(False, cpu=cpu)
    graphs = with_graphs(tiny_bundle, "auto", **PASSED)
    found = dataclasses.replace(graphs, activations=activations)
    with pytest.raises(
        errors.PrecisionUnavailableError, match=f"not judged for openvino on this CPU: .*{remedy}"
    ):
        backends.choose(found, precision="int8")
    backends.choose(found, "openvino", "auto", "cpu")
    assert started.pop() == ("openvino", "fp32", "cpu")
    backends.choose(found, precision="int8", allow_unverified=True)
    assert started == [("openvino", "int8", "cpu")]


@pytest.mark.parametrize("cpu", [AMX, AVX2])
def test_a_graph_that_is_not_there_is_the_first_reason(tiny_bundle, started, cuda, cpu):
    cuda(False, cpu=cpu)
    with pytest.raises(errors.PrecisionUnavailableError, match="no int8 graph"):
        backends.choose(tiny_bundle, precision="int8")
    assert started == []


def test_int8_through_onnx_runtime_on_a_gpu_is_refused_with_the_reason(tiny_bundle, started, cuda):
    cuda(True)
    found = with_graphs(tiny_bundle, "auto", **PASSED)
    with pytest.raises(errors.PrecisionUnavailableError, match="use backend='tensorrt'"):
        backends.choose(found, "onnxruntime", "int8", "cuda")


def test_places_that_do_not_offer_the_precision_are_passed_over_in_silence(
    tiny_bundle, started, cuda
):
    cuda(True)
    backends.choose(with_graphs(tiny_bundle, "auto", **PASSED), precision="int8")
    assert started == [("openvino", "int8", "cpu")]


def test_where_a_gpu_fails_and_the_cpu_does_not_offer_it_the_gpus_error_comes_out(
    tiny_bundle, started, cuda
):
    cuda(True)
    started.broken = (("onnxruntime", "cuda"),)
    with pytest.raises(errors.BackendError, match="onnxruntime is broken"):
        backends.choose(with_graphs(tiny_bundle, "auto", **PASSED), precision="fp16")
