"""Keras files that are damaged, hostile, or of another network."""

from __future__ import annotations

import contextlib
import json
import sys

import h5py
import legacy_files
import numpy as np
import pytest

from export import sources
from export.convert import convert
from reid_edge.errors import (
    ArchitectureMismatchError,
    ConversionError,
    MissingDependencyError,
    UnsafeModelFileError,
)

LAST = "model_weights/sequential_1/conv5_block16_2_conv/kernel:0"
BIAS = "model_weights/hidden/hidden/bias:0"


def refused(path, tmp_path, error, said):
    with pytest.raises(error, match=said) as caught:
        convert(path, tmp_path / "out")
    assert type(caught.value) is error
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def replace(file, name, *arguments, **settings):
    del file[name]
    return file.create_dataset(name, *arguments, **settings)


# --- the weights of another network ---------------------------------------------------------


def missing(file):
    del file["model_weights/sequential_1/conv3_block2_1_bn/beta:0"]


def misshapen(file):
    replace(file, LAST, data=np.zeros((3, 3, 128, 48), np.float32))


def superfluous(file):
    file["model_weights/sequential_1/relu_bn/gamma:0"] = np.zeros(4, np.float32)


def other_head(file):
    replace(file, "model_weights/out/out/kernel:0", data=np.zeros((32, 2), np.float32))


def one_more_layer(file):
    file["model_weights/dense_3/dense_3/bias:0"] = np.zeros(4, np.float32)


def no_layer_at_all(file):
    for name in file["model_weights"]:
        del file["model_weights"][name]


def twice(file):
    file["model_weights/sequential_1/bn_1/gamma:0"] = np.zeros(1024, np.float32)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (missing, "conv3_block2_1_bn/beta 128 is missing"),
        (misshapen, "conv5_block16_2_conv/kernel is 3x3x128x48, expected 3x3x128x32"),
        (superfluous, "relu_bn/gamma 4 is superfluous"),
        (other_head, "out/kernel is 32x2, expected 32x1"),
        (one_more_layer, "expected 3 layers with weights .* found 4"),
        (no_layer_at_all, r"found 0 \(none\)"),
        (twice, "holds bn/gamma twice"),
    ],
)
def test_weights_of_another_network(keras_copy, tmp_path, damage, said):
    with h5py.File(keras_copy, "r+") as file:
        damage(file)
    refused(keras_copy, tmp_path, ArchitectureMismatchError, said)


# --- files that are damaged or reach out of themselves -----------------------------------------


def nan(file):
    file[LAST][0, 0, 0, 0] = np.nan


def infinite(file):
    file[BIAS][3] = np.inf


def negative_variance(file):
    file["model_weights/sequential_1/bn/moving_variance:0"][5] = -1


def external_link(file):
    del file[BIAS]
    file[BIAS] = h5py.ExternalLink("/etc/passwd", "/x")


def external_group(file):
    del file["model_weights"]
    file["model_weights"] = h5py.ExternalLink("other.h5", "/model_weights")


def soft_link(file):
    del file[BIAS]
    file[BIAS] = h5py.SoftLink("/model_weights/out/out/kernel:0")


def soft_group(file):
    del file["model_weights/sequential_1/bn"]
    file["model_weights/sequential_1/bn"] = h5py.SoftLink("/model_weights")


def loop(file):
    file["model_weights/sequential_1/bn/again"] = file["model_weights/sequential_1/bn"]


def external_storage(file):
    replace(file, BIAS, (32,), np.float32, external=[("/etc/passwd", 0, 128)])


def virtual(file):
    layout = h5py.VirtualLayout((32,), np.float32)
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (32,))
    del file[BIAS]
    file.create_virtual_dataset(BIAS, layout)


def references(file):
    replace(file, BIAS, (32,), h5py.ref_dtype)


def strings(file):
    replace(file, BIAS, data=np.array([b"x"] * 32, "S8"))


def objects(file):
    replace(file, BIAS, (32,), h5py.string_dtype())


def doubles(file):
    replace(file, BIAS, data=np.zeros(32, np.float64))


def absurd_shape(file):
    replace(file, LAST, (1 << 20, 1 << 20, 1 << 10), np.float32)


def absurd_chunks(file):
    replace(file, LAST, (1 << 40,), np.float32, chunks=(1 << 20,))


def bomb(file):
    replace(file, BIAS, data=np.zeros(1 << 22, np.float32), compression="gzip")


def empty(file):
    replace(file, BIAS, data=h5py.Empty("f"))


def same_array_many_times(file):
    for index in range(5000):
        file[f"model_weights/sequential_1/{index}"] = file[LAST]


def many_groups(file):
    group = file["model_weights/sequential_1"]
    for index in range(10_000):
        group.create_group(f"g{index}")


def named_type(file):
    file["model_weights/sequential_1/type"] = np.dtype("f4")


def long_name(file):
    file["model_weights/sequential_1"].create_group("x" * 1000)


def array_for_a_group(file):
    replace(file, "model_weights", data=np.zeros(3))


def theano(file):
    file["model_weights"].attrs["backend"] = b"theano"


def numeric_backend(file):
    file["model_weights"].attrs["backend"] = 7


def no_description(file):
    del file.attrs["model_config"]


