"""A tiny but real bundle, and pictures for it; each part can be made wrong on purpose."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reid_edge.backends._protocol import embed_in_parts

HEIGHT, WIDTH, SIZE = 32, 16, 8
COSINE = {"type": "cosine", "scale": 6.0, "bias": -3.0}


def concat_mlp() -> dict[str, Any]:
    """A concat_mlp head of fixed random numbers; it takes embeddings of 64."""
    rng = np.random.default_rng(7)
    return {
        "type": "concat_mlp",
        "hidden_bias": rng.normal(size=32).tolist(),
        "output_weights": (rng.normal(size=32) / 4).tolist(),
        "output_bias": 0.25,
    }


def model(
    *,
    size: int = SIZE,
    normalise: bool = True,
    input_name: str = "images",
    input_type: int = TensorProto.UINT8,
    input_shape: tuple[int | str, ...] = ("batch", HEIGHT, WIDTH, 3),
    output_name: str = "embeddings",
    nan: bool = False,
    second_output: bool = False,
    second_input: bool = False,
    drops_last: bool = False,
) -> onnx.ModelProto:
    """A convolutional backbone with the promised input and output, or with others.

    `drops_last` gives one row less than there are pictures, which no shape tells beforehand.
    """
    rng = np.random.default_rng(42)

    def constant(name: str, values: Any) -> TensorProto:
        return numpy_helper.from_array(np.asarray(values, np.float32), name)

    gemm = rng.normal(size=(4 * (HEIGHT // 8) * (WIDTH // 8), size))
    constants = [
        constant("middle", 127.5),
        constant("unit", 1 / 64),
        constant("kernels", rng.normal(size=(4, 3, 3, 3)) / 3),
        constant("kernel_bias", rng.normal(size=4) / 4),
        constant("gemm", gemm * np.nan if nan else gemm),
        constant("gemm_bias", rng.normal(size=size) / 8),
    ]
    nodes = [
        helper.make_node("Cast", [input_name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "unit"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["planes", "kernels", "kernel_bias"], ["maps"], strides=[2, 2], pads=[1] * 4
        ),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node(
            "AveragePool", ["active"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]
        ),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
    ]
    if drops_last:
        constants += [numpy_helper.from_array(np.array([k]), f"k{k}") for k in (0, -1)]
        nodes.append(helper.make_node("Slice", ["flat", "k0", "k-1", "k0"], ["cut"]))
    flat = "cut" if drops_last else "flat"
    raw = "raw" if normalise else output_name
    nodes.append(helper.make_node("Gemm", [flat, "gemm", "gemm_bias"], [raw]))
    if normalise:
        nodes.append(helper.make_node("LpNormalization", ["raw"], [output_name], axis=1, p=2))
    inputs = [helper.make_tensor_value_info(input_name, input_type, input_shape)]
    rows = "n" if drops_last else "batch"
    outputs = [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [rows, size])]
    if second_input:
        inputs.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch", size]))
        nodes[-1].output[0] = "before"
        nodes.append(helper.make_node("Add", ["before", "more"], [output_name]))
    if second_output:
        outputs.append(
            helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", gemm.shape[0]])
        )
    return helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 19)],
        ir_version=10,
    )


def description(graph: bytes, size: int, head: dict[str, Any]) -> dict[str, Any]:
    """A valid bundle.json."""
    return {
        "schema": 1,
        "name": "tiny",
        "version": "1",
        "description": "Random weights, for tests.",
        "licence": {"name": "Apache-2.0", "summary": "Free to use."},
        "input": {"height": HEIGHT, "width": WIDTH, "resize": "area"},
        "embedding_size": size,
        "graphs": {
            "fp32": {
                "file": "fp32.onnx",
                "sha256": hashlib.sha256(graph).hexdigest(),
                "bytes": len(graph),
            }
        },
        "default_precision": "fp32",
        "gates": {},
        "head": head,
        "thresholds": {"far_1e-2": {"score": 0.8, "low": 0.75, "high": 0.85}},
        "figures": {"market1501": {"rank1": 0.5}},
    }


def write(
    folder: Path,
    graph: onnx.ModelProto | bytes | None = None,
    size: int = SIZE,
    head: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """A bundle in `folder`; `changes` replace fields of bundle.json."""
    graph = model(size=size) if graph is None else graph
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fp32.onnx").write_bytes(content)
    described = {**description(content, size, head or COSINE), **changes}
    (folder / "bundle.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def write_all_graphs(folder: Path, **gates: bool) -> Path:
    """A bundle whose four graphs are one and the same file; `gates` says which passed."""
    content = model().SerializeToString()
    fp32 = description(content, SIZE, COSINE)["graphs"]["fp32"]
    names = ("fp32", "fp16", "int8", "int8_fp16")
    write(
        folder,
        content,
        graphs={name: {**fp32, "file": f"{name}.onnx"} for name in names},
        default_precision="auto",
        gates={name: {"passed": passed} for name, passed in gates.items()},
    )
    for name in names:
        (folder / f"{name}.onnx").write_bytes(content)
    return folder


def write_concat(folder: Path) -> Path:
    """A bundle with the pair head of the original library."""
    return write(folder, model(size=64, normalise=False), 64, concat_mlp())


def picture(seed: int, height: int = 48, width: int = 24) -> np.ndarray:
    """A picture of coloured blocks: pictures of different seeds embed far apart."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 3, 3), np.uint8)
    rows = np.arange(height) * 6 // height
    columns = np.arange(width) * 3 // width
    return blocks[rows][:, columns]


class Counting:
    """A backend around another one that counts the pictures it is given."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.passes, self.calls = inner, 0, 0
        self.sizes: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embed(self, count, fill):
        return embed_in_parts(self, self.inner._bundle, count, fill)

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.passes += len(batch)
        self.calls += 1
        self.sizes.add(len(batch))
        return self.inner.run(batch)
