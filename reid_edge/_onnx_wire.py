"""Does an ONNX file refer to other files?  Answered from its bytes, without the onnx package.

The engines resolve such references against the current folder or the model's, so a
hostile model could read files that its user never meant to open.  An ONNX file is a
protocol buffer (https://protobuf.dev/programming-guides/encoding); only the messages that
lead to tensors are walked, by the field numbers of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

from .errors import BundleGraphError

_MAX_DEPTH = 32

# message -> {field number: message inside}.  Messages that hold no tensor are not listed.
_INSIDE = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}
_IR_VERSION = b"\x08"  # the key of ModelProto.ir_version, as a varint
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of TensorProto


def has_external_data(content: bytes) -> bool:
    """Whether any tensor of an ONNX model lies outside the file.

    Raises:
        BundleGraphError: the bytes are no protocol buffer.
    """
    # ONNX begins with its IR version.  OpenVINO would take XML, too, which can pass for a
    # protocol buffer; it begins otherwise.
    if content[:1] != _IR_VERSION:
        raise _damaged()
    return _walk(memoryview(content), "model", 0)


def _walk(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise BundleGraphError("the graph is nested too deeply; export the bundle again, flatter")
    if kind == "tensor":
        return any(
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
            for number, value in _fields(message)
        )
    inside = _INSIDE[kind]
    return any(
        isinstance(value, memoryview) and _walk(value, inside[number], depth + 1)
        for number, value in _fields(message)
        if number in inside
    )


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field numbers with their values: an int for varints, the bytes for all else."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        # Parsers cut keys to 32 bits: a larger one would be another field to them than here.
        if number == 0 or key >> 32:
            raise _damaged()
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(message, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _damaged()
        if place + size > len(message):
            raise _damaged()
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise _damaged()


def _damaged() -> BundleGraphError:
    return BundleGraphError("the file is no ONNX model, or a damaged one; export the bundle again")
