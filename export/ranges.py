"""How far activations reach: histograms of real pictures, and where to cut them for INT8.

A symmetric scale needs one number a tensor, the largest magnitude that INT8 shall reach.
What lies beyond is clipped; the smaller the number, the finer the steps below it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge.errors import ConversionError, OptionError

from .running import Network

METHODS = "minmax, entropy or percentile-P, such as percentile-99.99"
# The highest cosines on the edge model of all methods; entropy comes close, 99.9 does worst.
# The measurement is in docs/int8.md.
DEFAULT_METHOD = "percentile-99.999"

_BINS = 4096
_LEVELS = 128  # of one sign
_NOTHING = 1e-30  # below it magnitudes count as zero: bins this fine are beyond float32
_STEP = 8  # bins between two cuts that the entropy method tries
_PERCENTILE = re.compile(r"percentile-(\d{2,3}(?:\.\d{1,6})?)")


class Histogram:
    """Counts of magnitudes in equal bins from 0 on.

    One pass over the pictures is enough: where a value lies beyond the last bin, pairs of
    bins are merged until it fits.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, np.int64)
        self.largest = 0.0
        self._reach = 0.0  # the upper edge of the last bin

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the values of a tensor of any shape.

        Raises:
            ConversionError: NaN or infinity among them.
        """
        magnitudes = np.abs(values).ravel()
        largest = float(magnitudes.max())
        if not np.isfinite(largest):
            raise ConversionError(
                "activations overflow (NaN or infinity): the training diverged; export an "
                "earlier checkpoint"
            )
        if largest < _NOTHING:
            largest = 0.0
        self.largest = max(self.largest, largest)
        if not self._reach:
            if not largest:  # zeros stay in the first bin, however wide it is going to be
                self.counts[0] += magnitudes.size
                return
            self._reach = largest
        while self._reach < largest:
            self.counts[: _BINS // 2] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[_BINS // 2 :] = 0
            self._reach *= 2
        magnitudes *= np.float32(_BINS / self._reach)
        places = np.minimum(magnitudes.astype(np.int32), _BINS - 1)
        self.counts += np.bincount(places, minlength=_BINS)

    def cut(self, method: str) -> float:
        """The largest magnitude that INT8 shall reach, at most `largest`."""
        if method == "minmax" or not self.largest:
            return self.largest
        bins = self._entropy_bins() if method == "entropy" else self._percentile_bins(method)
        return min(self.largest, bins * self._reach / _BINS)

    def _percentile_bins(self, method: str) -> int:
        """How many bins hold that share of all values."""
        match = _PERCENTILE.fullmatch(method)
        assert match, method
        reached = np.cumsum(self.counts)
        return int(np.searchsorted(reached, float(match[1]) / 100 * reached[-1])) + 1

    def _entropy_bins(self) -> int:
        """How many bins to keep so that 128 levels lose the least information.

        The least Kullback-Leibler divergence between the clipped histogram and itself on 128
        levels (Migacz, "8-bit inference with TensorRT", GTC 2017).  Zeros are exact at every
        scale and there are many behind a ReLU: the first bin counts as its neighbour.
        """
        counts = self.counts.astype(np.float64)
        counts[0] = counts[1]
        last = int(np.flatnonzero(counts)[-1]) + 1
        tried = range(_LEVELS, max(last, _LEVELS) + _STEP, _STEP)
        return min(tried, key=lambda bins: _divergence(counts, min(bins, _BINS)))


def _divergence(counts: NDArray[np.float64], bins: int) -> float:
    """KL(P || Q): P has what lies beyond in its last bin, Q spreads each level over its bins."""
    kept = counts[:bins]
    p = kept.copy()
    p[-1] += counts[bins:].sum()
    starts = np.arange(_LEVELS) * bins // _LEVELS
    filled = kept > 0
    sums, members = np.add.reduceat(kept, starts), np.add.reduceat(filled.astype(float), starts)
    means = sums / np.maximum(members, 1)
    q = np.where(filled, np.repeat(means, np.diff(starts, append=bins)), 0)
    if not q.sum():
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    some = p > 0
    # Where P is and Q is not, the divergence would be infinite; a tiny share stands for it.
    return float((p[some] * np.log(p[some] / np.maximum(q[some], 1e-12))).sum())


def check_method(method: str) -> None:
    """Whether there is such a method.

    Raises:
        OptionError: there is not.
    """
    match = _PERCENTILE.fullmatch(method)
    if method not in ("minmax", "entropy") and not (match and 50 <= float(match[1]) <= 100):
        raise OptionError(f"no calibration method {method[:40]!r}; give {METHODS}")


def collect(
    graph: bytes, tensors: Mapping[str, str], batches: Iterable[NDArray[np.uint8]]
) -> dict[str, Histogram]:
    """Histograms of some tensors of a graph over all pictures.

    Args:
        graph: an FP32 graph.
        tensors: what to call it -> the tensor's name in the graph.
        batches: uint8 (n, height, width, 3); small ones, since all tensors of one are held.
    """
    network = Network(graph, list(tensors.values()))
    found = {name: Histogram() for name in tensors}
    for batch in batches:
        _, *values = network.run(batch)
        for histogram, tensor in zip(found.values(), values, strict=True):
            histogram.add(tensor)
    return found


def quantisable(graph: bytes) -> dict[str, str]:
    """Convolution -> the tensor that it takes, for those that may become INT8.

    The first convolution sees pictures, not activations, and is left alone.  So is one whose
    output several layers take, as behind the transitions of DenseNet-121: where those are a
    concatenation and a batch norm, OpenVINO 2026.4 answers with wrong numbers (embeddings
    35 % off, where ONNX Runtime runs the same graph with 2 %).
    """
    nodes = _nodes(graph)
    takers = Counter(name for node in nodes for name in node.input)
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    return {node.name: node.input[0] for node in convolutions[1:] if takers[node.output[0]] == 1}


def concatenated(graph: bytes) -> list[tuple[list[str], list[str]]]:
    """Dense blocks: tensors that are joined by concatenations, and the convolutions on them.

    Where all of a block's tensors are rounded with one scale as they are made, a concatenation
    joins INT8, and no layer has to round all that came before it again.  Blocks are given
    whose convolutions, at least one, may all be INT8 and whose tensors come from ReLUs and
    pools; others, such as DenseNet-121's with a batch norm behind each concatenation, are not.
    """
    nodes, allowed = _nodes(graph), quantisable(graph)
    makers = {node.output[0]: node for node in nodes}
    blocks: list[set[str]] = []
    for node in nodes:
        if node.op_type == "Concat":
            members = {*node.input, node.output[0]}
            joined = [block for block in blocks if block & members]
            blocks = [block for block in blocks if not block & members]
            blocks.append(members.union(*joined))

    def parts_of(name: str) -> set[str]:
        if makers[name].op_type != "Concat":
            return {name}
        return {part for each in makers[name].input for part in parts_of(each)}

    found = []
    for block in blocks:
        takers = [node for node in nodes if block & set(node.input)]
        convolutions = [node.name for node in takers if node.op_type == "Conv"]
        # Not the last layer's, which no convolution takes.
        seen = {node.input[0] for node in takers if node.op_type == "Conv"}
        parts = {part for name in seen for part in parts_of(name)}
        plain = all(makers[name].op_type in ("Relu", "MaxPool", "AveragePool") for name in parts)
        others = {node.op_type for node in takers} - {"Conv", "Concat", "GlobalAveragePool"}
        if plain and not others and convolutions and set(convolutions) <= allowed.keys():
            found.append((sorted(parts), convolutions))
    return found


def reaching_furthest(graph: bytes, batches: Iterable[NDArray[np.uint8]]) -> float:
    """The largest magnitude in any activation; FP16 ends at 65504."""
    # What other layers give is no larger than what they take.
    kinds = ("Conv", "BatchNormalization", "Gemm")
    # The last layer's tensor is an output already.
    inner = [
        node.output[0]
        for node in _nodes(graph)
        if node.op_type in kinds and node.output[0] != "embeddings"
    ]
    network = Network(graph, inner)
    return max(float(np.abs(values).max()) for batch in batches for values in network.run(batch))


def _nodes(graph: bytes) -> Any:
    from .packages import require

    return require("onnx").load_from_string(graph).graph.node
