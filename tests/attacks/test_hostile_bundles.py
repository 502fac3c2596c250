"""Bundles made to harm: what is refused, and that nothing else is read or run."""

from __future__ import annotations

import hashlib
import json
import os

import _tiny
import numpy as np
import onnx
import pytest

from reid_edge import ReId, bundle, errors
from reid_edge._onnx_wire import has_external_data


def describe(folder, change):
    """Rewrite a bundle's description."""
    described = json.loads((folder / "bundle.json").read_text())
    change(described)
    (folder / "bundle.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "../secret.onnx",
        "/etc/secret.onnx",
        "a/../../secret.onnx",
        "..\\secret.onnx",
        "C:secret.onnx",
        "C:\\secret.onnx",
        "//host/share/secret.onnx",
        "..",
        ".onnx",
        "fp32.onnx\0.txt",
        "fp32.onnx\n",
        "fp32\0.onnx",
        "~.onnx/..",
        "a\ud800.onnx",
        "fp32.py",
        "x" * 300 + ".onnx",
    ],
)
def test_a_graph_outside_the_folder_is_refused_by_its_name_alone(tmp_path, name):
    folder = _tiny.write(tmp_path / "tiny")
    (tmp_path / "secret.onnx").write_bytes((folder / "fp32.onnx").read_bytes())
    describe(folder, lambda described: described["graphs"]["fp32"].update(file=name))
    with pytest.raises(errors.BundleSchemaError, match="is not a plain"):
        bundle.load(folder)


def test_a_link_to_another_file_does_not_get_past_the_hash(tmp_path):
    folder = _tiny.write(tmp_path / "tiny")
    size = (folder / "fp32.onnx").stat().st_size
    (tmp_path / "secret").write_bytes(b"s" * size)
    (folder / "fp32.onnx").unlink()
    (folder / "fp32.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(errors.BundleIntegrityError, match="SHA-256 differs"):
        ReId(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize(
    ("name", "error"),
    [("bundle.json", errors.BundleSchemaError), ("fp32.onnx", errors.BundleIntegrityError)],
)
def test_a_named_pipe_does_not_hang(tmp_path, name, error):
    folder = _tiny.write(tmp_path / "tiny")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(error, match="not a regular file"):
        ReId(folder)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero here")
@pytest.mark.parametrize(
    ("name", "error"),
    [("bundle.json", errors.BundleSchemaError), ("fp32.onnx", errors.BundleIntegrityError)],
)
def test_a_device_is_not_read(tmp_path, name, error):
    folder = _tiny.write(tmp_path / "tiny")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(error, match="not a regular file"):
        ReId(folder)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"schema": ' + "9" * 100_000 + "}",
        '{"schema": -' + "9" * 4000 + "}",
        '{"schema": 1e999}',
        '{"schema": NaN}',
        '{"schema": 1, "graphs": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
    ids=["lists", "objects", "digits", "negative", "infinite", "nan", "nested"],
)
def test_json_made_to_exhaust_is_a_schema_error(tmp_path, content):
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(errors.BundleSchemaError) as raised:
        bundle.load(tmp_path)
    assert len(str(raised.value)) < 600


def test_a_description_over_a_mebibyte_is_refused_though_it_is_valid(tmp_path):
    folder = _tiny.write(tmp_path / "tiny")
    path = folder / "bundle.json"
    path.write_text(path.read_text().ljust(1 << 20))
    bundle.load(folder)
    path.write_text(path.read_text() + " ")
    with pytest.raises(errors.BundleSchemaError, match="larger than 1,048,576 bytes"):
        bundle.load(folder)


@pytest.mark.parametrize("number", ["1e39", "-1e39", "1e400", "9" * 4000, "NaN", "true", '"1"'])
@pytest.mark.parametrize("field", ["scale", "bias"])
def test_numbers_that_float32_cannot_hold_are_a_schema_error(tmp_path, field, number):
    folder = _tiny.write(tmp_path / "tiny")
    path = folder / "bundle.json"
    head = {**_tiny.COSINE, field: "HERE"}
    describe(folder, lambda described: described.update(head=head))
    path.write_text(path.read_text().replace('"HERE"', number))
    with pytest.raises(errors.BundleSchemaError, match=f"head: {field}"):
        bundle.load(folder)


def test_the_largest_numbers_that_pass_still_score_within_zero_and_one(tmp_path):
    folder = _tiny.write(tmp_path / "tiny", head={"type": "cosine", "scale": 1e30, "bias": -1e30})
    with ReId(folder, backend="openvino") as model:
        scores = model.predict(_tiny.picture(0), [_tiny.picture(seed) for seed in range(4)])
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_bytes_that_run_are_the_bytes_that_were_checked(tmp_path, monkeypatch):
    folder = _tiny.write(tmp_path / "tiny")
    with ReId(folder, backend="openvino") as model:
        expected = model.predict(_tiny.picture(0), _tiny.picture(1))
    other = _tiny.model()
    other.graph.initializer[2].raw_data = b"\0" * len(other.graph.initializer[2].raw_data)
    digest = hashlib.sha256

    def swapped(content):  # the file changes as soon as it was read
        (folder / "fp32.onnx").write_bytes(other.SerializeToString())
        return digest(content)

    monkeypatch.setattr(bundle.hashlib, "sha256", swapped)
    for backend in ("openvino", "onnxruntime"):
        if backend == "onnxruntime":
            pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        (folder / "fp32.onnx").write_bytes(_tiny.model().SerializeToString())
        with ReId(folder, backend=backend, device="cpu") as model:
            found = model.predict(_tiny.picture(0), _tiny.picture(1))
        assert (folder / "fp32.onnx").read_bytes() == other.SerializeToString()
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("location", ["/etc/passwd", "../../secret", "weights.bin"])
def test_a_graph_with_tensors_in_other_files_is_refused_with_the_fix(tmp_path, location):
    model = _tiny.model()
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "weights.bin").write_bytes(bytes(1 << 16))
    tensor = model.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    folder = _tiny.write(tmp_path / "tiny", model)
    for backend in ("auto", "openvino"):
        with pytest.raises(errors.BundleGraphError, match=r"in other files.*save .* as one file"):
            ReId(folder, backend=backend)


