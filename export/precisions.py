"""The graphs of a model in other precisions, calibrated and judged on real pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid_edge.datasets import Sample
from reid_edge.errors import (
    ConversionError,
    DatasetError,
    OptionError,
    UnknownPrecisionError,
)
from reid_edge.heads import Head

from . import gate, graph_checks, int8, pictures, ranges, running
from .graph import FP32, Arithmetic, BeyondHalfError
from .pictures import Frame, PictureSet

PRECISIONS = ("fp32", "fp16", "int8")

# FP16 ends at 65504; other pictures may go further than those that were looked at.
_LARGEST_ACTIVATION = float(np.finfo(np.float16).max) / 2
_LOOKED_AT_FOR_RANGE = 256
_INNER_BATCH = 4  # all inner tensors of a batch are held at once


@dataclass(frozen=True)
class Wish:
    """Which graphs shall be written, and from which pictures.

    Attributes:
        precisions: of `PRECISIONS`; fp32 is always written.
        calibration: pictures, or where they are, as in `pictures.open_set`; for int8.
        calibration_size: how many of its pictures are used at most.
        method: of `ranges.METHODS`.
        gate: as `calibration`, the pictures to judge on; None takes pictures of `calibration`
            that were not calibrated on.
        keep: convolutions to leave as floats, besides those that always are.
    """

    precisions: Sequence[str] = ("fp32",)
    calibration: str | PictureSet | None = None
    calibration_size: int = 512
    method: str = ranges.DEFAULT_METHOD
    gate: str | PictureSet | None = None
    keep: Sequence[str] = ()

    @property
    def only_fp32(self) -> bool:
        """Whether there is nothing to do."""
        return set(self.precisions) <= {"fp32"}

    def check(self) -> None:
        """Whether the wishes go together.

        Raises:
            OptionError: they do not.
        """
        for name in self.precisions:
            if name not in PRECISIONS:
                raise UnknownPrecisionError(
                    f"no precision {name[:40]!r}; the precisions are {', '.join(PRECISIONS)}"
                )
        ranges.check_method(self.method)
        if self.calibration_size < 1:
            raise OptionError("--calibration-size must be at least 1")
        if self.only_fp32 and (self.calibration or self.gate):
            raise OptionError(
                "--calibration and --gate are for --precision fp16 or int8; leave them out"
            )
        if "int8" in self.precisions and self.calibration is None:
            raise OptionError(
                "int8 needs pictures to calibrate on: give --calibration a folder of crops of "
                "people as your cameras see them, a few hundred"
            )
        if self.keep and "int8" not in self.precisions:
            raise OptionError("--keep goes with --precision int8 only; leave it out")


@dataclass(frozen=True)
class Graphs:
    """Graph name -> ONNX file, and graph name -> the gate's entry in bundle.json."""

    files: dict[str, bytes]
    gates: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Plan:
    """Which pictures do what."""

    calibration: Sequence[Sample]
    judged: Sequence[Sample]
    labelled: bool
    data: str


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
        DatasetError, ImageFileError: the pictures cannot be used.
        OptionError: a convolution to keep that the model has not.
        ConversionError: activations or answers that no precision can hold.
    """
    graph_checks.check(fp32, FP32)
    quantisable = ranges.quantisable(fp32)
    _check_keep(wish.keep, quantisable)
    plan = _plan(wish)
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


def _plan(wish: Wish) -> _Plan:
    source = None if wish.calibration is None else pictures.opened(wish.calibration)
    chosen: list[Sample] = []
    if source is not None and "int8" in wish.precisions:
        chosen = pictures.evenly(source.samples, wish.calibration_size)
        if len(chosen) < wish.calibration_size:
            warnings.warn(
                f"calibrating on {len(chosen)} pictures, as {source.name} has no more; "
                f"{wish.calibration_size} give steadier ranges",
                RuntimeWarning,
                stacklevel=3,
            )
    if wish.gate is not None:
        given = pictures.opened(wish.gate)
        try:
            return _judged_by(given, given.samples, chosen)
        except DatasetError as error:
            raise DatasetError(f"--gate {given.name}: {error}") from error
    if source is None:
        return _Plan(chosen, (), False, "")
    used = {sample.path.resolve() for sample in chosen}
    unseen = [sample for sample in source.samples if sample.path.resolve() not in used]
    if source.labelled:
        try:
            return _judged_by(source, unseen, chosen)
        except DatasetError:  # too few are left to rank
            source = PictureSet(source.name, source.samples, False)
    enough = len(unseen) >= 4 * gate.FEWEST
    return _judged_by(source, unseen if enough else source.samples, chosen)


def _judged_by(source: PictureSet, samples: list[Sample], chosen: list[Sample]) -> _Plan:
    """Bound the number of pictures; labelled ones must be enough to rank.

    Raises:
        DatasetError: they are not.
    """
    if source.labelled:
        if len(samples) > gate.MOST_PICTURES:
            samples = pictures.whole_identities(samples, gate.MOST_PICTURES)
        gate.check_labelled(samples)
    else:
        samples = pictures.evenly(samples, gate.MOST_UNLABELLED)
        if len(samples) < gate.FEWEST:
            samples = []
    calibrated = {sample.path.resolve() for sample in chosen}
    overlap = sum(sample.path.resolve() in calibrated for sample in samples)
    also = f", {overlap} of them calibrated on" if overlap else ""
    kind = "labelled" if source.labelled else "unlabelled"
    return _Plan(chosen, samples, source.labelled, f"{source.name} ({kind}{also})")


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
    answers with wrong numbers on processors without VNNI (cosines of 0.84 with FP32's embeddings).
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
    plan: _Plan,
) -> dict[str, dict[str, Any]]:
    """Run all graphs on the judged pictures, and hold them against FP32."""
    executions = {
        name: running.execution(files[name], each.half, bool(each.input_scales))
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
