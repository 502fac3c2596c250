"""A bundle onto the disk: staged, checked as the runtime checks it, then moved into place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reid_edge import _card, bundle
from reid_edge.errors import BundleError, ConversionError, OptionError

_GRAPH_FILES = {f"{name}.onnx" for name in ("fp32", "fp16", "int8", "int8_fp16")}


def check_folder(out: Path, force: bool, weights: Path | None = None) -> None:
    """Whether a bundle may be written there; asked before the work starts.

    Args:
        out: the folder.
        force: write over a bundle that is already there.
        weights: what is read; it may be a bundle's folder.

    Raises:
        OptionError: it is a file, it is the bundle that is read, or it holds another bundle
            and `force` is not set.
    """
    if out.exists() and not out.is_dir():
        raise OptionError(f"{out}: is a file; give --out a folder")
    if weights is not None and weights.is_dir() and out.exists() and out.samefile(weights):
        raise OptionError(f"{out}: is the folder that --weights names; choose another --out")
    if (out / "bundle.json").exists() and not force:
        raise OptionError(f"{out}: holds a bundle already; choose another --out or add --force")


def write(
    out: Path,
    graphs: Mapping[str, bytes],
    described: Mapping[str, Any],
    where: str,
    card: bytes | None = None,
) -> list[Path]:
    """Write the graphs, then bundle.json, which makes a bundle of them.

    Graph files of an older bundle that are not among them are removed last.  A README.md that is
    there already may be anybody's: it stays, with a warning if it is not this card.

    Args:
        out: the folder.
        graphs: precision -> ONNX file.
        described: bundle.json without its `graphs`.
        where: the weight file, for error messages.
        card: the model card.

    Returns:
        The files, bundle.json last.

    Raises:
        ConversionError: the description would make no valid bundle, or the disk refuses.
    """
    entries = {
        name: {
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
        for name, content in graphs.items()
    }
    try:
        text = json.dumps(
            {**described, "graphs": entries}, indent=2, ensure_ascii=False, allow_nan=False
        )
        files = {f"{name}.onnx": content for name, content in graphs.items()}
        if card is not None and not _keeps_other(out / _card.NAME, card):
            files[_card.NAME] = card
        files["bundle.json"] = f"{text}\n".encode()
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{where}: its metadata cannot be written ({error})") from error
    try:
        with _staging(out) as stage:
            for name, content in files.items():
                _write_through(stage / name, content)
            _check(stage, where)
            for name in files:
                os.replace(stage / name, out / name)
            old = _GRAPH_FILES | ({_card.NAME} if _card.is_copy(out) else set())
            for name in old - files.keys():  # of an older bundle
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConversionError(f"{out}: cannot be written ({error.strerror or error})") from error
    return [out / name for name in files]


def _keeps_other(path: Path, card: bytes) -> bool:
    """Whether a card that no export copied there stays; told unless it is this one."""
    if not os.path.lexists(path) or _card.is_copy(path.parent):
        return False
    if _card.read(path.parent) != card:
        warnings.warn(
            f"{path} was there already and stays as it is; the card of this model was not "
            "written: move that file, or choose another --out",
            RuntimeWarning,
            stacklevel=2,
        )
    return True


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder on the same disk that is gone afterwards, as is `out` if nothing came of it."""
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".export-", dir=out))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made and not any(out.iterdir()):
            out.rmdir()


def _write_through(path: Path, content: bytes) -> None:
    """Write a file and wait for the disk, so that the move cannot overtake the content."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _check(stage: Path, where: str) -> None:
    """Load it with the code that will load it on the device."""
    try:
        loaded = bundle.load(stage)
        for graph in loaded.graphs.values():
            graph.read()
    except BundleError as error:
        reason = str(error).replace(f"{stage}{os.sep}", "")
        raise ConversionError(f"{where}: its metadata are wrong: {reason}") from error