@pytest.mark.parametrize(
    "content",
    [
        b"\x18\0\0\0ORTM" + bytes(1000),
        b"<?xml version='1.0'?><net name='x' version='11'><layers/></net>",
        b"\x80\x04\x95\x00cposix\nsystem\n(S'true'\ntR.",
        b"PK\x03\x04" + bytes(100),
        bytes(100),
    ],
    ids=["ort", "openvino", "pickle", "zip", "zeros"],
)
def test_files_of_other_formats_reach_no_engine(tmp_path, monkeypatch, content):
    import openvino

    monkeypatch.setattr(
        openvino.Core, "read_model", lambda *_: pytest.fail("the engine was reached")
    )
    with pytest.raises(errors.BundleGraphError, match="is no ONNX model, or a damaged one"):
        ReId(_tiny.write(tmp_path / "bad", content), backend="openvino")


def test_random_damage_to_a_description_is_an_error_of_ours_or_harmless(tmp_path):
    rng = np.random.default_rng(0)
    folder = _tiny.write(tmp_path / "tiny")
    good = (folder / "bundle.json").read_bytes()
    outcomes = set()
    for _ in range(600):
        content = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(content)))
            if rng.random() < 0.3:
                del content[place : place + int(rng.integers(1, 30))]
            else:
                content[place] = rng.integers(256)
        (folder / "bundle.json").write_bytes(content)
        try:
            bundle.load(folder).graph("fp32").read()
            outcomes.add("loaded")
        except errors.BundleError as error:
            outcomes.add(type(error))
    assert {errors.BundleSchemaError, errors.BundleIntegrityError, "loaded"} <= outcomes


def replaced(value, rng):
    """The same JSON with one value somewhere inside replaced."""
    hostile = [None, True, -1, 0, 1e308, "", "x", [], {}, [[]], "9" * 50, 2**70]
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[int(rng.integers(len(keys)))]
        value[key] = replaced(value[key], rng)
        return value
    return hostile[int(rng.integers(len(hostile)))]


@pytest.mark.parametrize("make", [_tiny.write, _tiny.write_concat])
def test_any_value_in_any_place_of_a_description_is_an_error_of_ours_or_harmless(tmp_path, make):
    rng = np.random.default_rng(0)
    folder = make(tmp_path / "tiny")
    good = (folder / "bundle.json").read_text()
    failed = 0
    for _ in range(400):
        (folder / "bundle.json").write_text(json.dumps(replaced(json.loads(good), rng)))
        try:
            bundle.load(folder)
        except errors.BundleSchemaError:
            failed += 1
    assert failed > 200


def test_random_damage_to_a_graph_never_gets_past_the_wire_walker_but_as_an_answer():
    rng = np.random.default_rng(0)
    good = _tiny.model().SerializeToString()
    outcomes = set()
    for _ in range(1500):
        content = bytearray(good[: int(rng.integers(1, len(good) + 1))])
        for _ in range(rng.integers(1, 9)):
            content[int(rng.integers(min(len(content), 800)))] = rng.integers(256)
        try:
            outcomes.add(has_external_data(bytes(content)))
        except errors.BundleGraphError:
            outcomes.add("refused")
    assert {False, "refused"} <= outcomes


def test_random_bytes_never_get_past_the_wire_walker_but_as_an_answer():
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(3000):
        content = rng.bytes(int(rng.integers(0, 60)))
        for start in (b"", b"\x08\x09", b"\x08\x09\x3a" + bytes([len(content)])):
            try:
                outcomes.add(has_external_data(start + content))
            except errors.BundleGraphError:
                outcomes.add("refused")
    assert {False, "refused"} <= outcomes


def test_damaged_graphs_with_the_right_hash_are_errors_of_ours_or_run(tmp_path):
    rng = np.random.default_rng(0)
    good = _tiny.model().SerializeToString()
    head = good.index(b"gemm")  # the weights' numbers are of no interest
    outcomes = set()
    for turn in range(60):
        content = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            content[int(rng.integers(head))] = rng.integers(32, 127)
        folder = _tiny.write(tmp_path / f"{turn}", bytes(content))
        try:
            with ReId(folder, backend="openvino") as model:
                model.predict(_tiny.picture(0), _tiny.picture(1))
            outcomes.add("ran")
        except errors.ReidEdgeError as error:
            outcomes.add(type(error))
    assert errors.BundleGraphError in outcomes
