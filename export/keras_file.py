"""A Keras 2.1 HDF5 file, read as data and nothing else.

HDF5 files can point out of themselves (external links, external storage, virtual datasets),
hold references, and claim shapes far beyond their size.  So links are looked at before they
are followed, datasets before they are read, and all of them together may not be larger than
the file.  Names of weights are taken from the tree itself rather than from Keras' lists of
names: the lists' order changes with the layers that were frozen, the names do not.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge.errors import ArchitectureMismatchError, ConversionError, ReidEdgeError

from . import densenet121, keras_config
from .packages import require
from .sources import Source
from .strict_json import MAX_CHARACTERS, parse_object
from .weights import Stored, Weights

# The Siamese network has 608 weights in about 1,500 nodes, at most 5 groups deep.
_MAX_NODES = 10_000
_MAX_DEPTH = 8
_MAX_NAME = 200

_NETWORK = "person_reid's Siamese DenseNet-121"


@contextmanager
def weights_of(source: Source) -> Iterator[Weights]:
    """Open a full-model or a weights-only save; the weights can be taken inside the `with`.

    Their names are those that `densenet121.write` asks for.

    Raises:
        UnsafeModelFileError: the model's description carries code; no weight was touched.
        ArchitectureMismatchError: another network.
        ConversionError: damaged, or made to reach out of itself.
        MissingDependencyError: h5py is not installed.
    """
    h5py = require("h5py")
    with _guarded(source):
        file = h5py.File(io.BytesIO(source.data), "r")
    with file:
        with _guarded(source):
            named = _named(source, _layers(_Reader(source, h5py), file))
        yield Weights(str(source.path), _NETWORK, named)


@contextmanager
def _guarded(source: Source) -> Iterator[None]:
    """Turn what h5py raises on damaged files into our own error.

    That is nearly anything, OverflowError and MemoryError included, so all of it is caught.
    """
    try:
        yield
    except ReidEdgeError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ConversionError(
            f"{source.path}: is damaged ({reason}); copy or download it again"
        ) from error


def _layers(reader: _Reader, file: Any) -> dict[str, dict[str, Stored]]:
    """The layers of either kind of save; a whole model's description is checked first."""
    if "model_weights" in file:
        keras_config.check(reader.description(file), f"{reader.path}: model_config")
        top = reader.group(file, "model_weights")
    elif "layer_names" in file.attrs:
        top = file
        reader.check_version(top)
    else:
        raise ConversionError(f"{reader.path}: is HDF5, but neither model nor weights of Keras 2")
    reader.check_backend(top)
    return reader.layers(top)


