"""How graphs are judged, which pass, and which are not written at all."""

from __future__ import annotations

import copy
import warnings

import edge_files
import numpy as np
import pytest
from wishes import described, wish

from export import emulation, precisions, running
from export.convert import convert
from export.wish import Wish
from reid_edge import bundle
from reid_edge.errors import ConversionError, OptionError


@pytest.mark.parametrize("able", [True, False])
def test_int8_is_judged_with_bf16_around_it(
    weights, crops, tmp_path, monkeypatch, usual_execution, able
):
    """A processor that has both runs the graph, another its emulation; the entry says which."""
    seen, network = [], running.Network

    def watched(graph, inner=(), arithmetic="f32"):
        seen.append(arithmetic)
        return network(emulation.emulate(graph), inner, "f32")  # whatever this processor has

    monkeypatch.setattr(running, "execution", usual_execution)
    monkeypatch.setattr(running, "Network", watched)
    for name in ("has_fast_int8", "has_amx_int8", "has_bf16"):
        monkeypatch.setattr(running._processor, name, lambda: able)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of so few pictures, a hair decides
        convert(weights, tmp_path / "out", wish=wish(crops, precisions=("int8",)))
    gates = described(tmp_path / "out")["gates"]
    assert (gates["int8"]["arithmetic"], gates["int8"]["emulated"]) == ("bf16", not able)
    assert gates["int8_fp16"]["emulated"] is not able
    assert seen.count("bf16") == able
    assert bundle.load(tmp_path / "out").judged_in["int8"] == "bf16"


@pytest.mark.parametrize("fp16", [True, False])
@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize(("fast", "signed"), [(True, True), (True, False), (False, False)])
def test_a_processor_runs_what_it_has(monkeypatch, usual_execution, fast, signed, bf16, fp16):
    monkeypatch.setattr(running._processor, "has_fast_int8", lambda: fast)
    monkeypatch.setattr(running._processor, "has_amx_int8", lambda: signed)
    monkeypatch.setattr(running._processor, "has_bf16", lambda: bf16)
    monkeypatch.setattr(running, "half_precision", lambda: fp16)
    monkeypatch.setattr(emulation, "emulate", lambda graph, bf16=False: b"bf16" if bf16 else b"f32")
    half = "f16" if fp16 else "f32"

    def found(floats_are_half, int8, unsigned=None):
        unsigned = not floats_are_half if unsigned is None else unsigned
        how = usual_execution(b"own", floats_are_half, int8, unsigned)
        return how.graph, how.hint, how.arithmetic, how.emulated

    assert found(False, False) == (b"own", "f32", "f32", False)  # nothing but kept layers
    assert found(True, False) == (b"own", half, half, False)
    assert found(True, True) == (b"own" if signed else b"f32", half, half, not signed)
    able = fast and bf16
    assert found(False, True) == (
        (b"own", "bf16", "bf16", False) if able else (b"bf16", "f32", "bf16", True)
    )
    able = signed and bf16
    assert found(False, True, unsigned=False) == (
        (b"own", "bf16", "bf16", False) if able else (b"bf16", "f32", "bf16", True)
    )


@pytest.mark.parametrize("half", [True, False])
def test_fp16_looks_at_ranges(weights, crops, tmp_path, monkeypatch, half):
    monkeypatch.setattr(running, "half_precision", lambda: half)
    fp16_only = Wish(precisions=("fp16",), gate=f"folder:{crops}")
    convert(weights, tmp_path / "out", wish=fp16_only)
    gate = described(tmp_path / "out")["gates"]["fp16"]
    assert (gate["passed"], gate["arithmetic"]) == (True, "f16" if half else "f32")
    assert 0 < gate["largest_activation"] < 32752


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(("furthest", "passed"), [(32000.0, True), (33000.0, False)])
def test_fp16_needs_room_below_its_end(
    weights, crops, tmp_path, monkeypatch, half, furthest, passed
):
    """Whatever this processor computes in: an engine may add up in another order."""
    monkeypatch.setattr(running, "half_precision", lambda: half)
    looked_at = []

    def reaching(graph, batches):
        looked_at.extend(len(batch) for batch in batches)
        return furthest

    monkeypatch.setattr(precisions.ranges, "reaching_furthest", reaching)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        convert(weights, tmp_path / "out", wish=Wish(("fp16",), gate=f"folder:{crops}"))
    assert dict(bundle.load(tmp_path / "out").gates) == {"fp16": passed}
    assert sum(looked_at) == 64


