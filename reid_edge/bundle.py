"""A model on disk: a folder with `bundle.json` and its ONNX graphs.

A bundle is data only, and hostile until checked: the description is held against the
schema, each graph against its recorded SHA-256, and only the checked bytes are handed on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ._files import read_regular
from ._schema import Reader
from .errors import (
    BundleGraphError,
    BundleIntegrityError,
    BundleSchemaError,
    PrecisionUnavailableError,
    UnknownModelError,
)
from .heads import ConcatMlpHead, CosineHead, Head

SCHEMA = 1
DEFAULT_MODEL = "edge"
_MODELS = Path(__file__).parent / "models"
_MAX_JSON_BYTES = 1 << 20
_MAX_GRAPH_BYTES = 1 << 29
_HIDDEN = 32  # of upstream's pair head
_GRAPH_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.onnx")


@dataclass(frozen=True)
class Graph:
    """One ONNX file of a bundle: its SHA-256 and its size in bytes."""

    path: Path
    sha256: str
    size: int

    def read(self) -> bytes:
        """The file's content, checked.

        Raises:
            BundleIntegrityError: the file is missing or differs from its record.
            BundleGraphError: the graph keeps tensors outside the file.
        """
        from ._onnx_wire import has_external_data

        try:
            content = read_regular(self.path, self.size)
        except OSError as error:
            raise BundleIntegrityError(
                f"{self.path}: cannot be read, or differs from bundle.json ({error.strerror}); "
                "export or download the bundle again"
            ) from error
        if len(content) != self.size:
            raise BundleIntegrityError(
                f"{self.path}: {len(content)} bytes where bundle.json records {self.size}; "
                "export or download the bundle again"
            )
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise BundleIntegrityError(
                f"{self.path}: SHA-256 differs from the one in bundle.json; the file was changed "
                "or damaged; export or download the bundle again"
            )
        if has_external_data(content):
            raise BundleGraphError(
                f"{self.path}: keeps tensors in other files, which a bundle must not; "
                "save the model as one file"
            )
        return content


@dataclass(frozen=True)
class Threshold:
    """A score that holds a false accept rate, with its 95 % interval; all in 0...1."""

    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Bundle:
    """A checked bundle.json; the graphs are read later, by `Graph.read`.

    Attributes:
        height, width: input size in pixels.
        resize: how pictures are brought to that size: `area` shrinks by averaging (and
            enlarges linearly), `linear` is OpenCV's bilinear both ways.
        graphs: precision graph name -> file.
        thresholds: such as `far_1e-2`: the score above which 1 % of different people pass.
        gates: graph -> whether its accuracy was measured and accepted.
        judged_in: graph -> the arithmetic around it then: `f32`, `f16` or `bf16`.
        activations: graph -> what its quantised layers take: `int8` or `uint8`.
        described: all of bundle.json as it was read; not to be changed, and what has no attribute
            here is unchecked.
    """

    path: Path
    name: str
    version: str
    description: str
    licence: str
    licence_summary: str
    height: int
    width: int
    resize: Literal["area", "linear"]
    embedding_size: int
    graphs: Mapping[str, Graph]
    default_precision: str
    gates: Mapping[str, bool]
    judged_in: Mapping[str, str]
    activations: Mapping[str, str]
    head: Head
    thresholds: Mapping[str, Threshold]
    figures: Mapping[str, Any]
    described: Mapping[str, Any]

    def graph(self, name: str) -> Graph:
        """The graph of a precision.

        Raises:
            PrecisionUnavailableError: this bundle has no such graph.
        """
        try:
            return self.graphs[name]
        except KeyError:
            raise PrecisionUnavailableError(
                f"model {self.name!r} has no {name} graph; it has: {', '.join(self.graphs)}"
            ) from None


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _MODELS.glob("*/bundle.json"))


def find(model: str | Path | None) -> Path:
    """The folder of a model: None is the default, else a name of `shipped()` or a bundle's folder.

    Raises:
        UnknownModelError: neither a shipped name nor a folder.
    """
    if model is None:
        model = DEFAULT_MODEL
    if not isinstance(model, (str, Path)) or not str(model):
        raise UnknownModelError(f"{model!r} is no model: give a name or a folder as str or Path")
    if isinstance(model, str) and model in shipped():
        return _MODELS / model
    folder = Path(model)
    try:
        if folder.is_dir():
            return folder
    except OSError:  # too long a name, or a folder that may not be entered
        pass
    raise UnknownModelError(
        f"no model {str(model)!r}: give one of {', '.join(shipped()) or '(none shipped)'}, "
        "or the folder of a bundle (it holds bundle.json)"
    )


def load(folder: str | Path) -> Bundle:
    """Read and check a bundle's description.

    Raises:
        BundleSchemaError: missing, no JSON, another schema version, or a field that is wrong.
    """
    folder = Path(folder)
    root = Reader(_parse(folder / "bundle.json"), str(folder / "bundle.json"))
    version = root.integer("schema", 0, 1 << 30)
    if version != SCHEMA:
        raise BundleSchemaError(
            f"{root.where}: schema version {version}, this reid_edge reads version {SCHEMA}; "
            + ("upgrade reid_edge" if version > SCHEMA else "export the bundle again")
        )
    licence, size = root.section("licence"), root.section("input")
    embedding_size = root.integer("embedding_size", 1, 1 << 14)
    graphs = {name: _graph(entry, folder) for name, entry in root.sections("graphs")}
    if "fp32" not in graphs:
        raise BundleSchemaError(f"{root.where}: graphs: the fp32 graph is missing")
    default = root.choice("default_precision", ("auto", "fp32", "fp16", "int8"))
    if default != "auto" and default not in graphs:
        raise BundleSchemaError(f"{root.where}: default_precision: there is no {default} graph")
    return Bundle(
        path=folder,
        name=root.text("name"),
        version=root.text("version"),
        description=root.text("description"),
        licence=licence.text("name"),
        licence_summary=licence.text("summary"),
        height=size.integer("height", 8, 2048),
        width=size.integer("width", 8, 2048),
        resize=size.choice("resize", ("area", "linear")),
        embedding_size=embedding_size,
        graphs=graphs,
        default_precision=default,
        gates={name: entry.boolean("passed") for name, entry in root.sections("gates")},
        judged_in=_recorded(root, "arithmetic", ("f32", "f16", "bf16")),
        activations=_recorded(root, "activations", ("int8", "uint8")),
        head=_head(root.section("head"), embedding_size),
        thresholds={name: _threshold(entry) for name, entry in root.sections("thresholds")},
        figures=dict(root.section("figures").values),
        described=root.values,
    )


def _parse(path: Path) -> Any:
    try:
        return json.loads(read_regular(path, _MAX_JSON_BYTES).decode())
    except FileNotFoundError:
        raise BundleSchemaError(
            f"{path}: no such file; give the folder that `python -m export --out` wrote"
        ) from None
    except OSError as error:
        raise BundleSchemaError(
            f"{path}: cannot be read ({error.strerror}); give the folder of a bundle"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleSchemaError(
            f"{path}: is no JSON ({str(error)[:200]}); export or download the bundle again"
        ) from error


def _recorded(root: Reader, key: str, choices: tuple[str, ...]) -> dict[str, str]:
    """What the gates' entries say of their graphs, where they do."""
    return {
        name: entry.choice(key, choices)
        for name, entry in root.sections("gates")
        if key in entry.values
    }


def _graph(entry: Reader, folder: Path) -> Graph:
    name = entry.text("file")
    if not _GRAPH_NAME.fullmatch(name):
        raise BundleSchemaError(f"{entry.where}.file: {name!r} is not a plain *.onnx file name")
    return Graph(folder / name, entry.sha256("sha256"), entry.integer("bytes", 1, _MAX_GRAPH_BYTES))


def _threshold(entry: Reader) -> Threshold:
    return Threshold(*(entry.number(name, 0, 1) for name in ("score", "low", "high")))


def _head(entry: Reader, embedding_size: int) -> Head:
    if entry.choice("type", ("cosine", "concat_mlp")) == "cosine":
        # A scale of 0 or less would rank the least alike first.
        return CosineHead(entry.number("scale", low=1e-6), entry.number("bias"))
    if embedding_size != 2 * _HIDDEN:
        raise BundleSchemaError(
            f"{entry.where}: a concat_mlp head takes embeddings of {2 * _HIDDEN}"
        )
    return ConcatMlpHead(
        entry.numbers("hidden_bias", _HIDDEN),
        entry.numbers("output_weights", _HIDDEN),
        entry.number("output_bias"),
    )