class _Reader:
    """Walks one file; refuses what Keras never writes."""

    def __init__(self, source: Source, h5py: Any) -> None:
        self.path = source.path
        self._source, self._h5py = source, h5py
        self._nodes = 0
        self._bytes = 0

    def description(self, file: Any) -> dict[str, Any]:
        """The JSON in the attribute `model_config`."""
        if "model_config" not in file.attrs:
            raise self._error("has no model_config; save the model again, or its weights only")
        return parse_object(self._text(file, "model_config"), f"{self.path}: model_config")

    def check_backend(self, group: Any) -> None:
        """Theano flips kernels; the original library ran on TensorFlow."""
        if "backend" in group.attrs and (name := self._text(group, "backend")) != "tensorflow":
            raise self._error(f"was saved on the backend {name[:40]!r}; only tensorflow is known")

    def check_version(self, group: Any) -> None:
        """Weights alone do not tell a later Keras' DenseNet, which has a ReLU more."""
        if "keras_version" not in group.attrs:
            return
        version = self._text(group, "keras_version")
        if not re.match(r"2\.[01]\.", version):
            raise self._error(
                f"holds weights of Keras {version[:20]!r}, whose DenseNet-121 may compute "
                "something else; only those of Keras 2.0 and 2.1 are known: "
                "save the whole model instead"
            )

    def layers(self, top: Any) -> dict[str, dict[str, Stored]]:
        """Layers with weights: their name -> path of a weight within the layer -> the weight."""
        found = {}
        for name in self._names(top):
            if stored := dict(self._walk(self.group(top, name), "", 0)):
                found[name] = stored
        return found

    def group(self, parent: Any, name: str) -> Any:
        """A group that lies in this file, under its own name."""
        child = self._member(parent, name)
        if not isinstance(child, self._h5py.Group):
            raise self._error(f"{child.name} is no group")
        return child

    def _walk(self, group: Any, path: str, depth: int) -> Iterator[tuple[str, Stored]]:
        if depth > _MAX_DEPTH:
            raise self._error(f"groups are nested more than {_MAX_DEPTH} deep")
        for name in self._names(group):
            member = self._member(group, name)
            if isinstance(member, self._h5py.Group):
                yield from self._walk(member, f"{path}{name}/", depth + 1)
            elif isinstance(member, self._h5py.Dataset):
                yield f"{path}{name}", self._stored(member)
            else:
                raise self._error(f"{member.name} is neither a group nor an array")

    def _names(self, group: Any) -> list[str]:
        """The members' names, their number checked first."""
        self._nodes += len(group)
        if self._nodes > _MAX_NODES:
            raise self._error(f"holds more than {_MAX_NODES} groups and arrays")
        names = list(group)
        if any(len(name) > _MAX_NAME for name in names):
            raise self._error(f"holds names of more than {_MAX_NAME} characters")
        return names

    def _member(self, group: Any, name: str) -> Any:
        """A member behind a hard link: soft and external links are not followed."""
        link = group.id.links.get_info(name.encode())
        if link.type != self._h5py.h5l.TYPE_HARD:
            raise self._error(f"{name} is a link to another place; a saved model has none")
        return group[name]

    def _stored(self, dataset: Any) -> Stored:
        """A plain float32 array that lies in this file in full."""
        name = dataset.name
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize != 4:
            raise self._error(f"{name} has the type {str(dataset.dtype)[:40]}, expected float32")
        if dataset.is_virtual or dataset.external:
            raise self._error(f"{name} lies in another file; a saved model has all in one")
        if dataset.id.get_create_plist().get_nfilters():
            raise self._error(f"{name} is compressed; rewrite the file with `h5repack -f NONE`")
        if dataset.shape is None or dataset.id.get_storage_size() != dataset.nbytes:
            raise self._error(f"{name} claims a shape that its data do not fill")
        self._bytes += dataset.nbytes
        if self._bytes > len(self._source.data):
            raise self._error("claims more weights than the file has bytes")

        def read() -> NDArray[np.floating]:
            with _guarded(self._source):
                values: NDArray[np.floating] = dataset[()]
                return values

        return Stored(dataset.shape, read)

    def _text(self, item: Any, name: str) -> str:
        """A string attribute; its declared type is looked at before it is read."""
        attribute = item.attrs.get_id(name)
        if attribute.shape != () or attribute.dtype.itemsize > MAX_CHARACTERS:
            raise self._error(f"the attribute {name} is no string of reasonable length")
        value = item.attrs[name]
        if isinstance(value, bytes):
            value = value.decode("utf-8")
        if not isinstance(value, str):
            raise self._error(f"the attribute {name} is no string")
        return value

    def _error(self, what: str) -> ConversionError:
        return ConversionError(f"{self.path}: {what}")


def _named(source: Source, layers: dict[str, dict[str, Stored]]) -> dict[str, Stored]:
    """Bring the layers of one file under the names that the network knows.

    The nested model is the layer with the most weights; of the two dense layers, whose names
    count up within a Keras session, the one with more inputs comes first.
    """
    if len(layers) != 3:
        names = ", ".join(list(layers)[:5]) or "none"
        raise ArchitectureMismatchError(
            f"{source.path}: is not {_NETWORK}: expected 3 layers with weights (the DenseNet-121, "
            f"Dense {densenet121.HIDDEN}, Dense 1), found {len(layers)} ({names})"
        )
    backbone, *dense = sorted(layers, key=lambda name: -len(layers[name]))
    dense.sort(key=lambda name: -max(sum(stored.shape) for stored in layers[name].values()))
    named: dict[str, Stored] = {}
    for prefix, layer in (("", backbone), ("hidden/", dense[0]), ("out/", dense[1])):
        for path, stored in layers[layer].items():
            name = _canonical(path)
            # A dense layer's weights stand under its own name: hidden/hidden/kernel:0.
            name = prefix + name.rpartition("/")[2] if prefix else name
            if name in named:
                raise ArchitectureMismatchError(f"{source.path}: {layer} holds {name} twice")
            named[name] = stored
    return named


def _canonical(path: str) -> str:
    """`conv1/conv_1/kernel:0` -> `conv1/conv/kernel`.

    TensorFlow counts variables of one name within a session, and no layer of DenseNet-121
    that has weights ends in a number.
    """
    return re.sub(r"_\d+(?=/[^/]+$)", "", re.sub(r":\d+$", "", path))