def broken_description(file):
    file.attrs["model_config"] = file.attrs["model_config"][:-5]


def deep_description(file):
    file.attrs["model_config"] = "[" * 100_000 + "]" * 100_000


def huge_description(file):
    file.attrs["model_config"] = "[" + "0," * 3_000_000 + "0]"


def list_of_descriptions(file):
    file.attrs["model_config"] = np.array([b"{}", b"{}"])


def binary_description(file):
    file.attrs["model_config"] = b"\xff\xfe{"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (nan, "conv5_block16_2_conv/kernel holds NaN or infinite"),
        (infinite, "hidden/bias holds NaN or infinite"),
        (negative_variance, "bn/moving_variance holds negative values"),
        (external_link, "bias:0 is a link to another place"),
        (external_group, "model_weights is a link to another place"),
        (soft_link, "bias:0 is a link to another place"),
        (soft_group, "bn is a link to another place"),
        (loop, "nested more than 8 deep"),
        (external_storage, "lies in another file"),
        (virtual, "lies in another file"),
        (references, "expected float32"),
        (strings, "expected float32"),
        (objects, "expected float32"),
        (doubles, "has the type float64, expected float32"),
        (absurd_shape, "claims a shape that its data do not fill"),
        (absurd_chunks, "claims a shape that its data do not fill"),
        (bomb, "is compressed; rewrite"),
        (empty, "claims a shape that its data do not fill"),
        (same_array_many_times, "claims more weights than the file has bytes"),
        (many_groups, "more than 10000 groups and arrays"),
        (named_type, "neither a group nor an array"),
        (long_name, "names of more than 200 characters"),
        (array_for_a_group, "model_weights is no group"),
        (theano, "backend 'theano'"),
        (numeric_backend, "attribute backend is no string"),
        (no_description, "has no model_config"),
        (broken_description, "model_config: is no valid JSON"),
        (deep_description, "model_config: nested too deeply"),
        (huge_description, "model_config: longer than"),
        (list_of_descriptions, "attribute model_config is no string"),
        (binary_description, "damaged|JSON"),
    ],
)
def test_damaged_or_hostile(keras_copy, tmp_path, damage, said):
    with h5py.File(keras_copy, "r+") as file:
        damage(file)
    refused(keras_copy, tmp_path, ConversionError, said)


@pytest.mark.parametrize("kept", [100, 5_000, 0.5, 0.999])
def test_truncated(keras_copy, tmp_path, kept):
    data = keras_copy.read_bytes()
    keras_copy.write_bytes(data[: kept if kept > 1 else int(len(data) * kept)])
    refused(keras_copy, tmp_path, ConversionError, "is damaged")


def test_flipped_bytes_never_escape_as_other_errors(keras_file, tmp_path):
    # Only near the start, where HDF5 keeps its structure; a changed weight is no error.
    data = keras_file.read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped.h5"
    for _ in range(8):
        changed = bytearray(data)
        for place in rng.integers(8, 4096, 3):
            changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with contextlib.suppress(ConversionError):
            convert(path, tmp_path / "out", force=True)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"", ConversionError, "is empty"),
        (b"no model at all", ConversionError, "neither HDF5 nor safetensors"),
        (b"PK\3\4archive/data.pkl", UnsafeModelFileError, "can carry code"),
        (b"\x80\2}q\0.", UnsafeModelFileError, "can carry code"),
    ],
)
def test_other_kinds_of_file(tmp_path, content, error, said):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    refused(path, tmp_path, error, said)


def test_no_file(tmp_path):
    refused(tmp_path / "absent.h5", tmp_path, ConversionError, "no such file")
    refused(tmp_path, tmp_path, ConversionError, "is a folder")


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 1 << 20)
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1 << 20))
    refused(path, tmp_path, ConversionError, "larger than 1 MiB")


def test_hdf5_of_something_else(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["table"] = np.zeros(3)
    refused(path, tmp_path, ConversionError, "neither model nor weights of Keras 2")


def test_weights_of_a_densenet_alone(tmp_path):
    path = tmp_path / "densenet121_weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["conv1/conv", "conv1/bn"], "S")
        file["conv1/conv/conv1/conv/kernel:0"] = np.zeros((7, 7, 3, 64), np.float32)
    refused(path, tmp_path, ArchitectureMismatchError, r"found 1 \(conv1\)")


def test_description_with_code_is_refused_unread(tmp_path):
    config = legacy_files.model_config()
    marshalled = {"function": ["4wEAAAAB", None, None], "function_type": "lambda"}
    config["config"]["layers"].append(
        {"class_name": "Lambda", "name": "lambda_1", "config": marshalled, "inbound_nodes": []}
    )
    path = tmp_path / "lambda.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        # Reading any weight would be another error.
        file["model_weights"] = h5py.ExternalLink("/etc/passwd", "/x")
    refused(path, tmp_path, UnsafeModelFileError, "'lambda_1' is of the class 'Lambda'")


def test_missing_packages(keras_file, tmp_path, monkeypatch):
    for package in ("h5py", "onnx"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(
                MissingDependencyError, match=rf"{package}.*reid-edge\[export\].*\.\[export\]"
            ):
                convert(keras_file, tmp_path / "out")
