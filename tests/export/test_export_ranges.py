"""Histograms of activations, and where they are cut."""

from __future__ import annotations

import edge_files
import numpy as np
import pytest

from export import ranges
from export.convert import convert
from export.ranges import Histogram
from reid_edge.errors import ConversionError, OptionError


def of(*parts):
    histogram = Histogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float32))
    return histogram


def test_growing_range_counts_as_one_array_does():
    values = np.random.default_rng(0).exponential(1, 50_000).astype(np.float32)
    ordered = np.sort(values)  # the range grows and grows
    grown = of(*np.array_split(ordered, 20))
    assert grown.counts.sum() == len(values)
    assert grown.largest == values.max()
    for share in (90, 99.9, 99.99):
        exact = np.percentile(values, share, method="inverted_cdf")
        # A bin is at most 2 / 4096 of the range wide.
        assert abs(grown.cut(f"percentile-{share}") - exact) <= values.max() / 1000


def test_percentile_of_100_is_the_largest():
    histogram = of([0, -3, 2])
    assert histogram.cut("minmax") == histogram.cut("percentile-100") == 3


def test_nothing_but_zeros():
    assert of([0, 0], [0]).cut("entropy") == 0
    assert of([0, 0], [2]).counts.sum() == 3


def test_hardly_anything_counts_as_zero():
    tiny = of([1e-38, 1e-40], [0])
    assert tiny.cut("minmax") == tiny.cut("percentile-99") == 0
    assert tiny.counts[0] == 3
    assert of([1e-38], [2, 1e-38]).cut("minmax") == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_overflows(value):
    with pytest.raises(ConversionError, match="the training diverged"):
        of([0, 1], [1, value])


def test_entropy_cuts_an_outlier_but_not_the_crowd():
    crowd = np.abs(np.random.default_rng(0).normal(0, 1, 200_000))
    cut = of(crowd, [40.0]).cut("entropy")
    assert 2 < cut < 10
    # Evenly spread values have no tail to give up.
    assert of(np.linspace(0, 8, 100_000)).cut("entropy") > 7.5


@pytest.mark.parametrize("method", ["entropy", "minmax", "percentile-99.999", "percentile-50"])
def test_methods(method):
    ranges.check_method(method)
    assert 0 < of(np.linspace(0, 1, 10_000)).cut(method) <= 1


@pytest.mark.parametrize(
    "method", ["max", "percentile", "percentile-", "percentile-101", "percentile-10", ""]
)
def test_unknown_methods(method):
    with pytest.raises(OptionError, match="percentile-P"):
        ranges.check_method(method)


def test_tensors_of_a_graph(tmp_path):
    edge_files.save(tmp_path / "edge.safetensors")
    convert(tmp_path / "edge.safetensors", tmp_path / "out")
    graph = (tmp_path / "out" / "fp32.onnx").read_bytes()
    inputs = ranges.quantisable(graph)
    assert "stem/conv" not in inputs
    assert len(inputs) == 12
    assert inputs["block1/layer2/conv1"] == "block1/layer1/concat"
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), np.uint8)
    whole, first = (
        ranges.collect(graph, {"a": "block1/layer1/concat"}, parts)["a"]
        for parts in ([pictures[:2], pictures[2:]], [pictures[:1]])
    )
    assert whole.counts.sum() == 3 * first.counts.sum() > 0
    assert whole.largest >= first.largest
    assert ranges.reaching_furthest(graph, [pictures]) >= whole.largest
