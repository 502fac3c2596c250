"""Files as Keras 2.1.3 saves the original Siamese DenseNet-121, with random weights."""

from __future__ import annotations

import json

import h5py
import numpy as np

BLOCKS = ((2, 6), (3, 12), (4, 24), (5, 16))


def random_weights(seed=0):
    """Keras name -> array, in the network's order; ranges as after a training."""
    rng = np.random.default_rng(seed)
    weights = {}

    def conv(name, size, inputs, outputs):
        deviation = np.sqrt(2 / (size * size * inputs))
        kernel = rng.standard_normal((size, size, inputs, outputs), np.float32) * deviation
        weights[f"{name}/kernel"] = kernel.astype(np.float32)

    def norm(name, channels):
        for leaf, low, high in (
            ("gamma", 0.8, 1.2),
            ("beta", -0.2, 0.2),
            ("moving_mean", -0.2, 0.2),
            ("moving_variance", 0.5, 1.5),
        ):
            weights[f"{name}/{leaf}"] = rng.uniform(low, high, channels).astype(np.float32)

    conv("conv1/conv", 7, 3, 64)
    norm("conv1/bn", 64)
    channels = 64
    for block, layers in BLOCKS:
        for layer in range(1, layers + 1):
            name = f"conv{block}_block{layer}"
            norm(f"{name}_0_bn", channels)
            conv(f"{name}_1_conv", 1, channels, 128)
            norm(f"{name}_1_bn", 128)
            conv(f"{name}_2_conv", 3, 128, 32)
            channels += 32
        if block < 5:
            norm(f"pool{block}_bn", channels)
            conv(f"pool{block}_conv", 1, channels, channels // 2)
            channels //= 2
    norm("bn", channels)
    for name, inputs, outputs in (("hidden", 2048, 32), ("out", 32, 1)):
        kernel = rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
        weights[f"{name}/kernel"] = kernel.astype(np.float32)
        weights[f"{name}/bias"] = rng.uniform(-0.5, 0.5, outputs).astype(np.float32)
    return weights


def save(path, weights, whole=True, rename=lambda name: name, hidden="hidden", out="out"):
    """Write a save of the whole model, or of its weights only.

    Args:
        rename: Keras layer -> the variables' scope, which TensorFlow may have counted up.
        hidden: name of the larger dense layer; `out` of the smaller.
    """
    with h5py.File(path, "w") as file:
        top = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["model_config"] = json.dumps(model_config(hidden, out)).encode()
            file.attrs["keras_version"] = b"2.1.3"
            # Ignored, whatever it holds.
            file.create_group("optimizer_weights")["iterations"] = np.int64(7)
        layers = ["input_2", "input_3", "sequential_1", "concatenate_1", "dropout_1"]
        top.attrs["layer_names"] = np.array([*layers, hidden, "dropout_2", out], "S")
        top.attrs["backend"] = b"tensorflow"
        for name in ("input_2", "input_3", "concatenate_1", "dropout_1", "dropout_2"):
            top.create_group(name).attrs["weight_names"] = np.array([], "S1")
        for name, values in weights.items():
            layer, _, leaf = name.rpartition("/")
            if layer in ("hidden", "out"):
                given = {"hidden": hidden, "out": out}[layer]
                top[f"{given}/{rename(given)}/{leaf}:0"] = values
            else:
                top[f"sequential_1/{rename(layer)}/{leaf}:0"] = values


def model_config(hidden="hidden", out="out"):
    """What Keras writes about the whole model."""
    frame = [
        _layer("InputLayer", "input_2", _input("input_2"), []),
        _layer("InputLayer", "input_3", _input("input_3"), []),
        {
            "class_name": "Sequential",
            "name": "sequential_1",
            "config": [{"class_name": "Model", "config": _backbone()}],
            "inbound_nodes": [[["input_2", 0, 0, {}]], [["input_3", 0, 0, {}]]],
        },
        _layer(
            "Concatenate",
            "concatenate_1",
            {"axis": -1},
            [[["sequential_1", 1, 0, {}], ["sequential_1", 2, 0, {}]]],
        ),
        _layer("Dropout", "dropout_1", {"rate": 0.5}, _after("concatenate_1")),
        _layer("Dense", hidden, _dense(32, "relu"), _after("dropout_1")),
        _layer("Dropout", "dropout_2", {"rate": 0.5}, _after(hidden)),
        _layer("Dense", out, _dense(1, "sigmoid"), _after("dropout_2")),
    ]
    config = {
        "name": "model_1",
        "layers": frame,
        "input_layers": [["input_2", 0, 0], ["input_3", 0, 0]],
        "output_layers": [[out, 0, 0]],
    }
    return {"class_name": "Model", "config": config}


def backbone_layers(config):
    """The list of DenseNet-121's layers inside a `model_config`."""
    return config["config"]["layers"][2]["config"][0]["config"]["layers"]


def _layer(kind, name, settings, inbound):
    config = {"name": name, "trainable": True, **settings}
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": inbound}


def _after(*names):
    return [[[name, 0, 0, {}] for name in names]]


def _input(name):
    return {"batch_input_shape": [None, 221, 221, 3], "dtype": "float32", "sparse": False}


def _dense(units, activation):
    start = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg"}}
    return {
        "units": units,
        "activation": activation,
        "use_bias": True,
        "kernel_initializer": start,
    }


def _backbone():
    layers = []

    def add(kind, name, settings, *inputs):
        before = inputs or ((layers[-1]["name"],) if layers else ())
        layers.append(_layer(kind, name, settings, _after(*before) if before else []))
        return name

    last = {"data_format": "channels_last"}

    def norm(name):
        fixed = {"axis": 3, "momentum": 0.99, "epsilon": 1.001e-05, "center": True, "scale": True}
        return add("BatchNormalization", name, fixed)

    def relu(name):
        return add("Activation", name, {"activation": "relu"})

    def conv(name, filters, size, stride=1, padding="valid"):
        settings = {
            "filters": filters,
            "kernel_size": [size, size],
            "strides": [stride, stride],
            "padding": padding,
            "dilation_rate": [1, 1],
            "activation": "linear",
            "use_bias": False,
        }
        return add("Conv2D", name, {**settings, **last})

    def pool(kind, name, size, stride):
        sizes = {"pool_size": [size, size], "strides": [stride, stride], "padding": "valid"}
        return add(kind, name, {**sizes, **last})

    add("InputLayer", "input_1", _input("input_1"))
    add("ZeroPadding2D", "zero_padding2d_1", {"padding": [[3, 3], [3, 3]], **last})
    conv("conv1/conv", 64, 7, 2)
    norm("conv1/bn")
    relu("conv1/relu")
    add("ZeroPadding2D", "zero_padding2d_2", {"padding": [[1, 1], [1, 1]], **last})
    x, channels = pool("MaxPooling2D", "pool1", 3, 2), 64
    for block, count in BLOCKS:
        for index in range(1, count + 1):
            name = f"conv{block}_block{index}"
            norm(f"{name}_0_bn")
            relu(f"{name}_0_relu")
            conv(f"{name}_1_conv", 128, 1)
            norm(f"{name}_1_bn")
            relu(f"{name}_1_relu")
            y = conv(f"{name}_2_conv", 32, 3, padding="same")
            x = add("Concatenate", f"{name}_concat", {"axis": 3}, x, y)
            channels += 32
        if block < 5:
            norm(f"pool{block}_bn")
            relu(f"pool{block}_relu")
            channels //= 2
            conv(f"pool{block}_conv", channels, 1)
            x = pool("AveragePooling2D", f"pool{block}_pool", 2, 2)
    norm("bn")
    pool("AveragePooling2D", "avg_pool", 7, 7)
    ends = {"input_layers": [["input_1", 0, 0]], "output_layers": [["avg_pool", 0, 0]]}
    return {"name": "densenet121", "layers": layers, **ends}
