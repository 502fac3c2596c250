"""A Keras model's description: first that it carries no code, then that it is the network we know.

Keras rebuilds a model from its description, Lambda layers' marshalled functions included; we
rebuild nothing, but a file with such parts is not opened further.  The comparison matters
even though the weights' shapes are checked, too: a later Keras' DenseNet has a ReLU more and
the same weights, and would give other scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reid_edge.errors import ArchitectureMismatchError, UnsafeModelFileError

from .keras_layers import BACKBONE, HEAD, Layer

# Layers, initialisers, regularisers and constraints of Keras 2 that are data only.
_KNOWN = re.compile(
    r"""
    Model | Sequential | Functional | InputLayer | TimeDistributed | Bidirectional
    | Dense | Dropout | Flatten | Reshape | Permute | RepeatVector | Masking | Embedding
    | Activation | LeakyReLU | PReLU | ELU | ThresholdedReLU | Softmax | ReLU
    | BatchNormalization | ActivityRegularization | AlphaDropout | Gaussian(Noise|Dropout)
    | Add | Subtract | Multiply | Average | Maximum | Concatenate | Dot
    | SimpleRNN | GRU | LSTM | ConvLSTM2D
    | ((Depthwise|Separable)?Conv|LocallyConnected|SpatialDropout)[123]D | Conv[23]DTranspose
    | (Cropping|UpSampling|ZeroPadding|(Global)?(Max|Average)Pooling)[123]D
    | Zeros | Ones | Constant | Identity | Orthogonal | VarianceScaling
    | Random(Normal|Uniform) | TruncatedNormal | Glorot(Normal|Uniform)
    | L1L2 | MaxNorm | NonNeg | UnitNorm | MinMaxNorm
    """,
    re.VERBOSE,
)
_CODE_KEYS = frozenset(("function", "function_type", "py_function", "pickle", "marshal"))
_TRANSPARENT = ("Dropout", "Flatten")  # nothing at inference; nothing on a 1 x 1 map


def check(config: dict[str, Any], where: str) -> None:
    """Check a description.

    Raises:
        UnsafeModelFileError: it carries code or classes that are not Keras' own.
        ArchitectureMismatchError: it describes another network.
    """
    _refuse_code(config, where)
    try:
        _compare(config, where)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError):
        raise _mismatch(where, "a layer is not described as Keras 2.1 does it") from None


def _refuse_code(config: dict[str, Any], where: str) -> None:
    """Look at every object of the JSON, wherever it stands."""
    left: list[Any] = [config]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item.values())
            kind, name = item.get("class_name"), str(item.get("name"))[:60]
            if kind is not None and (not isinstance(kind, str) or not _KNOWN.fullmatch(kind)):
                raise UnsafeModelFileError(
                    f"{where}: layer {name!r} is of the class {str(kind)[:60]!r}, "
                    "which can carry code: refused, the weights were not read"
                )
            if key := _CODE_KEYS & item.keys():
                raise UnsafeModelFileError(
                    f"{where}: the key {min(key)!r} holds code: refused, the weights were not read"
                )


def _compare(config: dict[str, Any], where: str) -> None:
    """The Siamese frame first, then the network inside it, layer by layer."""
    if config["class_name"] not in ("Model", "Functional"):
        raise _mismatch(where, f"the outermost layer is a {config['class_name']}, expected a Model")
    outer = config["config"]
    layers = {layer["name"]: layer for layer in outer["layers"]}
    kept = [layer for layer in outer["layers"] if layer["class_name"] not in _TRANSPARENT]
    classes = [layer["class_name"] for layer in kept]
    if classes[2:3] == ["Model"]:  # without the Sequential around it
        classes[2] = "Sequential"
    expected = ["InputLayer", "InputLayer", "Sequential", "Concatenate", "Dense", "Dense"]
    if classes != expected:
        raise _mismatch(
            where, f"its layers are {', '.join(classes[:9])}; expected {', '.join(expected)}"
        )
    first, second, nested, concatenation, hidden, out = kept

    def sources(layer: dict[str, Any], node: int = 0) -> list[tuple[str, int]]:
        """Names and node numbers that a layer works on, looking through dropouts."""
        found = []
        for name, number, *_ in layer["inbound_nodes"][node]:
            for _ in layers:  # a bound: layers of a hostile file may feed one another in a ring
                if layers[name]["class_name"] in _TRANSPARENT:
                    name, number, *_ = layers[name]["inbound_nodes"][0][0]
            found.append((name, number))
        return found

    inputs = [first["name"], second["name"]]
    ends = sources(concatenation)
    if not (
        [end[0] for end in outer["input_layers"]] == inputs
        and [sources(nested, node)[0][0] for node in range(len(nested["inbound_nodes"]))] == inputs
        and [name for name, _ in ends] == [nested["name"]] * 2
        and ends[1][1] == ends[0][1] + 1
        and sources(hidden)[0][0] == concatenation["name"]
        and sources(out)[0][0] == hidden["name"]
        and [end[0] for end in outer["output_layers"]] == [out["name"]]
    ):
        raise _mismatch(where, "its two branches are connected in another way")
    for layer, described in zip((concatenation, hidden, out), HEAD, strict=True):
        _same(where, layer, described)
    _compare_backbone(list(_unwrapped(nested, where)), where)


def _unwrapped(nested: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The layers of the nested model, which may be a Sequential with just that model in it."""
    while nested["class_name"] == "Sequential":
        inner = [item for item in nested["config"] if item["class_name"] not in _TRANSPARENT]
        if len(inner) != 1:
            raise _mismatch(
                where, f"{nested['name']} holds {len(inner)} layers, expected one model"
            )
        nested = inner[0]
    yield from nested["config"]["layers"]


def _compare_backbone(found: list[dict[str, Any]], where: str) -> None:
    """Keras lists a chain in its order, so layer by layer, inputs by their place in the list."""
    places = {layer["name"]: place for place, layer in enumerate(found)}
    for place, expected in enumerate(BACKBONE):
        if place >= len(found):
            raise _mismatch(where, f"layer {expected.name} ({expected.kind}) is missing")
        _same(where, found[place], expected)
        nodes = found[place]["inbound_nodes"]
        inputs = tuple(places[name] - place for name, *_ in nodes[0]) if nodes else ()
        if inputs != expected.inputs or len(nodes) > 1:
            raise _mismatch(where, f"layer {expected.name} is connected in another way")
    if len(found) > len(BACKBONE):
        extra = found[len(BACKBONE)]
        raise _mismatch(where, f"layer {extra['name']} ({extra['class_name']}) is superfluous")


def _same(where: str, found: dict[str, Any], expected: Layer) -> None:
    """Class, name and settings of one layer."""
    name, kind, settings = str(found["name"])[:60], found["class_name"], found["config"]
    if kind == "GlobalAveragePooling2D" and expected.name == "avg_pool":
        return  # of the same 7 x 7 map
    if kind != expected.kind or (expected.named and name != expected.name):
        raise _mismatch(
            where, f"layer {name} ({kind}) stands where {expected.name} ({expected.kind}) belongs"
        )
    for key, value in expected.settings.items():
        allowed = value if isinstance(value, tuple) else (value,)
        if settings.get(key) not in allowed:
            raise _mismatch(
                where,
                f"layer {name} ({kind}): {key} is {str(settings.get(key))[:40]}, "
                f"expected {allowed[0]}",
            )


def _mismatch(where: str, what: str) -> ArchitectureMismatchError:
    return ArchitectureMismatchError(f"{where}: is not person_reid's Siamese DenseNet-121: {what}")
