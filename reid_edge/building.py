"""Build TensorRT engines beforehand: in an image, at first boot, or for a GPU that is elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import bundle, engine_cache
from .backends import _cuda, _engine
from .backends._choose import graph_for
from .engine_options import BuildOptions, module_of
from .errors import DriverError, OptionError, UnknownBackendError, UnknownDeviceError

_TARGET = re.compile(r"(?:sm_?)?([0-9]{1,2})\.?([0-9])")
_DEVICE = re.compile(r"cuda(?::[0-9]{1,3})?")


NO_GPU = (
    "no NVIDIA driver with a GPU was found: engines are built on the GPU that they are for; run "
    "python -m reid_edge build there (TensorRT-RTX builds without one: python -m reid_edge build "
    "--backend tensorrt_rtx --target sm86)"
)


@dataclass(frozen=True)
class Engine:
    """A built engine: its plan, its graph, and whether it had to be built."""

    path: Path
    graph: str
    is_new: bool


def build(
    model: str | Path | None = None,
    backend: str = "tensorrt",
    precision: str = "auto",
    device: str = "cuda",
    *,
    max_batch: int = 32,
    target: str | None = None,
    out: str | Path | None = None,
    allow_unverified: bool = False,
) -> Engine:
    """Build the engine that `ReId(model, backend, precision, device)` would build on first use.

    Neither onnx nor a checkout is needed.

    Args:
        model: None for the default model, the name of a shipped one, or a bundle's folder.
        backend: `tensorrt` or `tensorrt_rtx`.
        precision: `auto`, `fp32`, `fp16` or `int8`.
        device: `cuda` or `cuda:N`: the GPU to build for and on.
        max_batch: the largest batch, 1...1024 pictures; the ReId must be given the same.
        target: a compute capability such as `sm86`, to build without that GPU; TensorRT-RTX only.
        out: the folder; pass it on as `ReId(engine_dir=...)` or in REID_EDGE_CACHE.
        allow_unverified: build a graph whose accuracy gate was not passed.

    Raises:
        OptionError: an option that does not exist or cannot be had.
        BundleError: the model's files are damaged.
        BackendError: no driver, no TensorRT, a graph that it refuses, a folder that can't be used.
    """
    backend = module_of(backend)
    if backend not in _engine.MODULES:
        raise UnknownBackendError(
            f"no engines for backend {backend!r}: give {' or '.join(_engine.MODULES)}"
        )
    if not _DEVICE.fullmatch(device):
        raise UnknownDeviceError(f"no device {device!r} to build for: give cuda or cuda:N")
    options = BuildOptions(max_batch=max_batch, target=read_target(target, backend))
    found = bundle.load(bundle.find(model))
    graph = graph_for(found, precision, backend, device, allow_unverified)
    gpu = None
    if options.target is None:
        if not _cuda.driver_present():
            raise DriverError(NO_GPU)
        gpu = _cuda.open_gpu(int(device.partition(":")[2] or 0))
    trt = _engine.load(backend, ahead=gpu is None)
    if gpu is not None:
        options = _engine.aimed(trt, gpu.info, options)
    folder = engine_cache.folder_for(out)
    wanted = _engine.describe(trt, found, graph, gpu.info if gpu else None, options)
    kept = engine_cache.find(folder, wanted)
    if kept.plan is None:
        _engine.built(trt, found, graph, gpu, folder, options, kept, must_keep=True)
    return Engine(folder / f"{wanted.stem}.plan", graph, kept.plan is None)


def read_target(text: str | None, backend: str) -> tuple[int, int] | None:
    """A compute capability such as `sm86`, `sm_86` or `8.6`: (8, 6).

    Raises:
        OptionError: it is none, or the backend takes none.
    """
    if text is None:
        return None
    if backend != "tensorrt_rtx":
        raise OptionError(
            "TensorRT builds for the GPU that is there; only tensorrt_rtx takes a target"
        )
    match = _TARGET.fullmatch(text)
    if match is None:
        raise OptionError(f"no target {text!r}: give a compute capability such as sm86")
    return int(match[1]), int(match[2])