@pytest.mark.parametrize("emulated", [True, False])
def test_fp16_overflow_fails_the_gate(state, crops, tmp_path, monkeypatch, emulated):
    if emulated:
        monkeypatch.setattr(running, "half_precision", lambda: False)
    state = copy.deepcopy(state)
    # Up by 2^14 and down again: nothing that FP32 minds.
    state["stages.0.1.weight"] *= 2.0**14
    state["stages.0.1.bias"] *= 2.0**14
    for name in ("stages.2.layers.0.0", "stages.2.layers.1.0", "stages.3"):
        state[f"{name}.0.weight"][:, :8] /= 2.0**14
    edge_files.save(tmp_path / "loud.safetensors", state)
    fp16_only = Wish(precisions=("fp16",), gate=f"folder:{crops}")
    with pytest.warns(RuntimeWarning, match=r"FP16 ends at 65504"):
        convert(tmp_path / "loud.safetensors", tmp_path / "out", wish=fp16_only)
    loaded = bundle.load(tmp_path / "out")
    assert dict(loaded.gates) == {"fp16": False}
    loaded.graph("fp16").read()


def test_weights_beyond_fp16(crops, tmp_path):
    state = edge_files.random_state(np.float32)
    state["stages.0.1.bias"] += 1e6
    edge_files.save(tmp_path / "x.safetensors", state)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(tmp_path / "x.safetensors", tmp_path / "out", wish=wish(crops))
        convert(tmp_path / "x.safetensors", tmp_path / "2", wish=Wish(("fp16",)))
    messages = [str(each.message) for each in caught if "left out" in str(each.message)]
    assert [message.split()[0] for message in messages] == ["fp16", "int8_fp16", "fp16"]
    assert all(message.endswith("/bias holds values beyond float16") for message in messages)
    assert list(bundle.load(tmp_path / "out").graphs) == ["fp32", "int8"]
    assert list(bundle.load(tmp_path / "2").graphs) == ["fp32"]


def test_weights_beyond_fp32(tmp_path):
    state = edge_files.random_state(np.float32)
    state["stages.0.1.running_var"][:] = 0
    state["stages.0.1.weight"][:] = 3e38
    edge_files.save(tmp_path / "x.safetensors", state)
    with pytest.raises(ConversionError, match=r"beyond float32: the training diverged"):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


def test_a_graph_that_fails_is_written_and_marked(weights, crops, tmp_path):
    with pytest.warns(RuntimeWarning, match="marked unusable") as caught:
        convert(weights, tmp_path / "out", wish=wish(crops, method="percentile-50"))
    assert {str(each.message).split()[0] for each in caught} == {"int8", "int8_fp16"}
    loaded = bundle.load(tmp_path / "out")
    assert dict(loaded.gates) == {"fp16": True, "int8": False, "int8_fp16": False}
    loaded.graph("int8").read()
    assert described(tmp_path / "out")["gates"]["int8"]["flips"] > 0.01


def test_fp16_needs_no_pictures(weights, tmp_path):
    with pytest.warns(RuntimeWarning, match="fp16: written, but not verified"):
        convert(weights, tmp_path / "out", wish=Wish(("fp16",)))
    loaded = bundle.load(tmp_path / "out")
    assert list(loaded.graphs) == ["fp32", "fp16"]
    assert dict(loaded.gates) == {}


def test_wrong_metadata_are_found_before_the_work(crops, tmp_path, monkeypatch):
    monkeypatch.setattr(precisions, "make", lambda *_: pytest.fail("should not get here"))
    described = edge_files.metadata()
    described["bundle"]["thresholds"] = {"far": {"score": 2}}
    edge_files.save(tmp_path / "x.safetensors", described=described)
    with pytest.raises(ConversionError, match="thresholds"):
        convert(tmp_path / "x.safetensors", tmp_path / "out", wish=wish(crops))


def test_unknown_convolution(weights, crops, tmp_path):
    with pytest.raises(
        OptionError, match=r"int8 has no convolution 'nose'; it has block1/layer1/conv1, "
    ):
        convert(weights, tmp_path / "out", wish=wish(crops, keep=("nose",)))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_diverged_model(crops, tmp_path, precision):
    state = edge_files.random_state(np.float32)
    for name in state:
        if name.endswith("0.weight"):
            state[name] *= 1e4  # FP16 can hold that, but no float what 13 layers make of it
    edge_files.save(tmp_path / "x.safetensors", state)
    asked = wish(crops, precisions=(precision,), gate=str(crops))
    with pytest.raises(ConversionError, match="NaN or infinity"):
        convert(tmp_path / "x.safetensors", tmp_path / "out", wish=asked)
    assert not (tmp_path / "out").exists()
