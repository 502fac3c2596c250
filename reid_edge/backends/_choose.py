"""Which backend, device and graph serve a request."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

from ..bundle import Bundle
from ..errors import (
    BackendError,
    PrecisionUnavailableError,
    UnknownBackendError,
    UnknownDeviceError,
    UnknownPrecisionError,
)
from . import _cuda
from ._protocol import Backend

_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?")
NAMES = ("openvino", "onnxruntime")
PRECISIONS = ("fp32", "fp16", "int8")

# What runs on a CPU, fastest first, and on a GPU.
_CPU_PRECISIONS = ("fp32",)
_GPU_PRECISIONS = ("fp32",)


def choose(
    bundle: Bundle, backend: str = "auto", precision: str = "auto", device: str | None = None
) -> Backend:
    """Compile a bundle for the backend that was asked for, or for the best that works here.

    Args:
        bundle: the model.
        backend: `auto` or one of `NAMES`.  `auto` takes ONNX Runtime on a CUDA GPU where both are
            there, then OpenVINO, then ONNX Runtime on the CPU; a backend that should work but
            does not is passed over with one warning.
        precision: `auto` or one of `PRECISIONS`.
        device: `cpu`, `cuda` or `cuda:N`; None leaves it to the backend.

    Raises:
        OptionError: a backend, precision or device that does not exist or does not go together.
        BundleError: the bundle's graph is damaged.
        BackendError: the backend can't be started.
    """
    if backend != "auto" and backend not in NAMES:
        raise UnknownBackendError(f"no backend {backend!r}: give auto, {', '.join(NAMES)}")
    if precision != "auto" and precision not in PRECISIONS:
        raise UnknownPrecisionError(
            f"no precision {precision!r}: give auto, {', '.join(PRECISIONS)}"
        )
    candidates = _candidates(backend, device)
    failures: list[str] = []
    for index, (name, place) in enumerate(candidates):
        graph = _graph(bundle, precision, place)
        try:
            found = _start(name, bundle, graph, place)
        except BackendError as error:
            if index == len(candidates) - 1:
                raise
            failures.append(f"{name} on {place}: {error}")
            continue
        if failures:
            warnings.warn(
                f"reid_edge runs with {found.name} on {found.device}, because "
                + "; ".join(failures)
                + f" (to silence this, ask for backend={found.name!r})",
                RuntimeWarning,
                stacklevel=3,
            )
        return found
    raise AssertionError("there is always a candidate")


def _candidates(backend: str, device: str | None) -> list[tuple[str, str]]:
    """Backend and device, best first."""
    if device is not None and not (isinstance(device, str) and _DEVICE.fullmatch(device)):
        raise UnknownDeviceError(f"no device {device!r}: give cpu, cuda or cuda:N")
    if backend == "openvino":
        if device not in (None, "cpu"):
            raise UnknownDeviceError(
                f"the openvino backend runs on the CPU, not on {device!r}; "
                "use backend='onnxruntime' for a CUDA GPU"
            )
        return [("openvino", "cpu")]
    if device is not None and device != "cpu":
        return [("onnxruntime", device)]
    # The driver is asked last: cuInit takes time, and processes that called it must not fork.
    cuda = device is None and _onnxruntime_has_cuda() and _cuda.driver_present()
    if backend == "onnxruntime":
        return [("onnxruntime", "cuda" if cuda else "cpu")]
    on_cpu = [("openvino", "cpu"), ("onnxruntime", "cpu")]
    return ([("onnxruntime", "cuda")] if cuda else []) + on_cpu


def _onnxruntime_has_cuda() -> bool:
    """Whether ONNX Runtime's GPU package is installed, told from its files without importing it."""
    found = importlib.util.find_spec("onnxruntime")
    return found is not None and any(
        (Path(folder) / "capi" / "libonnxruntime_providers_cuda.so").is_file()
        for folder in found.submodule_search_locations or ()
    )


def _graph(bundle: Bundle, precision: str, device: str) -> str:
    """The graph that serves a precision on a device."""
    offered = _CPU_PRECISIONS if device == "cpu" else _GPU_PRECISIONS
    if precision == "auto":
        precision = bundle.default_precision
        if precision == "auto":
            precision = next(
                name
                for name in offered
                if name in bundle.graphs and (name == "fp32" or bundle.gates.get(name, False))
            )
    bundle.graph(precision)
    if precision == "fp16" and device == "cpu":
        raise PrecisionUnavailableError(
            "fp16 is for GPUs: CPUs would widen it to float32 and gain nothing; "
            "use precision='fp32' here"
        )
    if precision not in offered:
        raise PrecisionUnavailableError(
            f"this version of reid_edge does not run {precision} on {device} yet; use 'fp32'"
        )
    return precision


def _start(name: str, bundle: Bundle, graph: str, device: str) -> Backend:
    if name == "openvino":
        from .openvino import OpenVinoBackend

        return OpenVinoBackend(bundle, graph)
    from .onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(bundle, graph, device)
