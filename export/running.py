"""Graphs run on OpenVINO, with inner tensors made visible where they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from reid_edge.backends import _openvino_import, _processor
from reid_edge.backends.openvino import is_right_with_signs

from . import emulation

Item = TypeVar("Item")


class Network:
    """A compiled graph.

    Args:
        graph: the ONNX file.
        inner: names of tensors to give besides the embeddings.
        arithmetic: `f32`, `f16` or `bf16`, of all that is not INT8.
    """

    def __init__(self, graph: bytes, inner: Sequence[str] = (), arithmetic: str = "f32") -> None:
        core = _openvino_import.load().Core()
        model = core.read_model(graph)
        if inner:
            model.add_outputs(list(inner))
        hints = {"INFERENCE_PRECISION_HINT": arithmetic}
        self._request: Any = core.compile_model(model, "CPU", hints).create_infer_request()
        self._outputs = 1 + len(inner)

    def run(self, batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Embeddings, then the inner tensors; all are overwritten by the next run."""
        self._request.infer({0: batch}, share_inputs=True)
        return [self._request.get_output_tensor(index).data for index in range(self._outputs)]


def half_precision() -> bool:
    """Whether OpenVINO computes in FP16 on this processor."""
    return "FP16" in _openvino_import.load().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@dataclass(frozen=True)
class Execution:
    """How a graph is judged on this processor.

    Attributes:
        graph: the ONNX file to run.
        hint: the arithmetic to run it with.
        arithmetic: what that stands for, of all that is not INT8: `f32`, `f16` or `bf16`.
        emulated: whether INT8, and BF16 around it, are computed in floats (`emulation.py`).
    """

    graph: bytes
    hint: str
    arithmetic: str
    emulated: bool = False


def execution(graph: bytes, half: bool, int8: bool, unsigned: bool) -> Execution:
    """How to judge a graph with its own arithmetic, whatever this processor has.

    Args:
        graph: the ONNX file.
        half: whether its floats are FP16.
        int8: whether there is INT8 in it.
        unsigned: whether its INT8 activations have no sign.
    """
    fast = _processor.has_fast_int8() if unsigned else is_right_with_signs()
    if int8 and not half:
        # Processors with VNNI alone run FP32 around INT8: BF16 is judged, the coarser of the two.
        if fast and _processor.has_bf16():
            return Execution(graph, "bf16", "bf16")
        return Execution(emulation.emulate(graph, bf16=True), "f32", "bf16", emulated=True)
    hint = "f16" if half and half_precision() else "f32"
    if int8 and not fast:
        return Execution(emulation.emulate(graph), hint, hint, emulated=True)
    return Execution(graph, hint, hint)


def embed(
    graphs: Mapping[str, tuple[bytes, str]], batches: Iterable[NDArray[np.uint8]]
) -> dict[str, NDArray[np.float32]]:
    """Embeddings of all pictures by several graphs, in one pass over the pictures.

    Args:
        graphs: name -> the ONNX file and the arithmetic to run it with.
        batches: uint8 (n, height, width, 3).

    Returns:
        name -> (pictures, d)
    """
    networks = {name: Network(graph, (), floats) for name, (graph, floats) in graphs.items()}
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in graphs}
    for batch in batches:
        for name, network in networks.items():
            found[name].append(network.run(batch)[0].copy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Pass items on, with a progress bar on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, highlight=False)
    return iter(
        track(
            items,
            what,
            total=total,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    )
