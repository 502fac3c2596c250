from __future__ import annotations

import dataclasses

import openvino
import pytest

from reid_edge import bundle, errors
from reid_edge.backends import _processor
from reid_edge.backends.openvino import OpenVinoBackend, is_right_with_signs


@pytest.fixture
def core(monkeypatch):
    """Replace a method of OpenVINO's Core: (its name, what it does)."""

    def replace(name, action):
        class Broken(openvino.Core):
            pass

        setattr(Broken, name, action)
        monkeypatch.setattr(openvino, "Core", Broken)

    return replace


def raises(self, *arguments, **options):
    raise RuntimeError("Exception from somewhere.cpp:12:\nno such thing\n\n")


@pytest.mark.parametrize(
    ("method", "error", "advice"),
    [
        ("__init__", errors.BackendError, r"\(no such thing\); .*use backend='onnxruntime'"),
        ("get_property", errors.BackendError, r"\(no such thing\); .*use backend='onnxruntime'"),
        ("read_model", errors.BundleGraphError, r"\(no such thing\); export the bundle again"),
        ("compile_model", errors.BackendError, r"\(no such thing\); .*use backend='onnxruntime'"),
    ],
)
def test_a_failure_of_the_engine_is_told_in_one_line_with_the_fix(
    core, tiny_folder, method, error, advice
):
    core(method, raises)
    with pytest.raises(error, match=advice) as raised:
        OpenVinoBackend(bundle.load(tiny_folder), "fp32")
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("amx", [True, False])
def test_it_is_trusted_with_signs_on_amx_alone(monkeypatch, amx):
    monkeypatch.setattr(_processor, "has_fast_int8", lambda: True)
    monkeypatch.setattr(_processor, "has_amx_int8", lambda: amx)
    assert is_right_with_signs() is amx


def test_it_computes_in_float32_even_where_the_processor_has_shorter_floats(core, tiny_folder):
    seen, compile_model = [], openvino.Core.compile_model

    def watched(self, model, device, config):
        seen.append((device, config))
        return compile_model(self, model, device, config)

    core("compile_model", watched)
    backend = OpenVinoBackend(bundle.load(tiny_folder), "fp32")
    ((device, config),) = seen
    assert device == "CPU"
    assert config["INFERENCE_PRECISION_HINT"] == "f32"
    assert backend.precision == "fp32"


@pytest.mark.parametrize(
    ("graph", "judged_in", "bf16", "arithmetic"),
    [
        ("int8", "bf16", True, "bf16"),
        ("int8", None, True, "bf16"),  # never judged: runs only where that is accepted
        ("int8", "f32", True, "f32"),
        ("int8", "bf16", False, "f32"),
        ("fp32", "bf16", True, "f32"),
    ],
)
def test_around_int8_it_computes_in_bf16_where_that_was_judged(
    core, tiny_folder, monkeypatch, graph, judged_in, bf16, arithmetic
):
    seen, compile_model = [], openvino.Core.compile_model

    def watched(self, model, device, config):
        seen.append(config["INFERENCE_PRECISION_HINT"])
        return compile_model(self, model, device, {**config, "INFERENCE_PRECISION_HINT": "f32"})

    core("compile_model", watched)
    monkeypatch.setattr(_processor, "has_bf16", lambda: bf16)
    judged = {graph: judged_in} if judged_in else {}
    tiny = bundle.load(tiny_folder)
    graphs = {graph: tiny.graphs["fp32"]}
    OpenVinoBackend(dataclasses.replace(tiny, graphs=graphs, judged_in=judged), graph)
    assert seen == [arithmetic]


def test_the_precision_is_read_back_and_not_assumed(core, tiny_folder):
    compile_model = openvino.Core.compile_model

    def shorter(self, model, device, config):
        return compile_model(self, model, device, {**config, "INFERENCE_PRECISION_HINT": "bf16"})

    core("compile_model", shorter)
    backend = OpenVinoBackend(bundle.load(tiny_folder), "fp32")
    arithmetic = backend._request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
    assert backend.precision == {"f32": "fp32", "bf16": "bf16"}[arithmetic.to_string()]
