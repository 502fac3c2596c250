"""ONNX Runtime: NVIDIA GPUs through CUDA (extra `cuda`), and the CPU as a second opinion."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._extras import install
from ..bundle import Bundle
from ..errors import (
    BackendError,
    BundleGraphError,
    ClosedError,
    MissingDependencyError,
    UnknownDeviceError,
)
from . import _cuda
from ._protocol import Fill, Port, check_ports, embed_in_parts

_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntimeBackend:
    """One session; ONNX Runtime itself lets several threads run it."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, graph: str, device: str = "cpu") -> None:
        on_gpu = _is_gpu(device)
        if on_gpu:  # first: without a driver no package helps
            _cuda.check_driver()
        try:
            import onnxruntime
        except ImportError as error:
            command = install("cuda") if on_gpu else "pip install onnxruntime"
            raise MissingDependencyError(
                f"the onnxruntime backend on {device} needs ONNX Runtime: {command}"
            ) from error
        self._bundle = bundle
        content = bundle.graph(graph).read()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors arrive as exceptions, not twice
        providers, wanted = _providers(onnxruntime, device)
        try:
            # Its own fallback would print to standard output, and run elsewhere than was asked.
            session = onnxruntime.InferenceSession(
                content, options, providers=providers, enable_fallback=0
            )
        except Exception as error:  # its exceptions share no public base class
            if wanted != "CPUExecutionProvider":  # no such GPU, no memory left, ...
                raise BackendError(
                    f"ONNX Runtime could not start {wanted} on {device} ({error}); use device='cpu'"
                ) from error
            raise BundleGraphError(
                f"{bundle.graph(graph).path}: ONNX Runtime cannot load this graph ({error}); "
                "export the bundle again"
            ) from error
        check_ports(bundle, _ports(session.get_inputs()), _ports(session.get_outputs()))
        # ONNX Runtime goes on without a provider that fails to start; that is not what was asked.
        if session.get_providers()[0] != wanted:
            raise BackendError(
                f"ONNX Runtime could not start {wanted}: check that the CUDA and cuDNN versions "
                "fit this onnxruntime-gpu, or use device='cpu'"
            )
        self._session: Any = session
        self.precision = graph  # fixed by the graph, once TF32 is off
        self.device = _device(session)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backend.run`."""
        session = self._session
        if session is None:
            raise ClosedError("this model is closed; make a new one")
        try:
            found: NDArray[np.float32] = session.run(["embeddings"], {"images": batch})[0]
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed: {error}") from error
        return found

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """See `Backend.embed`."""
        return embed_in_parts(self, self._bundle, count, fill)

    def close(self) -> None:
        """See `Backend.close`."""
        self._session = None


def _is_gpu(device: str) -> bool:
    """Whether it is a CUDA device, or the CPU.

    Raises:
        UnknownDeviceError: neither.
    """
    kind, _, number = device.partition(":")
    if device == "cpu":
        return False
    if kind != "cuda" or (number and not number.isdigit()):
        raise UnknownDeviceError(
            f"no device {device!r} in the onnxruntime backend: cpu, cuda or cuda:N"
        )
    return True


def _providers(onnxruntime: Any, device: str) -> tuple[list[Any], str]:
    """The provider list for a device, and which provider must have taken it."""
    if not _is_gpu(device):
        return ["CPUExecutionProvider"], "CPUExecutionProvider"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise MissingDependencyError(
            "this ONNX Runtime was built without CUDA: pip uninstall onnxruntime && "
            f"{install('cuda')}; or run on the CPU: device='cpu'"
        )
    if hasattr(onnxruntime, "preload_dlls"):
        # Finds CUDA and cuDNN in pip's packages, and prints what it does not find.
        with contextlib.redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls()
    # TF32 rounds float32 products to 10 bits: fp32 is to be float32.
    settings = {"device_id": device.partition(":")[2] or "0", "use_tf32": "0"}
    return [("CUDAExecutionProvider", settings), "CPUExecutionProvider"], "CUDAExecutionProvider"


def _device(session: Any) -> str:
    """The device that the session reports."""
    cuda = session.get_provider_options().get("CUDAExecutionProvider")
    return "cpu" if cuda is None else f"cuda:{cuda['device_id']}"


def _ports(nodes: list[Any]) -> list[Port]:
    return [
        (
            node.name,
            _TYPES.get(node.type, node.type),
            [size if isinstance(size, int) else None for size in node.shape],
        )
        for node in nodes
    ]
