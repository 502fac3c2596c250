"""Every TensorRT name in the source is in all five releases, or behind a version branch."""

from __future__ import annotations

import ast
from pathlib import Path

import _fake_tensorrt as fake
import pytest

SOURCES = [
    Path("reid_edge") / name
    for name in ("engines.py", "backends/tensorrt.py", "backends/_engine.py")
]

# What the variables of the source hold.
HOLDS = {
    "trt": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "found": "ITimingCache",
    "kind": "NetworkDefinitionCreationFlag",
    "runtime": "Runtime",
    "_runtime": "Runtime",
    "engine": "ICudaEngine",
    "_engine": "ICudaEngine",
    "context": "IExecutionContext",
    "_context": "IExecutionContext",
    "get_error": "ParserError",
}

# Same variable names, other things.
OURS = {
    ("backends/tensorrt.py", "_engine"): {"close", "embed", "max_batch", "size"},
    ("backends/tensorrt.py", "engine"): {"max_batch", "size"},
    ("backends/tensorrt.py", "found"): {"append"},
    ("backends/_engine.py", "found"): {"partition"},
}

# Names that are not in every release, with the branch of the source that guards them.
BRANCHES = {
    ("ComputeCapability", ""): "is_rtx(trt)",
    ("IBuilderConfig", "num_compute_capabilities"): "is_rtx(trt)",
    ("IBuilderConfig", "set_compute_capability"): "is_rtx(trt)",
    ("BuilderFlag", ""): "version_of(self.trt) < _STRONG_TYPING_COMPLETE",
}


def touched():
    """(file, class, name) of each attribute that is taken of something TensorRT's."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            holder = node.value
            if isinstance(holder, ast.Call):
                holder = holder.func
            variable = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", None)
            file = str(source.relative_to("reid_edge"))
            if node.attr.startswith("__") or node.attr in OURS.get((file, variable), ()):
                continue
            if variable in HOLDS:
                yield file, HOLDS[variable], node.attr
            elif ast.unparse(holder).startswith("trt."):  # an enumeration: trt.DataType.UINT8
                yield file, ast.unparse(holder).partition(".")[2], node.attr


TOUCHED = sorted(set(touched()))


def test_the_walk_sees_what_the_code_is_known_to_use():
    for known in (
        ("engines.py", "Builder", "build_serialized_network"),
        ("engines.py", "MemoryPoolType", "WORKSPACE"),
        ("engines.py", "NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("engines.py", "ParserError", "desc"),
        ("engines.py", "", "OnnxParser"),
        ("backends/tensorrt.py", "IExecutionContext", "execute_async_v3"),
        ("backends/tensorrt.py", "Runtime", "deserialize_cuda_engine"),
        ("backends/tensorrt.py", "DataType", "UINT8"),
    ):
        assert known in TOUCHED


@pytest.mark.parametrize("version", fake.VERSIONS)
def test_every_name_is_there_or_behind_its_branch(version):
    api = fake.names_of(version)
    missing = []
    for file, cls, name in TOUCHED:
        # The module's own names: its classes, and what Python gives every module.
        known = set(api) if cls == "" else api.get(cls, set())
        guarded = (cls, name) in BRANCHES or (cls, "") in BRANCHES or (name, "") in BRANCHES
        if name not in known and not guarded:
            missing.append(f"{file}: {cls or 'trt'}.{name}")
    assert missing == []


@pytest.mark.parametrize("branch", sorted(set(BRANCHES.values())))
def test_the_branches_are_in_the_source(branch):
    assert any(branch in source.read_text() for source in SOURCES)


def test_what_stands_behind_the_version_branch_is_there_in_its_range():
    # 10.3 to 10.11: the fallback's flags.
    assert {"FP16", "INT8"} <= fake.names_of("10.3.0")["BuilderFlag"]
    for version in fake.VERSIONS:
        if version.startswith("11."):
            assert "FP16" not in fake.names_of(version)["BuilderFlag"]
