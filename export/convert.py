"""From weights (a file, or those of a bundle) to a bundle: read, write the graph, describe it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid_edge import _card, bundle
from reid_edge._text import visible
from reid_edge.errors import OptionError
from reid_edge.heads import CosineHead

from . import checkpoint, densenet121, keras_file, precisions, replay, sources, trained, writing
from .graph import FP32, Arithmetic
from .pictures import Frame
from .precisions import Graphs
from .sources import Source
from .wish import Wish

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class _Model:
    """A converted model.

    Attributes:
        graph: in FP32.
        write: writes it in another arithmetic.
        default: the default precision, once there is more than FP32.
        description: what bundle.json says about it.
    """

    graph: bytes
    write: Callable[[Arithmetic], bytes]
    default: str
    embedding_size: int
    description: dict[str, Any]


def convert(
    weights: Path,
    out: Path,
    name: str | None = None,
    force: bool = False,
    wish: Wish | None = None,
) -> list[Path]:
    """Write the bundle of a weight file, or another of a bundle.

    Warns (RuntimeWarning) of few pictures, of graphs that do not pass their gate, and of a
    README.md in the folder that is left as it is.

    Args:
        weights: a Keras `.h5` of the original library, a `.safetensors` checkpoint, or the
            folder of a bundle that this export wrote: its FP32 graph is taken.
        out: the bundle's folder; made if it is not there.
        name: the model's name; None takes the checkpoint's, the bundle's or the file's.
        force: write over a bundle that is already there.
        wish: precisions and pictures; None is FP32 only.

    Returns:
        The files written: the graphs, the card of a bundle that has one, then bundle.json.

    Raises:
        ConversionError: (or a class under it) the weights cannot be converted.
        BundleError: the bundle to read is damaged.
        OptionError: the name, the folder or the wishes cannot be used.
        DatasetError, InputError: the pictures cannot be used.
        MissingDependencyError: the `export` extra is not installed.
    """
    wish = Wish() if wish is None else wish
    wish.check()
    writing.check_folder(out, force, weights)
    source = sources.read(weights)
    readers = {"keras": _from_keras, "checkpoint": _from_checkpoint, "bundle": _from_bundle}
    model = readers[source.kind](source)
    if name is not None:
        model.description["name"] = name
    given = model.description["name"]
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise OptionError(
            f"the name {str(given)[:80]!r} cannot be used: give --name letters, digits, "
            "'.', '_' and '-', at most 64 in all"
        )
    described = {
        "schema": bundle.SCHEMA,
        **model.description,
        "embedding_size": model.embedding_size,
        "default_precision": "fp32",
        "gates": {},
        "source": {"file": visible(source.path.name), "sha256": source.sha256},
    }
    graphs = Graphs({"fp32": model.graph}, {})
    if not wish.only_fp32:
        graphs = _other_precisions(model, described, wish, str(weights))
        described["gates"] = graphs.gates
        if graphs.gates:
            described["default_precision"] = model.default
    card = _copied_card(source, given, bool(graphs.gates))
    return writing.write(out, graphs.files, described, str(weights), card)


def _copied_card(source: Source, name: str, has_gates: bool) -> bytes | None:
    """The card of the bundle that is read, and what it does not know of the new one."""
    read = source.bundle
    if source.card is None or read is None:
        return None
    others = (
        "is of other graphs than those here, whose accuracy is in bundle.json under `gates`"
        if has_gates
        else "is of graphs that are not here"
    )
    notice = (
        f"{_card.EXPORTED} {name} {read.version}.** Below is the card of {read.name} "
        f"{read.version}. The FP32 graph, head, thresholds and licence are the same; what it says "
        f"of FP16 and INT8 {others}. Its links lead from where that model lies."
    )
    return _card.noted(source.card, notice)


def _other_precisions(model: _Model, described: dict[str, Any], wish: Wish, where: str) -> Graphs:
    """All graphs and their gates."""
    with tempfile.TemporaryDirectory() as name:
        # Checks the metadata before hours of work, and makes the head as the runtime does.
        writing.write(Path(name), {"fp32": model.graph}, described, where)
        loaded = bundle.load(name)
    frame = Frame(loaded.height, loaded.width, loaded.resize)
    return precisions.make(model.write, model.graph, frame, loaded.head, wish)


def _from_keras(source: Source) -> _Model:
    def write(arithmetic: Arithmetic) -> tuple[bytes, densenet121.PairHead]:
        with keras_file.weights_of(source) as weights:
            return densenet121.write(weights, arithmetic)

    graph, head = write(FP32)
    size = {"height": densenet121.SIZE, "width": densenet121.SIZE, "resize": "linear"}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.path.stem).strip("-._")[:64]
    description = {
        "name": name or "converted",
        "version": "1.0.0",
        "description": "Siamese DenseNet-121 of the original person_reid library, from Keras.",
        "licence": {
            "name": "the weights' own terms",
            "summary": "the weights' own terms; unknown to this converter",
        },
        "input": size,
        "head": head.to_json(),
        "thresholds": {},
        "figures": {},
    }
    # Scores of the original library are expected to stay what they were: fp32 unless asked.
    return _Model(graph, lambda other: write(other)[0], "fp32", 2 * densenet121.HIDDEN, description)


def _from_checkpoint(source: Source) -> _Model:
    def write(arithmetic: Arithmetic) -> bytes:
        # Read again for each graph, as a network takes its weights one by one.
        read = checkpoint.read(source)
        return trained.write(
            read.architecture, read.weights, read.height, read.width, arithmetic=arithmetic
        )

    graph, read = write(FP32), checkpoint.read(source)
    return _Model(graph, write, "auto", read.architecture.embedding, read.bundle)


def _from_bundle(source: Source) -> _Model:
    where, read = str(source.path), source.bundle
    assert read is not None

    def write(arithmetic: Arithmetic) -> bytes:
        size = read.height, read.width, read.embedding_size
        return replay.write(source.data, where, *size, arithmetic)

    graph = write(FP32)
    if graph != source.data:
        raise replay.refusal(where, "something that this version would have written otherwise")
    # As it stands there: what was read of it has been checked, and is checked again once written.
    description = {name: read.described[name] for name in checkpoint.BUNDLE_FIELDS}
    # As for the file that it was once converted from.
    default = "auto" if isinstance(read.head, CosineHead) else "fp32"
    return _Model(graph, write, default, read.embedding_size, description)
