"""A model in all four graphs: what is in them, what they answer, and their gates."""

from __future__ import annotations

import copy
import json
import warnings

import crop_files
import edge_files
import numpy as np
import onnx
import openvino
import pytest

from export import graph_checks, pictures, precisions, running
from export.convert import convert
from export.precisions import Wish
from reid_edge import bundle
from reid_edge.errors import (
    ConversionError,
    DatasetError,
    ImageFileError,
    OptionError,
)

GRAPHS = ["fp32", "fp16", "int8", "int8_fp16"]


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return crop_files.write(tmp_path_factory.mktemp("pictures") / "crops", people=8, pictures=4)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "edge.safetensors"
    edge_files.save(path, state)
    return path


def wish(crops, **changes):
    return Wish(
        **{
            "precisions": ("fp16", "int8"),
            "calibration": f"folder:{crops}",
            "calibration_size": 16,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def folder(weights, crops, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "edge"
    convert(weights, out, wish=wish(crops))
    return out


def described(folder):
    return json.loads((folder / "bundle.json").read_text())


def answers(folder, name, batch):
    return running.embed({"": ((folder / f"{name}.onnx").read_bytes(), "f32")}, [batch])[""]


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), np.uint8)


def test_bundle_has_all_graphs_and_gates(folder):
    loaded = bundle.load(folder)
    assert list(loaded.graphs) == GRAPHS
    for graph in loaded.graphs.values():
        graph.read()
    assert dict(loaded.gates) == {"fp16": True, "int8": True, "int8_fp16": True}
    assert loaded.default_precision == "auto"
    gate = described(folder)["gates"]["int8"]
    assert gate["data"] == "folder:crops (labelled)"
    assert gate["pictures"] == 48  # 64 without the 16 that it was calibrated on
    assert gate["arithmetic"] == "f32"
    assert gate["map_ratio"] >= 0.99
    assert gate["flips"] <= 0.01
    assert 0.99 <= gate["cosine_mean"] < 1


def test_fp32_is_the_same_alone(weights, folder, tmp_path):
    convert(weights, tmp_path / "alone")
    alone = (tmp_path / "alone" / "fp32.onnx").read_bytes()
    assert alone == (folder / "fp32.onnx").read_bytes()


def test_same_input_same_bytes(weights, crops, folder, tmp_path):
    convert(weights, tmp_path / "again", wish=wish(crops))
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("name", GRAPHS[1:])
def test_answers_are_close(folder, batch, name):
    expected, found = answers(folder, "fp32", batch), answers(folder, name, batch)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    cosines = (expected * found).sum(axis=1)
    assert (cosines > (0.9999 if name == "fp16" else 0.99)).all()
    assert not np.array_equal(expected, found)


def test_onnx_runtime_agrees_on_int8(folder, batch):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        str(folder / "int8.onnx"), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"images": batch})[0]
    assert ((found * answers(folder, "int8", batch)).sum(axis=1) > 0.999).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_promises(folder, name):
    content = (folder / f"{name}.onnx").read_bytes()
    convolutions = [
        node.name for node in onnx.load_from_string(content).graph.node if node.op_type == "Conv"
    ]
    quantised = set(convolutions[1:]) if "int8" in name else set()
    graph_checks.check(content, "fp16" in name, quantised)


def test_int8_graphs_hold_the_same_integers(folder):
    def integers(name):
        tensors = onnx.load(str(folder / f"{name}.onnx")).graph.initializer
        return {
            each.name: onnx.numpy_helper.to_array(each).astype(np.float64).tobytes()
            for each in tensors
            if each.name.endswith(("/weight/int8", "/weight/scale"))
        }

    first, second = integers("int8"), integers("int8_fp16")
    assert "block1/layer1/conv1/weight/int8" in first
    assert first == second


def test_concatenations_join_int8(folder):
    """On the CPU's graph, all parts of a dense block share a scale and are rounded once."""
    model = onnx.load(str(folder / "int8.onnx"))
    nodes = {node.name: node for node in model.graph.node}
    assert nodes["block1/layer2/conv1"].input[0] == "block1/layer1/concat"
    assert list(nodes["block1/layer1/concat"].input) == [
        "stem/pool/rounded",
        "block1/layer1/conv2/relu/rounded",
    ]
    # The last layer's part goes to the mean only.
    assert nodes["block3/layer2/concat"].input[1] == "block3/layer2/conv2/relu"
    scales = {
        each.name: float(onnx.numpy_helper.to_array(each))
        for each in model.graph.initializer
        if each.name.startswith("block2") and each.name.endswith("rounded/scale")
    }
    (alone,) = scales
    block = f"{alone.split('/rounded')[0]}/rounded/scale", "transition1/pool/rounded/scale"
    values = {
        float(onnx.numpy_helper.to_array(each))
        for each in model.graph.initializer
        if each.name in block
    }
    assert len(values) == 1
    # TensorRT's graph rounds in front of each convolution.
    nodes = {node.name: node for node in onnx.load(str(folder / "int8_fp16.onnx")).graph.node}
    assert nodes["block1/layer2/conv1"].input[0] == "block1/layer2/conv1/input"


