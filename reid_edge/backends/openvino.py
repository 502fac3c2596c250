"""OpenVINO: the default on a CPU."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import BackendError, BundleGraphError, ClosedError, MissingDependencyError
from . import _openvino_import, _processor
from ._protocol import Fill, Port, check_ports, embed_in_parts

_TYPES = {"u8": "uint8", "f32": "float32"}


class OpenVinoBackend:
    """One compiled model, one inference at a time over all cores.

    A single stream gives the shortest time to one answer.  The lock keeps memory at one
    request's; what other threads resize meanwhile overlaps with it.
    """

    name = "openvino"

    def __init__(self, bundle: Bundle, graph: str) -> None:
        try:
            openvino = _openvino_import.load()
        except ImportError as error:
            raise MissingDependencyError(
                "the openvino backend needs the openvino package: pip install openvino"
            ) from error
        self._bundle = bundle
        content = bundle.graph(graph).read()
        path = bundle.graph(graph).path
        try:
            core = openvino.Core()
            device = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO cannot start its CPU plugin ({_first_line(error)}); install openvino "
                "again, or use backend='onnxruntime'"
            ) from error
        try:
            model = core.read_model(content)
            inputs, outputs = _ports(model.inputs), _ports(model.outputs)
        except RuntimeError as error:
            raise BundleGraphError(
                f"{path}: OpenVINO cannot read this graph ({_first_line(error)}); "
                "export the bundle again"
            ) from error
        check_ports(bundle, inputs, outputs)
        try:
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    # Left alone, OpenVINO computes in BF16 where the processor has it.
                    "INFERENCE_PRECISION_HINT": _arithmetic(bundle, graph),
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": "1",
                },
            )
            self._request: Any = compiled.create_infer_request()
        except RuntimeError as error:
            raise BackendError(
                f"{path}: OpenVINO cannot compile this graph ({_first_line(error)}); "
                "export the bundle again, or use backend='onnxruntime'"
            ) from error
        self._lock = threading.Lock()
        self.device = f"CPU ({device})"
        self.precision = _precision(compiled, graph)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backend.run`."""
        with self._lock:
            if self._request is None:
                raise ClosedError("this model is closed; make a new one")
            try:
                self._request.infer({0: batch}, share_inputs=True)
            except RuntimeError as error:
                raise BackendError(f"OpenVINO failed: {_first_line(error)}") from error
            # The request's own buffer is overwritten by the next run.
            return np.array(self._request.get_output_tensor(0).data)

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """See `Backend.embed`."""
        return embed_in_parts(self, self._bundle, count, fill)

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            self._request = None


def is_right_with_signs() -> bool:
    """Whether OpenVINO is right here about INT8 activations that have a sign: on AMX.

    2026.4 is wrong on AVX2 alone, as ONNX Runtime is; 2025.4 and 2026.4 are on AVX512-VNNI, where
    ONNX Runtime is right.  Other processors without AMX were not tried.
    """
    return _processor.has_amx_int8()


def _arithmetic(bundle: Bundle, graph: str) -> str:
    """What to compute in where the graph has floats.

    Around INT8, BF16 is faster in batches where the processor has it (by a quarter with AMX, by a
    twentieth with AVX512-VNNI: docs/int8.md), and takes less from accuracy than INT8 does; not
    where the gate was passed with float32 around it.
    """
    shorter = graph == "int8" and bundle.judged_in.get(graph) != "f32" and _processor.has_bf16()
    return "bf16" if shorter else "f32"


def _precision(compiled: Any, graph: str) -> str:
    """The graph's precision, with the arithmetic that OpenVINO reports for its float parts."""
    arithmetic = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    floats: str = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}.get(arithmetic, arithmetic)
    return floats if graph == "fp32" else f"{graph}+{floats}"


def _ports(nodes: list[Any]) -> list[Port]:
    found: list[Port] = []
    for node in nodes:
        kind = node.element_type.to_string()
        shape = node.partial_shape
        dimensions = (
            [None if size.is_dynamic else size.get_length() for size in shape]
            if shape.rank.is_static
            else []
        )
        names = sorted(node.names)
        found.append((names[0] if names else "", _TYPES.get(kind, kind), dimensions))
    return found


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
