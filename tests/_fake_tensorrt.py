"""A double of the `tensorrt` module that has exactly the names of one real release.

`make(version)` builds it from `data/tensorrt_api/<version>.json`, the names of that release:
whatever the double implements and the release lacks is removed, and what the double lacks fails.
Plans are JSON; an engine computes `embedding_of`.
"""

from __future__ import annotations

import enum
import json
import types
from pathlib import Path

import numpy as np
import onnx

API = Path(__file__).parent / "data" / "tensorrt_api"
VERSIONS = tuple(
    sorted((path.stem for path in API.glob("*.json")), key=lambda v: [*map(int, v.split(".")[:3])])
)


def names_of(version):
    """Class -> names, and the module's own names under ''."""
    found = json.loads((API / f"{version}.json").read_text())
    return {name: set(members) for name, members in found.items()}


def embedding_of(pictures, size):
    """What an engine of the double computes: uint8 (n, h, w, 3) -> float32 (n, size)."""
    flat = pictures.reshape(len(pictures), -1).astype(np.int64)
    weights = np.random.default_rng(3).integers(-9, 10, (flat.shape[1], size))
    found = flat @ weights  # integers: the same in every batch size
    return (found / np.sqrt((found**2).sum(1, keepdims=True)).clip(1)).astype(np.float32)


def make(version="10.13.3.9.post1", gpu=None, name="tensorrt"):
    """The module.

    Its attribute `world` holds what the test sets: `gpu`, `weak_only`, `refuses`, `no_plan`,
    `slow` and what it wants to see: `log` (shared with the GPU's, if there is one).
    """
    world = types.SimpleNamespace(
        gpu=gpu,
        log=gpu.log if gpu else [],
        weak_only=False,  # strongly typed networks are refused
        no_plan=None,  # a reason why the builder finds no plan
        no_start=None,  # a reason why neither a builder nor a runtime starts
        foreign_timings=None,  # a timing cache that is not taken
        no_context=None,
        during_build=lambda step: None,
        steps=3,
        builds=[],
        launches=[],
    )
    trt = types.ModuleType(name)
    trt.__version__ = version
    trt.world = world
    for cls in (_enums() | _classes(trt, world)).values():
        setattr(trt, cls.__name__, cls)
    _prune(trt, names_of(version))
    return trt


def _enums():
    def of(name, *members, start=0):
        return enum.IntEnum(name, {m: i for i, m in enumerate(members, start)})

    return {
        name: of(name, *members)
        for name, members in {
            "NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
            "BuilderFlag": ("FP16", "INT8", "TF32"),
            "MemoryPoolType": ("WORKSPACE",),
            "TensorIOMode": ("NONE", "INPUT", "OUTPUT"),
            "DataType": ("FLOAT", "HALF", "INT8", "UINT8"),
        }.items()
    }


