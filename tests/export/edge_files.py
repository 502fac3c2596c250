"""Checkpoints of a small edge network with random weights."""

from __future__ import annotations

import copy
import json

import numpy as np
from safetensors.numpy import save_file

ARCHITECTURE = {
    "stem": 8,
    "growth": [4, 6, 8],
    "layers": [2, 1, 2],
    "bottleneck": 2,
    "embedding": 16,
}
HEIGHT, WIDTH = 64, 32

_METADATA = {
    "format": 1,
    "architecture": ARCHITECTURE,
    "bundle": {
        "name": "edge",
        "version": "0.1.0",
        "description": "A small network for tests.",
        "licence": {"name": "none", "summary": "Random numbers; do with them as you please."},
        "input": {"height": HEIGHT, "width": WIDTH, "resize": "area"},
        "head": {"type": "cosine", "scale": 10.0, "bias": -5.0},
        "thresholds": {"far_1e-2": {"score": 0.9, "low": 0.88, "high": 0.92}},
        "figures": {"market1501_rank1": 0.5, "trained_on": "nothing"},
    },
}


def metadata():
    """A fresh copy, to be changed at will."""
    return copy.deepcopy(_METADATA)


def random_state(dtype=np.float16, seed=0):
    """Torch name -> array."""
    rng = np.random.default_rng(seed)
    state = {}

    def norm(name, channels):
        for leaf, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.2, 0.2),
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 1.5),
        ):
            state[f"{name}.{leaf}"] = rng.uniform(low, high, channels).astype(dtype)
        state[f"{name}.num_batches_tracked"] = np.int64(1)

    def block(name, inputs, outputs, size):
        kernel = rng.standard_normal((outputs, inputs, size, size))
        state[f"{name}.0.weight"] = (kernel * np.sqrt(2 / (inputs * size**2))).astype(dtype)
        norm(f"{name}.1", outputs)

    block("stages.0", 3, 8, 7)
    # Stage 1 is the maximum pool, stage 4 the mean; both have no weights.
    channels = 8
    for stage, growth, layers in ((2, 4, 2), (5, 6, 1), (7, 8, 2)):
        for layer in range(layers):
            block(f"stages.{stage}.layers.{layer}.0", channels, 2 * growth, 1)
            block(f"stages.{stage}.layers.{layer}.1", 2 * growth, growth, 3)
            channels += growth
        if stage < 7:
            block(f"stages.{stage + 1}", channels, channels // 2, 1)
            channels //= 2
    state["project.weight"] = rng.standard_normal((16, channels)).astype(dtype)
    norm("neck", 16)
    return state


def save(path, state=None, described=None):
    """Write a checkpoint."""
    described = metadata() if described is None else described
    state = random_state() if state is None else state
    save_file(
        {name: np.asarray(values) for name, values in state.items()},
        path,
        {"reid_edge": described if isinstance(described, str) else json.dumps(described)},
    )
