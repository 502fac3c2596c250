"""A training checkpoint: a safetensors file whose metadata says what it holds.

The metadata's key `reid_edge` is a JSON object with `format` (1), `architecture` (the network's
kind and sizes) and `bundle`, what bundle.json shall say about the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge._schema import Reader
from reid_edge.errors import BundleSchemaError, ConversionError

from .architecture import Architecture
from .packages import require
from .sources import Source
from .strict_json import parse_object
from .weights import Stored, Weights

FORMAT = 1

# What bundle.json says about a model, whatever its graphs.
BUNDLE_FIELDS = (
    "name",
    "version",
    "description",
    "licence",
    "input",
    "head",
    "thresholds",
    "figures",
)


@dataclass(frozen=True)
class Checkpoint:
    """A read checkpoint; `bundle` has all its fields, most of their values are not checked yet."""

    architecture: Architecture
    height: int
    width: int
    bundle: dict[str, Any]
    weights: Weights


def read(source: Source) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ConversionError: damaged, of another format, or without the metadata.
        MissingDependencyError: safetensors is not installed.
    """
    metadata = Reader(_metadata(source), f"{source.path}: metadata")
    try:
        if (version := metadata.integer("format", 0, 1 << 30)) != FORMAT:
            raise ConversionError(f"{metadata.where}: format {version}, this export reads {FORMAT}")
        architecture = Architecture.from_json(metadata.section("architecture"))
        bundle = metadata.section("bundle")
        # The runtime checks all of it once it is written; the graph needs its size before.
        size = bundle.section("input")
        height, width = (size.integer(side, 8, 2048) for side in ("height", "width"))
    except BundleSchemaError as error:
        raise ConversionError(str(error)) from error
    if set(bundle.values) != set(BUNDLE_FIELDS):
        odd = min(set(bundle.values) ^ set(BUNDLE_FIELDS))
        verb = "missing" if odd in BUNDLE_FIELDS else "unknown"
        raise ConversionError(f"{bundle.where}: the field {odd[:40]!r} is {verb}")
    return Checkpoint(architecture, height, width, bundle.values, _weights(source, architecture))


def _metadata(source: Source) -> dict[str, Any]:
    """The JSON under the key `reid_edge` of the header's string-to-string metadata."""
    length = int.from_bytes(source.data[:8], "little")
    if length > len(source.data) - 8:
        raise ConversionError(
            f"{source.path}: is cut off or damaged: the header ends behind the file"
        )
    try:
        text = source.data[8 : 8 + length].decode("utf-8")
    except UnicodeDecodeError:
        raise ConversionError(
            f"{source.path}: its header is no UTF-8; the file is damaged"
        ) from None
    header = parse_object(text, f"{source.path}: header")
    strings = header.get("__metadata__")
    own = strings.get("reid_edge") if isinstance(strings, dict) else None
    if not isinstance(own, str):
        raise ConversionError(
            f"{source.path}: has no 'reid_edge' metadata, so it is no checkpoint of training/; "
            "write one with `python -m training`"
        )
    return parse_object(own, f"{source.path}: metadata")


def _weights(source: Source, architecture: Architecture) -> Weights:
    """All tensors but the batch counters, which inference has no use for."""
    safetensors, numpy_flavour = require("safetensors"), require("safetensors.numpy")
    try:
        tensors: dict[str, NDArray[Any]] = numpy_flavour.load(source.data)
    # KeyError: a dtype that numpy has not, such as BF16.
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ConversionError(
            f"{source.path}: cannot be read ({error}); give tensors as FP32 or FP16 in a whole file"
        ) from error
    stored = {}
    for name, values in tensors.items():
        if name.endswith(".num_batches_tracked"):
            continue
        if values.dtype not in (np.float16, np.float32):
            raise ConversionError(f"{source.path}: {name} is {values.dtype}, expected FP32 or FP16")
        stored[name] = Stored.in_memory(values)
    return Weights(str(source.path), f"the {architecture.network} network of its metadata", stored)