def _classes(trt, world):
    def start(logger):
        if world.no_start:
            logger.log(ILogger.ERROR, world.no_start)
            raise TypeError("pybind11::init(): factory function returned nullptr")

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class IProgressMonitor:
        pass

    class Builder:
        def __init__(self, logger):
            self.logger_ = logger
            start(logger)

        def create_network(self, flags=0):
            return INetworkDefinition(flags)

        def create_builder_config(self):
            return IBuilderConfig()

        def create_optimization_profile(self):
            return IOptimizationProfile()

        def build_serialized_network(self, network, config):
            flags = network.flags_
            strong = bool(flags & 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
            monitor, going = config.progress_monitor, True
            monitor.phase_start("Building engine", None, world.steps)
            monitor.phase_start("Tactics", "Building engine", 2)
            monitor.step_complete("Tactics", 0)
            monitor.phase_finish("Tactics")
            for step in range(world.steps):
                world.during_build(step)
                going = monitor.step_complete("Building engine", step)
                if not going:
                    break
            monitor.phase_finish("Building engine")
            if not going or world.no_plan or (strong and world.weak_only):
                self.logger_.log(ILogger.ERROR, world.no_plan or "strong typing: not supported")
                return None
            world.builds.append(
                {
                    "strong": strong,
                    "flags": sorted(flag.name for flag in config.flags_),
                    "level": config.builder_optimization_level,
                    "workspace": config.pools_[trt.MemoryPoolType.WORKSPACE],
                    "profiles": [profile.shapes_ for profile in config.profiles_],
                    "timing_cache": config.cache_.content if config.cache_ else None,
                }
            )
            if config.cache_:
                config.cache_.content = b"timings " + str(len(world.builds)).encode()
            plan = {
                "version": trt.__version__,
                "inputs": network.inputs_,
                "outputs": network.outputs_,
                "profiles": [profile.shapes_ for profile in config.profiles_],
            }
            return memoryview(json.dumps(plan).encode())

    class INetworkDefinition:
        def __init__(self, flags):
            self.flags_, self.inputs_, self.outputs_ = flags, [], []

    class IOptimizationProfile:
        def set_shape(self, name, low, best, high):
            self.shapes_ = {name: [list(low), list(best), list(high)]}

    class ITimingCache:
        def __init__(self, content):
            self.content = content

        def serialize(self):
            return memoryview(self.content)

    class IBuilderConfig:
        def __init__(self):
            self.profiles_, self.pools_, self.cache_ = [], {}, None
            self.flags_ = {trt.BuilderFlag.TF32}  # as the real ones start

        builder_optimization_level = 3
        progress_monitor = None

        def set_flag(self, flag):
            self.flags_.add(flag)

        def clear_flag(self, flag):
            self.flags_.discard(flag)

        def set_memory_pool_limit(self, pool, size):
            self.pools_[pool] = size

        def add_optimization_profile(self, profile):
            self.profiles_.append(profile)

        def create_timing_cache(self, content):
            return ITimingCache(content)

        def set_timing_cache(self, cache, ignore_mismatch):
            assert not ignore_mismatch
            if world.foreign_timings is not None and cache.content == world.foreign_timings:
                return False
            self.cache_ = cache
            return True

        def get_timing_cache(self):
            return self.cache_

    class ParserError:
        def __init__(self, text):
            self.text_ = text

        def desc(self):
            return self.text_

    class OnnxParser:
        def __init__(self, network, logger):
            self.network_, self.errors_ = network, []

        @property
        def num_errors(self):
            return len(self.errors_)

        def get_error(self, index):
            return self.errors_[index]

        def parse(self, content):
            try:
                graph = onnx.load_from_string(content).graph
            except Exception:
                self.errors_.append(ParserError("Failed to parse the ONNX model."))
                return False
            for ports, found in (
                (graph.input, self.network_.inputs_),
                (graph.output, self.network_.outputs_),
            ):
                for port in ports:
                    kind = onnx.TensorProto.DataType.Name(port.type.tensor_type.elem_type)
                    shape = [d.dim_value or -1 for d in port.type.tensor_type.shape.dim]
                    found.append((port.name, kind, shape))
            return True

    class Runtime:
        def __init__(self, logger):
            self.logger_ = logger
            start(logger)
            world.gpu.make(self, "runtime")

        def deserialize_cuda_engine(self, content):
            try:
                plan = json.loads(content)
                if plan["version"] != trt.__version__:
                    raise ValueError("The engine plan file is not compatible with this version")
            except ValueError as error:
                self.logger_.log(ILogger.ERROR, str(error))
                return None
            return ICudaEngine(plan)

        def __del__(self):
            if id(self) in world.gpu.live:
                world.gpu.drop(self, "runtime")

    class ICudaEngine:
        def __init__(self, plan):
            self.plan_ = plan
            self.ports_ = plan["inputs"] + plan["outputs"]
            world.gpu.make(self, "engine")

        def __del__(self):
            world.gpu.drop(self, "engine")

        @property
        def num_io_tensors(self):
            return len(self.ports_)

        @property
        def num_optimization_profiles(self):
            return len(self.plan_["profiles"])

        def _port(self, name):
            return next(port for port in self.ports_ if port[0] == name)

        def get_tensor_name(self, index):
            return self.ports_[index][0]

        def get_tensor_mode(self, name):
            inputs = [port[0] for port in self.plan_["inputs"]]
            return trt.TensorIOMode.INPUT if name in inputs else trt.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name):
            return trt.DataType[self._port(name)[1]]

        def get_tensor_shape(self, name):
            return tuple(self._port(name)[2])

        def get_tensor_profile_shape(self, name, index):
            return [tuple(shape) for shape in self.plan_["profiles"][index][name]]

        def create_execution_context(self):
            return None if world.no_context else IExecutionContext(self)

    class IExecutionContext:
        def __init__(self, engine):
            self.engine_, self.addresses_, self.profile_, self.shape_ = engine, {}, 0, None
            self.changes_ = 0  # work that is queued or recorded must find it unchanged
            world.gpu.make(self, "context")

        def __del__(self):
            world.gpu.drop(self, "context")

        def set_tensor_address(self, name, address):
            world.log.append(("address", name, address))
            self.addresses_[name] = address
            return True

        def set_optimization_profile_async(self, index, stream):
            world.log.append(("profile", index))
            self.profile_, self.shape_ = index, None
            self.changes_ += 1
            return True

        def set_input_shape(self, name, shape):
            low, _, high = self.engine_.get_tensor_profile_shape(name, self.profile_)
            if not low[0] <= shape[0] <= high[0] or tuple(shape[1:]) != low[1:]:
                return False
            world.log.append(("shape", shape[0]))
            self.shape_ = shape
            self.changes_ += 1
            return True

        def execute_async_v3(self, stream):
            world.gpu.check()
            assert self.shape_ is not None, "launched without an input shape"
            world.log.append(("execute", stream, self.shape_[0]))
            world.launches.append(self.shape_[0])
            shape, changes = self.shape_, self.changes_
            source = world.gpu.memory[self.addresses_["images"]]
            to = world.gpu.memory[self.addresses_["embeddings"]].view(np.float32)
            size = self.engine_._port("embeddings")[2][1]

            def compute():
                assert self.changes_ == changes, "the context was changed under queued work"
                pictures = source[: int(np.prod(shape))].reshape(shape)
                to[: shape[0] * size] = embedding_of(pictures, size).ravel()

            world.gpu.streams[stream].queue.append(compute)
            return True

    found = [c for c in locals().values() if isinstance(c, type)]
    return {c.__name__: c for c in found}


def _prune(trt, api):
    """Remove what this release does not have."""
    for name, thing in list(vars(trt).items()):
        if not isinstance(thing, type):
            continue
        if name not in api:
            delattr(trt, name)
            continue
        if issubclass(thing, enum.Enum):
            kept = {m.name: m.value for m in thing if m.name in api[name]}
            setattr(trt, name, enum.IntEnum(name, kept))
            continue
        for member in list(vars(thing)):
            if not member.startswith("_") and not member.endswith("_") and member not in api[name]:
                delattr(thing, member)
