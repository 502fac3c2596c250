"""From a bundle to a running TensorRT backend: the module, the GPU, and the plan, built or kept."""

from __future__ import annotations

import importlib
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import engine_cache, engines
from .._build_display import BuildDisplay
from .._extras import install
from ..bundle import Bundle
from ..engine_options import BuildOptions, EngineOptions
from ..errors import (
    BackendError,
    DriverError,
    EnginePlanError,
    MissingDependencyError,
    OptionError,
    UnservedGpuError,
)
from . import _cuda
from .tensorrt import TensorRtBackend

MODULES = ("tensorrt", "tensorrt_rtx")
_TARGET = re.compile("SM([0-9]+)([0-9])")
_OLDEST = {"tensorrt": (10, 3), "tensorrt_rtx": (1, 4)}
_EXTRAS = {
    "tensorrt": f"{install('tensorrt')}; on a Jetson it comes with JetPack: make the virtual "
    "environment with --system-site-packages",
    "tensorrt_rtx": install("rtx"),
}


def start(
    module: str, bundle: Bundle, graph: str, device: str, options: EngineOptions
) -> TensorRtBackend:
    """Load the engine of a graph, after building it where there is none that fits.

    Raises:
        UnservedGpuError: TensorRT-RTX on a GPU that it does not serve.
        BackendError: no driver, no TensorRT, a graph that it refuses, no memory, no safe folder.
        BundleError: the graph is damaged.
    """
    gpu = _cuda.open_gpu(int(device.partition(":")[2] or 0))
    trt = load(module)
    folder = engine_cache.folder_for(options.folder)
    build = aimed(trt, gpu.info, options.build)
    wanted = describe(trt, bundle, graph, gpu.info, build)
    found = engine_cache.find(folder, wanted)
    if found.plan is not None:
        try:
            return _running(trt, gpu, bundle, graph, options, found)
        except EnginePlanError as error:
            found = replace(found, reason=str(error))
    found = built(trt, bundle, graph, gpu, folder, build, found)
    return _running(trt, gpu, bundle, graph, options, found)


def _running(
    trt: Any,
    gpu: _cuda.Gpu,
    bundle: Bundle,
    graph: str,
    options: EngineOptions,
    found: engine_cache.Found,
) -> TensorRtBackend:
    assert found.plan is not None
    precision = graph
    if not found.strongly_typed:
        precision = f"{graph}, weakly typed"
        warnings.warn(
            f"TensorRT {trt.__version__} did not take the {graph} graph as strongly typed; "
            "the precision of single layers is TensorRT's choice",
            RuntimeWarning,
            stacklevel=2,
        )
    return TensorRtBackend(trt, gpu, bundle, found.plan, precision, options.cuda_graphs)


def load(module: str, ahead: bool = False) -> Any:
    """Import `tensorrt` or `tensorrt_rtx`; a driver must have been found before.

    Args:
        ahead: only to build ahead of time, which needs no driver.

    Raises:
        MissingDependencyError: it is not installed.
        DriverError: the driver is older than the CUDA version that the package was built for.
        BackendError: it is older than what this code is for.
    """
    needed = 0 if ahead else _cuda_major(module)
    if needed and _cuda.driver_present() and needed > _cuda.driver_version()[0]:
        found = ".".join(map(str, _cuda.driver_version()))
        raise DriverError(
            f"the NVIDIA driver serves CUDA {found}, but {module} was built for CUDA {needed}; "
            f"update the driver, or install the package for CUDA {found.partition('.')[0]}"
        )
    try:
        trt = importlib.import_module(module)
        version = engines.version_of(trt)
    # Broken libraries raise other things, too, and an empty package in its place has no version.
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise MissingDependencyError(
            f"the {module} backend needs NVIDIA's {module} package ({error}): {_EXTRAS[module]}"
        ) from error
    if version < _OLDEST[module]:
        oldest = ".".join(map(str, _OLDEST[module]))
        raise BackendError(
            f"{module} {trt.__version__} is too old: install {oldest} or later (JetPack 6.1 or "
            "later on a Jetson)"
        )
    return trt


