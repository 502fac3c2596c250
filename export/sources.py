"""Weights, read once into memory: size limit, SHA-256, and what kind of file they are in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reid_edge import _card, bundle
from reid_edge.bundle import Bundle
from reid_edge.errors import ConversionError, UnsafeModelFileError

# DenseNet-121 with Adam's two moments is 87 MB; a file far above that is something else.
MAX_BYTES = 1 << 28

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Source:
    """The bytes of a weight file; of a bundle, its FP32 graph.

    Everything later works on what is here, so that what was checked and hashed is what is
    converted, even if the files change meanwhile.

    Attributes:
        bundle: the description that the graph goes with; None of a weight file.
        card: the bundle's model card, where it has one.
    """

    path: Path
    data: bytes
    kind: Literal["keras", "checkpoint", "bundle"]
    bundle: Bundle | None = None
    card: bytes | None = None

    @property
    def sha256(self) -> str:
        """Of the whole file, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def read(path: Path) -> Source:
    """Read a weight file and tell its kind from its first bytes, or read a bundle's FP32 graph.

    Raises:
        ConversionError: no file and no bundle, too large, empty, or neither HDF5 nor safetensors.
        BundleError: a bundle whose description or graph is damaged.
        UnsafeModelFileError: a format that can run code when it is read.
    """
    if path.is_dir():
        if not (path / "bundle.json").exists():
            raise ConversionError(
                f"{path}: is a folder without a bundle.json; give the folder of a bundle, or one "
                ".h5 or .safetensors file"
            )
        loaded = bundle.load(path)
        graph = loaded.graph("fp32")
        return Source(graph.path, graph.read(), "bundle", loaded, _card.read(path))
    if not path.is_file():
        raise ConversionError(
            f"{path}: no such file; give one .h5 or .safetensors file, or a bundle's folder "
            "(of a shipped model, reid_edge/models/NAME)"
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise ConversionError(
            f"{path}: larger than {MAX_BYTES >> 20} MiB; save the model without its optimizer, "
            "or give the right file"
        )
    return Source(path, data, _kind(path, data))


def _kind(path: Path, data: bytes) -> Literal["keras", "checkpoint"]:
    if data.startswith(_HDF5):
        return "keras"
    # safetensors: the length of a JSON header as 8 bytes, then the header.
    if data[8:9] == b"{":
        return "checkpoint"
    if data.startswith(_ZIP) or (data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5")):
        raise UnsafeModelFileError(
            f"{path}: a pickle or a zip archive (PyTorch .pt, Keras .keras), which can carry code: "
            "refused unread; give a Keras .h5 file or a .safetensors checkpoint"
        )
    found = "is empty" if not data else "is neither HDF5 nor safetensors"
    raise ConversionError(f"{path}: {found}; give a Keras .h5 file or a .safetensors checkpoint")
