"""Reading an OpenVINO IR: what is connected to what (.xml), and the constants (.bin).

The files may come from anywhere, so they are read as data: XML without document types (so
without entities), sizes checked before anything is allocated, offsets inside the file, and no
cycles.  What the layers compute is `ir_network.py`'s.
"""

from __future__ import annotations

import graphlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from reid_edge._files import read_regular
from reid_edge.errors import ConversionError, UnsafeModelFileError

MAX_XML_BYTES = 1 << 24
MAX_BIN_BYTES = 1 << 28

_DTYPES = {"f16": "<f2", "f32": "<f4", "i64": "<i8", "i32": "<i4"}


@dataclass(frozen=True)
class Layer:
    """One operation.

    Attributes:
        id: its number in the file.
        kind: such as `Convolution`.
        attributes: as the file writes them.
        inputs: the layers that it works on; only first outputs are ever used.
    """

    id: str
    kind: str
    attributes: dict[str, str]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Ir:
    """A network: its layers, each behind those that it works on, and the constants by layer."""

    where: str
    layers: tuple[Layer, ...]
    constants: dict[str, NDArray[np.generic]]


def read(path: Path) -> Ir:
    """Read `path` (.xml) and the .bin beside it.

    Raises:
        UnsafeModelFileError: the XML has a document type, which could hold entities.
        ConversionError: the files are missing, too large, damaged, or not connected properly.
    """
    root = _parse(_bytes(path, MAX_XML_BYTES), path)
    stored = _bytes(path.with_suffix(".bin"), MAX_BIN_BYTES)
    found: dict[str, Element] = {}
    for element in root.findall("./layers/layer"):
        name = element.get("id", "")
        if name in found:
            raise ConversionError(f"{path}: two layers are numbered {name[:40]!r}")
        found[name] = element
    inputs = _edges(root, found, path)
    try:
        order = list(graphlib.TopologicalSorter(inputs).static_order())
    except graphlib.CycleError:
        raise ConversionError(f"{path}: its layers feed one another in a ring") from None
    layers, constants = [], {}
    for name in order:
        element = found[name]
        data = element.find("data")
        attributes = {} if data is None else dict(data.attrib)
        kind = element.get("type", "")
        if kind == "Const":
            constants[name] = _constant(attributes, stored, f"{path}: layer {name[:40]}")
        layers.append(Layer(name, kind, attributes, tuple(inputs[name])))
    return Ir(str(path), tuple(layers), constants)


def _bytes(path: Path, limit: int) -> bytes:
    try:
        return read_regular(path, limit)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(data: bytes, path: Path) -> Element:
    """The tree of elements, without text: nothing of an IR stands in text but known shapes."""

    def refuse(*_: object) -> NoReturn:
        raise UnsafeModelFileError(
            f"{path}: has a document type, which an OpenVINO IR never has: refused"
        )

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ConversionError(f"{path}: is no XML ({error}); fetch the file again") from error
    root: Element = builder.close()
    if root.tag != "net":
        raise ConversionError(f"{path}: is no OpenVINO IR: its root is <{root.tag[:40]}>")
    return root


def _edges(root: Element, found: dict[str, Element], path: Path) -> dict[str, list[str]]:
    """For each layer those that it works on, in the order of its ports."""
    ports = {
        name: [port.get("id", "") for port in element.findall("./input/port")]
        for name, element in found.items()
    }
    sources: dict[tuple[str, str], str] = {}
    for edge in root.findall("./edges/edge"):
        start, start_port, end, end_port = (
            edge.get(key, "") for key in ("from-layer", "from-port", "to-layer", "to-port")
        )
        known = start in found and end in found and end_port in ports[end]
        if not known or (end, end_port) in sources:
            raise ConversionError(f"{path}: an edge from {start[:40]!r} to {end[:40]!r} is wrong")
        # Outputs are numbered on behind the inputs.
        if start_port != str(len(ports[start])):
            raise ConversionError(
                f"{path}: layer {end[:40]} uses a second output, which is not supported"
            )
        sources[end, end_port] = start
    try:
        return {name: [sources[name, port] for port in ports[name]] for name in found}
    except KeyError as error:
        raise ConversionError(f"{path}: layer {error.args[0][0][:40]} has an open input") from None


def _constant(attributes: dict[str, str], stored: bytes, where: str) -> NDArray[np.generic]:
    dtype = _DTYPES.get(attributes.get("element_type", ""))
    if dtype is None:
        raise ConversionError(
            f"{where}: constants of {attributes.get('element_type', '')[:40]!r} are not supported"
        )
    shape = integers(attributes.get("shape", ""), where)
    (offset,), (size,) = (integers(attributes.get(name, ""), where) for name in ("offset", "size"))
    count = math.prod(shape)
    if min(shape, default=1) < 1 or size != count * np.dtype(dtype).itemsize:
        raise ConversionError(f"{where}: its size is not that of its shape")
    if offset < 0 or offset + size > len(stored):
        raise ConversionError(f"{where}: lies outside of the .bin file; fetch both files again")
    values = np.frombuffer(stored, dtype, count, offset).reshape(shape)
    if not np.isfinite(values).all():
        raise ConversionError(f"{where}: holds NaN or infinite values; the file is damaged")
    return values


def integers(text: str, where: str) -> tuple[int, ...]:
    """A list such as `1, 3, 256, 128`.

    Raises:
        ConversionError: it is none.
    """
    try:
        return tuple(int(item) for item in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ConversionError(f"{where}: {text[:40]!r} is no list of whole numbers") from None