def aimed(trt: Any, info: _cuda.GpuInfo, build: BuildOptions) -> BuildOptions:
    """The options with TensorRT-RTX's target: one that was given, else the GPU that is there.

    RTX plans are built for a compute capability, so one that was built ahead of time serves.

    Raises:
        UnservedGpuError: TensorRT-RTX does not run on this GPU, such as an H200, whatever the
            engine is built for.
    """
    if not engines.is_rtx(trt):
        return build
    names = map(_TARGET.fullmatch, dir(trt.ComputeCapability))
    targets = sorted((int(name[1]), int(name[2])) for name in names if name)
    is_target = info.compute_capability in targets
    # It serves those to come after its newest target, and none that it has left out: 9.0 was
    # tried with engines for 9.0, 8.0 and 8.6, and its message names those that it serves.
    if targets and not is_target and info.compute_capability < targets[-1]:
        served = ", ".join(f"{major}.{minor}" for major, minor in targets)
        here = ".".join(map(str, info.compute_capability))
        raise UnservedGpuError(
            f"TensorRT-RTX {trt.__version__} does not run on this GPU ({info.name}, compute "
            f"capability {here}), but on {served} and later; use backend='tensorrt' or "
            "backend='onnxruntime' here, or build for another GPU: "
            "python -m reid_edge build --target"
        )
    if is_target and build.target is None:
        return replace(build, target=info.compute_capability)
    return build


def describe(
    trt: Any, bundle: Bundle, graph: str, info: _cuda.GpuInfo | None, build: BuildOptions
) -> engine_cache.Wanted:
    """What the engine depends on.

    Args:
        info: the GPU; None for a build ahead of time, which `build.target` describes.
    """
    gpu: dict[str, Any] = {}
    if build.target is not None:
        gpu["compute_capability"] = list(build.target)
    elif info is not None:
        gpu = {
            "name": info.name,
            "compute_capability": list(info.compute_capability),
            "multiprocessors": info.multiprocessors,
            # What a driver reserves differs a little from version to version.
            "memory_gib": round(info.memory / (1 << 30)),
        }
    else:
        raise OptionError("without a GPU, give a target to build for, such as sm86")
    return engine_cache.Wanted(
        engine=trt.__name__,
        version=str(trt.__version__),
        model=bundle.name,
        graph=graph,
        graph_sha256=bundle.graph(graph).sha256,
        gpu=gpu,
        profiles=[[p.low, p.best, p.high] for p in build.profiles()],
        options={"workspace": build.workspace, "level": build.level},
    )


def built(
    trt: Any,
    bundle: Bundle,
    graph: str,
    gpu: _cuda.Gpu | None,
    folder: Path,
    build: BuildOptions,
    found: engine_cache.Found,
    must_keep: bool = False,
) -> engine_cache.Found:
    """Build an engine and keep it; several processes that ask at once build it once.

    Args:
        gpu: where it is to run; None to build ahead of time.
        found: why it must be built, for the one line that is shown; with the plan that is there
            if that one is known not to load.
        must_keep: a disk that refuses is an error, not a warning.
    """
    wanted = describe(trt, bundle, graph, gpu.info if gpu else None, build)
    content = bundle.graph(graph).read()
    display = BuildDisplay(f"{wanted.engine} {wanted.version} engine of {bundle.name} {graph}")
    with engine_cache.building(folder, wanted, display.waiting) as folder:
        # Another process may have built it since the caller looked.
        now = engine_cache.find(folder, wanted)
        if now.plan is not None and now.plan != found.plan:
            return now
        with display.shown(found.reason):
            made = engines.build_engine(
                trt,
                content,
                graph,
                (bundle.height, bundle.width),
                build,
                engine_cache.timing_cache(folder, wanted),
                display.progress,
                **({"current": gpu.current} if gpu else {}),
            )
        engine_cache.keep(folder, wanted, made, must_keep)
    return engine_cache.Found(made.plan, strongly_typed=made.strongly_typed)


def _cuda_major(module: str) -> int:
    """The CUDA version that an installed package was built for; 0 where its name does not say."""
    from importlib import metadata  # slow to import

    prefix = module.replace("_", "-") + "-cu"
    for major in range(11, 20):
        try:
            metadata.distribution(f"{prefix}{major}-bindings")
        except metadata.PackageNotFoundError:
            continue
        return major
    return 0
