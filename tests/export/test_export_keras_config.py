"""Descriptions of models: with code, of another network, and of the same one in other words."""

from __future__ import annotations

import re

import legacy_files
import pytest

from export import keras_config
from reid_edge.errors import ArchitectureMismatchError, UnsafeModelFileError


@pytest.mark.parametrize(
    "kind", ["Lambda", "Custom>Layer", "TFOpLambda", "MyLayer", "add", 3, ["Add"]]
)
def test_unknown_classes_wherever_they_stand(kind):
    for place in (
        lambda config: legacy_files.backbone_layers(config)[40],
        lambda config: config["config"]["layers"][5]["config"]["kernel_initializer"],
        lambda config: config["config"]["layers"][2]["config"][0],
    ):
        config = legacy_files.model_config()
        place(config)["class_name"] = kind
        with pytest.raises(UnsafeModelFileError, match=re.escape(str(kind))):
            keras_config.check(config, "x.h5")


def test_code_in_a_known_class():
    config = legacy_files.model_config()
    config["config"]["layers"][4]["config"]["function"] = ["4wEAAAAB", None, None]
    with pytest.raises(UnsafeModelFileError, match="'function' holds code"):
        keras_config.check(config, "x.h5")


def layers(change):
    """A change of DenseNet-121's layers, by name."""

    def apply(config):
        listed = legacy_files.backbone_layers(config)
        change({layer["name"]: layer for layer in listed}, listed)

    return apply


def frame(change):
    """A change of the Siamese frame's layers, by name."""
    return lambda config: change(
        {layer["name"]: layer for layer in config["config"]["layers"]}, config["config"]
    )


def later_keras(named, listed):
    relu = {
        "class_name": "Activation",
        "name": "relu",
        "config": {"activation": "relu"},
        "inbound_nodes": [[["bn", 0, 0, {}]]],
    }
    listed.insert(-1, relu)
    named["avg_pool"]["inbound_nodes"] = [[["relu", 0, 0, {}]]]


def short(named, listed):
    del listed[-1]


def long(named, listed):
    listed.append(
        {**named["conv1/relu"], "name": "more", "inbound_nodes": [[["avg_pool", 0, 0, {}]]]}
    )


def swapped(named, config):
    named["concatenate_1"]["inbound_nodes"][0].reverse()


def crossed(named, config):
    config["input_layers"].reverse()


def unconnected(named, config):
    del named["hidden"]["inbound_nodes"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (layers(later_keras), r"layer relu \(Activation\) stands where avg_pool"),
        (layers(short), r"layer avg_pool \(AveragePooling2D\) is missing"),
        (layers(long), r"layer more \(Activation\) is superfluous"),
        (
            layers(lambda named, _: named["conv1/bn"]["config"].update(epsilon=1e-3)),
            r"layer conv1/bn \(BatchNormalization\): epsilon is 0.001, expected 1.001e-05",
        ),
        (
            layers(lambda named, _: named["conv4_block7_2_conv"]["config"].update(strides=[2, 2])),
            r"layer conv4_block7_2_conv \(Conv2D\): strides is \[2, 2\]",
        ),
        (
            layers(lambda named, _: named["pool1"].update(class_name="AveragePooling2D")),
            r"layer pool1 \(AveragePooling2D\) stands where pool1 \(MaxPooling2D\)",
        ),
        (
            layers(lambda named, _: named["conv2_block3_concat"]["inbound_nodes"][0].reverse()),
            "layer conv2_block3_concat is connected in another way",
        ),
        (
            layers(
                lambda named, _: named["input_1"]["config"].update(batch_input_shape=[None, 64])
            ),
            "batch_input_shape",
        ),
        (frame(swapped), "connected in another way"),
        (frame(crossed), "connected in another way"),
        (frame(unconnected), "not described as Keras 2.1 does it"),
        (
            frame(lambda named, _: named["hidden"]["config"].update(activation="tanh")),
            r"layer hidden \(Dense\): activation is tanh, expected relu",
        ),
        (
            frame(lambda named, config: config["layers"].pop(5)),
            "its layers are .* expected InputLayer, InputLayer, Sequential, Concatenate",
        ),
        (lambda config: config.update(class_name="Sequential"), "outermost layer is a Sequential"),
        (lambda config: config.clear(), "not described as Keras 2.1 does it"),
        (lambda config: config.update(config=[1, 2]), "not described as Keras 2.1 does it"),
    ],
)
def test_description_of_another_network(change, said):
    config = legacy_files.model_config()
    change(config)
    with pytest.raises(ArchitectureMismatchError, match=said):
        keras_config.check(config, "x.h5")


def test_layers_in_a_ring():
    config = legacy_files.model_config()
    frame = {layer["name"]: layer for layer in config["config"]["layers"]}
    frame["dropout_1"]["inbound_nodes"] = [[["dropout_2", 0, 0, {}]]]
    frame["dropout_2"]["inbound_nodes"] = [[["dropout_1", 0, 0, {}]]]
    with pytest.raises(ArchitectureMismatchError, match="connected in another way"):
        keras_config.check(config, "x.h5")


def global_pool(named, _):
    named["avg_pool"].update(class_name="GlobalAveragePooling2D", config={"name": "avg_pool"})


def no_sequential(named, config):
    config["layers"][2].update(
        class_name="Model", config=named["sequential_1"]["config"][0]["config"]
    )


def flattened(named, _):
    named["sequential_1"]["config"].append(
        {"class_name": "Flatten", "config": {"name": "flatten_1"}}
    )


def frozen(named, _):
    for layer in named.values():
        layer["config"]["trainable"] = False


@pytest.mark.parametrize(
    "change",
    [layers(global_pool), layers(frozen), frame(no_sequential), frame(flattened)],
)
def test_descriptions_that_compute_the_same(change):
    config = legacy_files.model_config()
    change(config)
    keras_config.check(config, "x.h5")
