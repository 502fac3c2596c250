"""From a weight file to a bundle: read, write the graph, describe it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid_edge import bundle
from reid_edge.errors import OptionError

from . import checkpoint, densenet121, edge, keras_file, sources, writing
from .sources import Source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class _Model:
    """A converted model: its FP32 graph and what bundle.json says about it."""

    graph: bytes
    embedding_size: int
    description: dict[str, Any]


def convert(weights: Path, out: Path, name: str | None = None, force: bool = False) -> list[Path]:
    """Write the bundle of a weight file.

    Args:
        weights: a Keras `.h5` of the original library or a `.safetensors` checkpoint.
        out: the bundle's folder; made if it is not there.
        name: the model's name; None takes the checkpoint's or the file's.
        force: write over a bundle that is already there.

    Returns:
        The files written: the graph, then bundle.json.

    Raises:
        ConversionError: (or a class under it) the weights cannot be converted.
        OptionError: the name or the folder cannot be used.
        MissingDependencyError: the `export` extra is not installed.
    """
    writing.check_folder(out, force)
    source = sources.read(weights)
    model = _from_keras(source) if source.kind == "keras" else _from_checkpoint(source)
    if name is not None:
        model.description["name"] = name
    given = model.description["name"]
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise OptionError(
            f"the name {str(given)[:80]!r} cannot be used: give --name letters, digits, "
            "'.', '_' and '-', at most 64 in all"
        )
    graphs = {"fp32": model.graph}
    described = {
        "schema": bundle.SCHEMA,
        **model.description,
        "embedding_size": model.embedding_size,
        "default_precision": "fp32",
        "gates": {},
        "source": {"file": source.path.name, "sha256": source.sha256},
    }
    return writing.write(out, graphs, described, str(weights))


def _from_keras(source: Source) -> _Model:
    with keras_file.weights_of(source) as weights:
        graph, head = densenet121.write(weights)
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
    return _Model(graph, 2 * densenet121.HIDDEN, description)


def _from_checkpoint(source: Source) -> _Model:
    read = checkpoint.read(source)
    graph = edge.write(read.architecture, read.weights, read.height, read.width)
    return _Model(graph, read.architecture.embedding, read.bundle)
