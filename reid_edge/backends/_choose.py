"""Which backend, device and graph serve a request."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

from ..bundle import Bundle
from ..engine_options import EngineOptions, module_of
from ..errors import (
    BackendError,
    PrecisionUnavailableError,
    UnknownBackendError,
    UnknownDeviceError,
    UnknownPrecisionError,
)
from . import _cuda, _processor
from ._protocol import Backend
from .openvino import is_right_with_signs

_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?")
NAMES = ("openvino", "onnxruntime", "tensorrt", "tensorrt_rtx")
PRECISIONS = ("fp32", "fp16", "int8")
DEFAULT_ENGINE = EngineOptions()


def choose(
    bundle: Bundle,
    backend: str = "auto",
    precision: str = "auto",
    device: str | None = None,
    allow_unverified: bool = False,
    engine: EngineOptions = DEFAULT_ENGINE,
) -> Backend:
    """Compile a bundle for the backend that was asked for, or for the best that works here.

    Args:
        bundle: the model.
        backend: `auto` or one of `NAMES`.  `auto` takes TensorRT and then ONNX Runtime on a CUDA
            GPU where both package and driver are there, then OpenVINO, then ONNX Runtime on the
            CPU; a backend that should work but does not is passed over with one warning.
        precision: `auto` or one of `PRECISIONS`; `auto` takes the bundle's default, which may be
            the fastest one that the place offers and whose accuracy gate was passed.
        device: `cpu`, `cuda` or `cuda:N`; None leaves it to the backend.
        allow_unverified: run a precision whose accuracy gate was not passed.
        engine: how TensorRT engines are built and kept.

    Raises:
        OptionError: a backend, precision or device that does not exist or does not go together.
        BundleError: the bundle's graph is damaged.
        BackendError: the backend can't be started.
    """
    backend = module_of(backend)
    if backend != "auto" and backend not in NAMES:
        raise UnknownBackendError(f"no backend {backend!r}: give auto, {', '.join(NAMES)}")
    failures: list[str] = []
    refusal: PrecisionUnavailableError | None = None
    failure: BackendError | None = None
    for name, place in _candidates(backend, device):
        try:
            graph = graph_for(bundle, precision, name, place, allow_unverified)
            found = _start(name, bundle, graph, place, engine)
        except PrecisionUnavailableError as error:
            refusal = refusal or error
            continue
        except BackendError as error:
            failure = error
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
    reason = failure or refusal
    assert reason is not None  # there is always a candidate
    raise reason


def _candidates(backend: str, device: str | None) -> list[tuple[str, str]]:
    """Backend and device, best first."""
    if device is not None and not (isinstance(device, str) and _DEVICE.fullmatch(device)):
        raise UnknownDeviceError(f"no device {device!r}: give cpu, cuda or cuda:N")
    if backend == "openvino":
        if device not in (None, "cpu"):
            raise UnknownDeviceError(
                f"the openvino backend runs on the CPU, not on {device!r}; "
                "use backend='tensorrt' or backend='onnxruntime' for a CUDA GPU"
            )
        return [("openvino", "cpu")]
    if backend in ("tensorrt", "tensorrt_rtx"):
        if device == "cpu":
            raise UnknownDeviceError(
                f"the {backend} backend runs on NVIDIA GPUs; use backend='openvino' on the CPU"
            )
        return [(backend, device or "cuda")]
    if device is not None and device != "cpu":
        on_gpu = [("tensorrt", device)] if backend == "auto" and _has_tensorrt() else []
        return [*on_gpu, ("onnxruntime", device)]
    # The driver is asked last: cuInit takes time, and processes that called it must not fork.
    packages = [
        name
        for name, installed in (("tensorrt", _has_tensorrt), ("onnxruntime", _onnxruntime_has_cuda))
        if device is None and backend in ("auto", name) and installed()
    ]
    on_gpu = [(name, "cuda") for name in packages] if packages and _cuda.driver_present() else []
    if backend == "onnxruntime":
        return on_gpu or [("onnxruntime", "cpu")]
    return [*on_gpu, ("openvino", "cpu"), ("onnxruntime", "cpu")]


def _has_tensorrt() -> bool:
    return importlib.util.find_spec("tensorrt") is not None


def _onnxruntime_has_cuda() -> bool:
    """Whether ONNX Runtime's GPU package is installed, told from its files without importing it."""
    found = importlib.util.find_spec("onnxruntime")
    return found is not None and any(
        (Path(folder) / "capi" / "libonnxruntime_providers_cuda.so").is_file()
        for folder in found.submodule_search_locations or ()
    )