def test_openvino_runs_convolutions_in_int8(folder):
    core = openvino.Core()
    if "INT8" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no INT8 dot product")
    compiled = core.compile_model(
        str(folder / "int8.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    ran = [
        str(layer.get_rt_info()["runtimePrecision"].astype(str))
        for layer in compiled.get_runtime_model().get_ops()
        if layer.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert len(ran) == 13
    assert sum(each in ("i8", "u8") for each in ran) == 12


def test_kept_convolutions_stay_floats(weights, crops, tmp_path):
    kept = ("transition1/conv", "block1/layer1/conv2")
    convert(weights, tmp_path / "out", wish=wish(crops, precisions=("int8",), keep=kept))
    nodes = onnx.load(str(tmp_path / "out" / "int8.onnx")).graph.node
    inputs = {node.name: node.input[0] for node in nodes if node.op_type == "Conv"}
    kernels = {node.name: node.input[1] for node in nodes if node.op_type == "Conv"}
    made = {node.output[0]: node.op_type for node in nodes}
    floats = {name for name, kernel in kernels.items() if made[kernel] != "DequantizeLinear"}
    assert floats == {"stem/conv", *kept}
    # A block with a kept convolution is not joined as INT8: that one takes floats.
    assert inputs["block1/layer2/conv1"] == "block1/layer2/conv1/input"
    assert inputs["block3/layer2/conv1"] == "block3/layer1/concat"


def test_unlabelled_pictures(weights, crops, tmp_path):
    convert(weights, tmp_path / "out", wish=wish(crops, calibration=str(crops)))
    gate = described(tmp_path / "out")["gates"]["int8"]
    # 48 pictures would be too few: those calibrated on help out, and it is said.
    assert gate["data"] == "crops (unlabelled, 16 of them calibrated on)"
    assert gate["pictures"] == 64
    assert "rank_correlation" in gate
    assert "map_ratio" not in gate


@pytest.mark.filterwarnings("ignore:int8")  # so few pictures are a hard gate
@pytest.mark.parametrize("few", ["one person", "few queries", "one camera"])
def test_labelled_pictures_that_are_too_few(weights, crops, tmp_path, monkeypatch, few):
    """Said before the calibration if they are --gate's; else they are judged on without labels."""
    some = tmp_path / "some"
    if few == "one person":
        crop_files.write(some, people=1, pictures=10)
    elif few == "few queries":
        crop_files.write(some, people=7, pictures=2)
    else:
        crop_files.write(some, people=10, pictures=2)
        for path in some.glob("*_c2s1_*"):
            path.unlink()
    convert(weights, tmp_path / "out", wish=wish(some, calibration_size=4))
    assert described(tmp_path / "out")["gates"]["int8"]["data"].startswith("folder:some (unlab")
    monkeypatch.setattr(precisions, "_scales", lambda *_: pytest.fail("should not get here"))
    with pytest.raises(DatasetError, match=r"^--gate folder:some: "):
        convert(weights, tmp_path / "2", wish=wish(crops, gate=f"folder:{some}"))


def test_overlap_is_seen_through_links(weights, crops, tmp_path):
    (tmp_path / "link").symlink_to(crops)
    convert(weights, tmp_path / "out", wish=wish(crops, gate=f"folder:{tmp_path / 'link'}"))
    gate = described(tmp_path / "out")["gates"]["int8"]
    assert gate["data"] == "folder:crops (labelled, 16 of them calibrated on)"


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


def test_few_pictures_warn(weights, crops, tmp_path):
    with pytest.warns(RuntimeWarning, match="calibrating on 64 pictures, as folder:crops has no"):
        convert(weights, tmp_path / "out", wish=wish(crops, calibration_size=512))
    gate = described(tmp_path / "out")["gates"]["int8"]
    assert gate["data"] == "folder:crops (unlabelled, 64 of them calibrated on)"


def test_hardly_any_pictures_leave_it_unverified(weights, tmp_path):
    few = crop_files.write(tmp_path / "few", people=1, pictures=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(weights, tmp_path / "out", wish=wish(few, calibration=str(few)))
    messages = " ".join(str(each.message) for each in caught)
    assert "calibrating on 4 pictures" in messages
    assert "not verified" in messages
    assert described(tmp_path / "out")["gates"] == {}
    assert bundle.load(tmp_path / "out").default_precision == "fp32"


def test_fp16_needs_no_pictures(weights, tmp_path):
    with pytest.warns(RuntimeWarning, match="fp16: written, but not verified"):
        convert(weights, tmp_path / "out", wish=Wish(("fp16",)))
    loaded = bundle.load(tmp_path / "out")
    assert list(loaded.graphs) == ["fp32", "fp16"]
    assert dict(loaded.gates) == {}


def test_wrong_gate_data(weights, crops, tmp_path):
    one_camera = tmp_path / "one"
    one_camera.mkdir()
    for path in crops.glob("*_c1s1_*"):
        (one_camera / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="two cameras"):
        convert(weights, tmp_path / "out", wish=wish(crops, gate=f"folder:{one_camera}"))
    (one_camera / "0001_c1s1_000000_00.png").write_bytes(b"damaged")
    with pytest.raises(ImageFileError, match="0001_c1s1_000000_00"):
        convert(weights, tmp_path / "out", wish=wish(crops, gate=str(one_camera)))
    assert not (tmp_path / "out").exists()


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
