"""A network of `training/model.py`, from its weights to an ONNX graph.

Its kind makes the last map; its mean, one product (the neck's batch norm folds into it) and
embeddings of unit length are common to all.
"""

from __future__ import annotations

from . import densenet, edge
from .architecture import Architecture
from .graph import FP32, Arithmetic, GraphWriter
from .state import State
from .weights import Weights


def write(
    architecture: Architecture,
    weights: Weights,
    height: int,
    width: int,
    store_fp16: bool = True,
    arithmetic: Arithmetic = FP32,
) -> bytes:
    """Write the graph from weights named as in torch's `state_dict()`.

    Raises:
        ArchitectureMismatchError: the weights are those of another network.
        ConversionError: weights that no training ends with, or pictures too small for it.
    """
    architecture.check_size(height, width)
    graph = GraphWriter(architecture.network, height, width, store_fp16, arithmetic)
    state, size = State(weights), architecture.embedding
    stages = densenet.stages if architecture.network == "densenet" else edge.stages
    x, channels = stages(architecture, state, graph)
    projection = weights.take("project.weight", (size, channels))
    kernel, bias = state.norm("neck", size).fold(projection)
    weights.finish()
    embedding = graph.dense("embedding/project", graph.global_average("features", x), kernel, bias)
    embedding = graph.float32("embedding/fp32", embedding)
    return graph.finish(graph.unit_length("embedding/unit", embedding), size)