def graph_for(
    bundle: Bundle, precision: str, backend: str, device: str, allow_unverified: bool
) -> str:
    """The graph that serves a precision on a backend and device.

    Raises:
        UnknownPrecisionError: there is no such precision.
        PrecisionUnavailableError: the place does not offer it, the bundle has no such graph, or
            its accuracy gate was not passed.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise UnknownPrecisionError(
            f"no precision {precision!r}: give auto, {', '.join(PRECISIONS)}"
        )
    if precision == "auto":
        precision = bundle.default_precision
    if precision == "auto":
        fast = _fastest(bundle, backend, device)
        graph = _graph_name(fast, backend)
        precision = fast if graph in bundle.graphs and bundle.gates.get(graph) else "fp32"
    graph = _graph_name(precision, backend)
    _check_offered(precision, backend, device)
    bundle.graph(graph)
    if not allow_unverified:
        _check_verified(bundle, graph, backend, device)
    return graph


def _graph_name(precision: str, backend: str) -> str:
    """TensorRT takes INT8 with FP16 around it, CPUs with FP32 or BF16."""
    on_tensorrt = backend in ("tensorrt", "tensorrt_rtx")
    return "int8_fp16" if precision == "int8" and on_tensorrt else precision


def _fastest(bundle: Bundle, backend: str, device: str) -> str:
    """The precision to prefer."""
    if device != "cpu":
        return "fp16"
    able = backend == "openvino" and _gives_int8_as_judged(bundle, backend)
    return "int8" if able else "fp32"


def _gives_int8_as_judged(bundle: Bundle, backend: str) -> bool:
    """Whether INT8 gives the sums on this CPU that its accuracy was judged with.

    ONNX Runtime does with VNNI or AMX, whether activations have a sign or not.

    OpenVINO does with VNNI, AMX or AVX2 where they have none: AVX2's sums saturate, which the
    export rules out for the pairs of products that OpenVINO adds up, not for ONNX Runtime's.
    Where they have a sign, as in `int8` of older exports, OpenVINO does with AMX only.

    Other processors have not been measured.
    """
    if backend != "openvino":
        return _processor.has_fast_int8()
    if bundle.activations.get("int8") == "uint8":
        return _processor.has_fast_int8() or _processor.has_avx2()
    return is_right_with_signs()


def _check_offered(precision: str, backend: str, device: str) -> None:
    if precision == "fp16" and device == "cpu":
        raise PrecisionUnavailableError(
            "fp16 is for GPUs: CPUs would widen it to float32 and gain nothing; "
            "use precision='fp32' here"
        )
    if precision == "int8" and backend == "onnxruntime" and device != "cpu":
        raise PrecisionUnavailableError(
            "ONNX Runtime's CUDA provider does not compute in int8; use backend='tensorrt', or "
            "precision='fp16'"
        )


def _check_verified(bundle: Bundle, graph: str, backend: str, device: str) -> None:
    if graph != "fp32" and not bundle.gates.get(graph):
        state = "failed" if graph in bundle.gates else "has not been put to"
        raise PrecisionUnavailableError(
            f"the {graph} graph of model {bundle.name!r} {state} the accuracy gate; "
            "use fp32, export it again with more pictures to calibrate and to judge on, or run it "
            "all the same with allow_unverified=True (--allow-unverified)"
        )
    if graph == "int8" and device == "cpu" and not _gives_int8_as_judged(bundle, backend):
        other = "onnxruntime" if backend == "openvino" else "openvino"
        if _gives_int8_as_judged(bundle, other):
            remedy = f"backend={other!r} runs it here"
        elif _processor.has_avx2():
            remedy = "export the bundle again for OpenVINO"
        else:
            remedy = "it is for Linux on x86 with AVX2"
        raise PrecisionUnavailableError(
            f"int8 of model {bundle.name!r} was not judged for {backend} on this CPU: {remedy}; or "
            "use precision='fp32', or run it all the same with allow_unverified=True"
        )


def _start(name: str, bundle: Bundle, graph: str, device: str, engine: EngineOptions) -> Backend:
    if name == "openvino":
        from .openvino import OpenVinoBackend

        return OpenVinoBackend(bundle, graph)
    if name == "onnxruntime":
        from .onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(bundle, graph, device)
    from ._engine import start

    return start(name, bundle, graph, device, engine)
