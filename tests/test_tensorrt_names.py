"""Every TensorRT name in the source is in all five releases, or behind a version branch."""

from __future__ import annotations

import ast
from pathlib import Path

import _fake_tensorrt as fake
import pytest

SOURCES = [
    Path("reid_edge") / name
    for name in (
        "engines.py",
        "backends/tensorrt.py",
        "backends/_tensorrt_worker.py",
        "backends/_engine.py",
    )
]

# What the variables of the source hold; `trt` is the module.
HOLDS = {
    "trt": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "get_error": "ParserError",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "timings": "ITimingCache",
    "kind": "NetworkDefinitionCreationFlag",
    "_runtime": "Runtime",
    "engine": "ICudaEngine",
    "_engine": "ICudaEngine",
    "context": "IExecutionContext",
}

# Objects of ours that have such a name.
OURS = {
    "backends/tensorrt.py": {"_engine": {"close", "embed", "max_batch", "size", "stages"}},
}

# Names that not every release has, and the only function that may use them.
BRANCHES = {
    ("", "ComputeCapability"): ("_aim", "aimed"),
    ("IBuilderConfig", "num_compute_capabilities"): ("_aim",),
    ("IBuilderConfig", "set_compute_capability"): ("_aim",),
}


def touched():
    """(file, function, class, name) of each attribute that is taken of something TensorRT's."""
    for source in SOURCES:
        file = str(source.relative_to("reid_edge"))
        tree = ast.parse(source.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
                    cls = _class_of(node.value, OURS.get(file, {}), node.attr)
                    if cls is not None:
                        yield file, function.name, cls, node.attr


def _class_of(holder, ours, attribute):
    """The TensorRT class whose attribute this is, if it is one; "" is the module."""
    if isinstance(holder, ast.Call):
        holder = holder.func
    variable = getattr(holder, "id", None) or getattr(holder, "attr", None)
    if attribute in ours.get(variable, ()):
        return None
    if variable in HOLDS:
        return HOLDS[variable]
    text = ast.unparse(holder)
    return text.partition(".")[2] if text.startswith("trt.") else None  # trt.DataType.UINT8


TOUCHED = sorted(set(touched()))


def test_the_walk_sees_what_the_code_is_known_to_use():
    seen = {(cls, name) for _, _, cls, name in TOUCHED}
    for known in (
        ("", "OnnxParser"),
        ("Builder", "build_serialized_network"),
        ("BuilderFlag", "TF32"),
        ("DataType", "UINT8"),
        ("ICudaEngine", "create_execution_context"),
        ("IExecutionContext", "execute_async_v3"),
        ("IExecutionContext", "set_optimization_profile_async"),
        ("ITimingCache", "serialize"),
        ("MemoryPoolType", "WORKSPACE"),
        ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("ParserError", "desc"),
        ("Runtime", "deserialize_cuda_engine"),
        *BRANCHES,
    ):
        assert known in seen


@pytest.mark.parametrize("version", fake.VERSIONS)
def test_every_name_is_there_or_in_its_branch(version):
    api = fake.names_of(version)
    missing = []
    for file, function, cls, name in TOUCHED:
        known = set(api) if cls == "" else api.get(cls, set())
        branch = BRANCHES.get((cls, name)) or BRANCHES.get(("", cls), ())
        if name not in known and function not in branch:
            missing.append(f"{file}: {cls or 'trt'}.{name} in {function}")
    assert missing == []


def test_the_branches_are_for_tensorrt_rtx_alone():
    """Each function refuses, or passes over, the full TensorRT before it uses them."""
    for function in ("_aim", "aimed"):
        (node,) = [
            node
            for source in SOURCES
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.FunctionDef) and node.name == function
        ]
        text = ast.unparse(node)
        assert text.index("is_rtx(trt)") < text.index("trt.ComputeCapability")


def test_the_fallbacks_flags_are_there_in_its_range_and_gone_later():
    """10.3 to 10.11; they are taken by name, so the walk does not see them."""
    assert {"FP16", "INT8"} <= fake.names_of("10.3.0")["BuilderFlag"]
    for version in fake.VERSIONS:
        if version.startswith("11."):
            assert "FP16" not in fake.names_of(version)["BuilderFlag"]
