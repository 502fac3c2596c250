"""The networks once more, in plain NumPy on NHWC arrays: slow, and apart from the export."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])


def normalise(pictures):
    return (pictures.astype(np.float32) / 255 - MEAN) / STD


def pad(x, size):
    return np.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))


def conv(x, kernel, stride=1):
    """HWIO kernel, no padding."""
    windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    return np.tensordot(windows, kernel, axes=((4, 5, 3), (0, 1, 2)))


def pool(x, size, stride, function):
    windows = sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return function(windows, axis=(4, 5))


def norm(x, gamma, beta, mean, variance, epsilon):
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def relu(x):
    return np.maximum(x, 0)


def siamese_scores(weights, a, b):
    """Scores of the original network, straight from Keras-named weights."""

    def bn(name, x):
        parts = (
            weights[f"{name}/{leaf}"]
            for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return norm(x, *parts, 1.001e-5)

    def features(pictures):
        x = conv(pad(normalise(pictures), 3), weights["conv1/conv/kernel"], 2)
        x = pool(pad(relu(bn("conv1/bn", x)), 1), 3, 2, np.max)
        for block, layers in ((2, 6), (3, 12), (4, 24), (5, 16)):
            for layer in range(1, layers + 1):
                name = f"conv{block}_block{layer}"
                y = conv(relu(bn(f"{name}_0_bn", x)), weights[f"{name}_1_conv/kernel"])
                y = conv(pad(relu(bn(f"{name}_1_bn", y)), 1), weights[f"{name}_2_conv/kernel"])
                x = np.concatenate([x, y], axis=3)
            if block < 5:
                x = conv(relu(bn(f"pool{block}_bn", x)), weights[f"pool{block}_conv/kernel"])
                x = pool(x, 2, 2, np.mean)
        return pool(bn("bn", x), 7, 7, np.mean).reshape(len(x), -1)

    both = np.concatenate([features(a), features(b)], axis=1)
    hidden = relu(both @ weights["hidden/kernel"] + weights["hidden/bias"])
    logits = hidden @ weights["out/kernel"] + weights["out/bias"]
    return 1 / (1 + np.exp(-logits[:, 0]))


def edge_embeddings(state, architecture, pictures):
    """Unit-length embeddings of the edge network from torch-named weights."""

    def bn(name, x):
        parts = (
            state[f"{name}.{leaf}"] for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return norm(x, *(part.astype(np.float32) for part in parts), 1e-5)

    def block(name, x, padding=0, stride=1):
        kernel = state[f"{name}.0.weight"].astype(np.float32).transpose(2, 3, 1, 0)
        return relu(bn(f"{name}.1", conv(pad(x, padding), kernel, stride)))

    x = block("stages.0", normalise(pictures), 3, 2)
    x = pool(pad(x, 1), 3, 2, np.max)
    stage, blocks = 2, len(architecture["layers"])
    for index, layers in enumerate(architecture["layers"]):
        for layer in range(layers):
            name = f"stages.{stage}.layers.{layer}"
            x = np.concatenate([x, block(f"{name}.1", block(f"{name}.0", x), 1)], axis=3)
        stage += 1
        if index < blocks - 1:
            x, stage = block(f"stages.{stage}", x), stage + 1
        if index < blocks - 2:
            x, stage = pool(x, 2, 2, np.mean), stage + 1
    x = bn("neck", x.mean((1, 2)) @ state["project.weight"].astype(np.float32).T)
    return x / np.linalg.norm(x, axis=1, keepdims=True)
