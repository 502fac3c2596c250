"""The graphs of a model in other precisions, calibrated and judged on real pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid_edge.datasets import Sample
from reid_edge.errors import ConversionError, OptionError
from reid_edge.heads import Head

from . import gate, graph_checks, int8, pictures, ranges, running
from .graph import FP32, Arithmetic, BeyondHalfError
from .pictures import Frame
from .wish import Plan, Wish, plan_for

# FP16 ends at 65504; other pictures may go further than those that were looked at.
_LARGEST_ACTIVATION = float(np.finfo(np.float16).max) / 2
_LOOKED_AT_FOR_RANGE = 256
_INNER_BATCH = 4  # all inner tensors of a batch are held at once


@dataclass(frozen=True)
class Graphs:
    """Graph name -> ONNX file, and graph name -> the gate's entry in bundle.json."""

    files: dict[str, bytes]
    gates: dict[str, dict[str, Any]]


def make(
    write: Callable[[Arithmetic], bytes], fp32: bytes, frame: Frame, head: Head, wish: Wish
) -> Graphs:
    """Write and judge the graphs that were wished for, fp32 first.

    Warns of too few pictures, of graphs that do not pass, and of those that FP16 cannot hold,
    which are left out.

    Args:
        write: writes the model's graph in an arithmetic.
        fp32: what it writes for FP32.
        frame: what the network takes.
        head: of the model.
        wish: checked by `Wish.check`.

    Raises:
        DatasetError: too few of the pictures can be used.
        OptionError: a convolution to keep that the model has not.
        ConversionError: activations or answers that no precision can hold.
    """
    graph_checks.check(fp32, FP32)
    quantisable = ranges.quantisable(fp32)
    _check_keep(wish.keep, quantisable)
    plan = plan_for(wish)
    wanted: dict[str, Arithmetic] = {}
    if "fp16" in wish.precisions:
        wanted["fp16"] = Arithmetic(half=True)
    if "int8" in wish.precisions:
        reached = _reached(fp32, quantisable, plan.calibration, frame, wish)
        wanted["int8"] = _on_cpu(fp32, reached)
        wanted["int8_fp16"] = _on_tensorrt(reached)
    files = {"fp32": fp32}
    for name, arithmetic in list(wanted.items()):
        try:
            files[name] = write(arithmetic)
        except BeyondHalfError as error:
            del wanted[name]
            warnings.warn(f"{name} is left out: {error}", RuntimeWarning, stacklevel=2)
            continue
        graph_checks.check(files[name], arithmetic)
    if not wanted:
        return Graphs(files, {})
    if not plan.judged:
        warnings.warn(
            f"{', '.join(wanted)}: written, but not verified, so reid_edge will not choose it: "
            f"give --gate at least {gate.FEWEST} pictures",
            RuntimeWarning,
            stacklevel=2,
        )
        return Graphs(files, {})
    return Graphs(files, _judge(files, wanted, frame, head, plan))


def _check_keep(keep: Sequence[str], quantisable: Mapping[str, str]) -> None:
    for name in keep:
        if name not in quantisable:
            known = ", ".join(list(quantisable)[:3])
            raise OptionError(f"--keep: int8 has no convolution {name[:80]!r}; it has {known}, ...")


