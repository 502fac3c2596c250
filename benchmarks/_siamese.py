"""The original library's network in today's Keras: a Siamese DenseNet-121 at 221 x 221.

    picture -> DenseNet-121 -> mean of the 7 x 7 map;  [a; b] -> Dense(32) -> Dense(1) -> score

Keras 2.1's DenseNet-121 had no ReLU behind its last batch norm, so the branch ends in front of
it.  Weights carry the names of Keras 2.1, in which the export reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export import keras_file, sources
from export.densenet121 import HIDDEN, SIZE
from reid_edge.images import Picture

from ._packages import require

_BRANCH = "densenet121"


class Original:
    """The old way: every picture of every pair is resized, stacked and run through the branch."""

    def __init__(self) -> None:
        """An untrained network.

        Raises:
            MissingDependencyError: TensorFlow, whose Keras this is, is not installed.
        """
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ["KERAS_BACKEND"] = "tensorflow"  # as it was
        require("tensorflow", "tensorflow-cpu")
        self._keras = keras = require("keras", "tensorflow-cpu")
        layers = keras.layers
        shape = (SIZE, SIZE, 3)
        backbone = keras.applications.DenseNet121(
            weights=None, include_top=False, input_shape=shape
        )
        features = layers.GlobalAveragePooling2D()(backbone.get_layer("bn").output)
        branch = keras.Model(backbone.input, features, name=_BRANCH)
        first, second = keras.Input(shape), keras.Input(shape)
        both = layers.Concatenate()([branch(first), branch(second)])
        hidden = layers.Dense(HIDDEN, activation="relu", name="hidden")(both)
        score = layers.Dense(1, activation="sigmoid", name="out")(hidden)
        self._model = keras.Model([first, second], score)

    def predict(self, a: Sequence[Picture], b: Sequence[Picture]) -> NDArray[np.float32]:
        """Scores (n,) of the pairs of two lists of n RGB pictures, through `Model.predict`."""
        scores = self._model.predict([self._stack(a), self._stack(b)], verbose=0)
        flat: NDArray[np.float32] = scores[:, 0]
        return flat

    def _stack(self, pictures: Sequence[Picture]) -> Any:
        import cv2

        resized = [cv2.resize(picture, (SIZE, SIZE)).astype(np.float32) for picture in pictures]
        return self._keras.applications.densenet.preprocess_input(np.array(resized))

    def draw(self, seed: int = 0) -> None:
        """Random weights with values as after a training."""
        rng = np.random.default_rng(seed)
        for name, variable in self._variables():
            variable.assign(_draw(name.rpartition("/")[2], tuple(variable.shape), rng))

    def load(self, path: Path) -> None:
        """The weights of a file that the export reads.

        Raises:
            ConversionError: (or a class under it) it cannot be read.
        """
        with keras_file.weights_of(sources.read(path)) as weights:
            for name, variable in self._variables():
                variable.assign(weights.take(name, tuple(variable.shape)).astype(np.float32))
            weights.finish()

    def save(self, path: Path) -> None:
        """The weights as Keras 2.1 saved them alone."""
        h5py = require("h5py", "h5py")
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = np.array([_BRANCH, "hidden", "out"], "S")
            file.attrs["backend"] = b"tensorflow"
            file.attrs["keras_version"] = b"2.1.3"
            for name, variable in self._variables():
                layer = name.partition("/")[0]
                top = layer if layer in ("hidden", "out") else _BRANCH
                file[f"{top}/{name}:0"] = np.asarray(variable)

    def _variables(self) -> Iterator[tuple[str, Any]]:
        """Keras 2.1's name of each weight, and its variable."""
        get = self._model.get_layer
        for layer in (*get(_BRANCH).layers, get("hidden"), get("out")):
            # Today conv1/conv and conv1/bn are conv1_conv and conv1_bn; all others kept theirs.
            old = layer.name.replace("conv1_", "conv1/") if layer.name[:6] == "conv1_" else None
            for variable in layer.weights:
                yield f"{old or layer.name}/{variable.name}", variable


def _draw(leaf: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    ranges = {
        "gamma": (0.8, 1.2),
        "beta": (-0.2, 0.2),
        "moving_mean": (-0.2, 0.2),
        "moving_variance": (0.5, 1.5),
        "bias": (-0.5, 0.5),
    }
    if leaf in ranges:
        low, high = ranges[leaf]
        return rng.uniform(low, high, shape).astype(np.float32)
    # He et al. (ICCV 2015) for convolutions; the dense layers keep the variance as it is.
    gain = 2 if len(shape) == 4 else 1
    kernel: NDArray[np.float32] = rng.standard_normal(shape, np.float32)
    kernel *= np.sqrt(gain / np.prod(shape[:-1]))
    return kernel
