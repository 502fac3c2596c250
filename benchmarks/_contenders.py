"""Networks to compare: our own, and OpenVINO IR files of raw BGR pictures, such as Intel's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge import backends, bundle
from reid_edge.backends import _openvino_import
from reid_edge.errors import OptionError

from ._measure import offered

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class Contender:
    """A compiled network.

    Attributes:
        name, precision: for the chart.
        ours: or a peer.
        run: uint8 (n, height, width, 3) to float32 (n, d); overwritten by the next call.
        bgr: the order of the channels that it takes; else RGB.
        grid: scores (n, m) of embeddings (n, d) and (m, d), higher is more alike.
    """

    name: str
    precision: str
    ours: bool
    run: Any
    bgr: bool
    grid: Any

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"


def our_own(model: bundle.Bundle) -> list[Contender]:
    """A model of ours in FP32, and in INT8 where it is offered on this CPU.

    `auto` is one of the two, and is named in the precision.
    """
    auto = backends.choose(model, "openvino", "auto", "cpu").precision
    found = []
    for precision in offered(model):
        backend = backends.choose(model, "openvino", precision, "cpu")
        label = f"{precision} (auto)" if backend.precision == auto else precision
        found.append(
            Contender(f"ours: {model.name}", label, True, backend.run, False, model.head.grid)
        )
    return found


def ir_files(folders: Sequence[Path]) -> list[Path]:
    """All IR files in folders, as `--models` names them.

    Raises:
        OptionError: there is none, or two of one name.
    """
    files = [path for folder in folders for path in sorted(folder.glob("*.xml"))]
    if not files:
        shown = ", ".join(map(str, folders))
        raise OptionError(f"--models {shown}: no OpenVINO IR (NAME.xml beside NAME.bin) there")
    names = [path.stem for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:  # figures are kept by name
        raise OptionError(f"--models: {', '.join(twice)} in several folders; rename the files")
    return files


def peers(
    folders: Sequence[Path], size: tuple[int, int], batches: Sequence[int]
) -> list[Contender]:
    """All IR files in folders, each in float32 and, where the CPU computes in it, BF16.

    Quantised ones are in INT8, with one of the two around it.

    They are compiled as our backend compiles (one stream, for latency) but for their batches,
    which are fixed: the best case of OpenVINO.

    Args:
        folders: with `NAME.xml` and `NAME.bin`; their names must differ.
        size: height and width of the pictures.
        batches: sizes that `run` will be called with; another is run in parts.

    Raises:
        OptionError: no such file, two of one name, or a network with other inputs and outputs.
    """
    files = ir_files(folders)
    core = _openvino_import.load().Core()
    capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hints = {"fp32": "f32", **({"bf16": "bf16"} if "BF16" in capable else {})}
    found = []
    for path in files:
        for floats, hint in hints.items():
            peer = _Peer(path, hint, size, batches)
            precision = f"int8+{floats}" if peer.quantised else floats
            found.append(Contender(path.stem, precision, False, peer, True, _cosines))
    return found


class _Peer:
    """An IR file, compiled once for each batch size."""

    def __init__(
        self, path: Path, hint: str, size: tuple[int, int], batches: Iterable[int]
    ) -> None:
        self._requests = {}
        for batch in {1, *batches}:
            network, self._requests[batch] = _compile(path, hint, (batch, *size, 3))
        self.quantised = any(each.get_type_name() == "FakeQuantize" for each in network.get_ops())
        self._largest_first = sorted(self._requests, reverse=True)

    def __call__(self, pictures: NDArray[np.uint8]) -> Embeddings:
        if len(pictures) in self._requests:
            return self._infer(pictures)
        found, start = [], 0
        while start < len(pictures):
            batch = next(size for size in self._largest_first if size <= len(pictures) - start)
            found.append(self._infer(pictures[start : start + batch]).copy())
            start += batch
        return np.concatenate(found)

    def _infer(self, pictures: NDArray[np.uint8]) -> Embeddings:
        request = self._requests[len(pictures)]
        request.infer({0: pictures}, share_inputs=True)
        data: Embeddings = request.get_output_tensor(0).data
        return data.reshape(len(pictures), -1)


def _compile(path: Path, hint: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The network, and a request that takes uint8 (n, h, w, 3).

    Conversion and layout are left to OpenVINO.
    """
    openvino = _openvino_import.load()
    from openvino.preprocess import PrePostProcessor

    core, nhwc, nchw = openvino.Core(), openvino.Layout("NHWC"), openvino.Layout("NCHW")
    height, width = shape[1:3]
    wanted = f"{path}: is no network of raw BGR pictures (n, 3, {height}, {width})"
    try:
        model = core.read_model(path)
        taken = [port.partial_shape for port in model.inputs]
        # A reshape would bring another input to this size, and its embeddings to nonsense.
        if len(model.outputs) != 1 or [str(each) for each in taken] not in (
            [f"[{batch},3,{height},{width}]"] for batch in ("1", "?")
        ):
            raise OptionError(f"{wanted}, but of {', '.join(map(str, taken))}; move it elsewhere")
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(nhwc)
        steps.input().model().set_layout(nchw)
        model = steps.build()
        model.reshape(list(shape))
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
        }
        return model, core.compile_model(model, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise OptionError(
            f"{wanted} that OpenVINO compiles ({reason}); move it elsewhere"
        ) from error


def _cosines(a: Embeddings, b: Embeddings) -> Embeddings:
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    scores: Embeddings = first @ second.T
    return scores