def _reached(
    fp32: bytes,
    quantisable: Mapping[str, str],
    samples: Sequence[Sample],
    frame: Frame,
    wish: Wish,
) -> dict[str, float]:
    """Convolution -> the largest input that INT8 shall reach, from FP32's activations."""
    batches = pictures.batches(samples, frame, _INNER_BATCH)
    shown = running.track(batches, "calibrate", -(-len(samples) // _INNER_BATCH))
    tensors = {name: tensor for name, tensor in quantisable.items() if name not in wish.keep}
    found = ranges.collect(fp32, tensors, shown)
    return {name: each.cut(wish.method) for name, each in found.items()}


def _on_tensorrt(reached: Mapping[str, float]) -> Arithmetic:
    """INT8 amid FP16, with signs: TensorRT knows no others."""
    scales = {name: float(int8.scale(largest)) for name, largest in reached.items()}
    return Arithmetic(half=True, input_scales=scales)


def _on_cpu(fp32: bytes, reached: Mapping[str, float]) -> Arithmetic:
    """INT8 for OpenVINO: dense blocks with one scale, so that they are joined as 8-bit numbers.

    With a scale for each convolution, the whole concatenation is read as floats and rounded
    again before each: on the edge model that took half of the time.

    Activations have no sign.  With one, half of the steps would be lost, and OpenVINO 2026.4
    answers with wrong numbers on processors without AMX (cosines of 0.84 with FP32's embeddings
    on AVX2, 0.96 on AVX512-VNNI).
    """
    scales = {
        name: float(int8.scale(largest, int8.LARGEST_UNSIGNED)) for name, largest in reached.items()
    }
    inputs: dict[str, float | None] = dict(scales)
    outputs: dict[str, float] = {}
    for parts, convolutions in ranges.concatenated(fp32):
        if all(name in scales for name in convolutions):
            widest = max(scales[name] for name in convolutions)
            outputs |= dict.fromkeys(parts, widest)
            inputs |= dict.fromkeys(convolutions)
    return Arithmetic(input_scales=inputs, output_scales=outputs, unsigned=True)


def _judge(
    files: Mapping[str, bytes],
    wanted: Mapping[str, Arithmetic],
    frame: Frame,
    head: Head,
    plan: Plan,
) -> dict[str, dict[str, Any]]:
    """Run all graphs on the judged pictures, and hold them against FP32."""
    executions = {
        name: running.execution(files[name], each.half, bool(each.input_scales), each.unsigned)
        for name, each in wanted.items()
    }
    graphs = {name: (each.graph, each.hint) for name, each in executions.items()}
    batches = pictures.batches(plan.judged, frame)
    shown = running.track(batches, "judge", -(-len(plan.judged) // 16))
    embeddings = running.embed({"fp32": (files["fp32"], "f32"), **graphs}, shown)
    reference = embeddings.pop("fp32")
    if not np.isfinite(reference).all():
        raise ConversionError("the FP32 graph gives NaN or infinity; the training diverged")
    judge = gate.Judge(head, plan.judged, plan.labelled, reference)
    furthest: float | None = None
    gates = {}
    for name, found in embeddings.items():
        entry: dict[str, Any] = {
            "passed": False,
            "data": plan.data,
            "pictures": len(plan.judged),
            "arithmetic": executions[name].arithmetic,
            "emulated": executions[name].emulated,
        }
        if wanted[name].input_scales:
            entry["activations"] = "uint8" if wanted[name].unsigned else "int8"
        if np.isfinite(found).all():
            figures = judge.figures(found)
            entry |= figures
            missed = judge.misses(figures)
        else:
            missed = ["it gives NaN or infinity"]
        if wanted[name].half:
            # Whether it overflows depends on the order of additions, so on the engine.
            if furthest is None:
                furthest = _furthest(files["fp32"], plan.judged, frame)
            entry["largest_activation"] = round(furthest, 3)
            if not furthest < _LARGEST_ACTIVATION:
                missed.append(
                    f"activations reach {furthest:.4g} (at most {_LARGEST_ACTIVATION:.0f}, "
                    "as FP16 ends at 65504)"
                )
        entry["passed"] = not missed
        if missed:
            warnings.warn(
                f"{name} is written but marked unusable, since it strays from fp32 on "
                f"{plan.data}: {'; '.join(missed)}",
                RuntimeWarning,
                stacklevel=3,
            )
        gates[name] = entry
    return gates


def _furthest(fp32: bytes, samples: Sequence[Sample], frame: Frame) -> float:
    some = pictures.evenly(samples, _LOOKED_AT_FOR_RANGE)
    return ranges.reaching_furthest(fp32, pictures.batches(some, frame, _INNER_BATCH))
