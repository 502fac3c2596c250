"""A bundle as the source of another: its FP32 graph in other precisions, and no other graph."""

from __future__ import annotations

import hashlib
import json
import os

import _tiny
import edge_files
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from wishes import described, recorded, runnable, wish

from export import running, sources
from export.__main__ import main
from export.convert import convert
from export.graph import GraphWriter
from export.wish import Wish
from reid_edge import bundle
from reid_edge.errors import OptionError

CARRIED = ("name", "version", "description", "licence", "input", "head", "thresholds", "figures")


@pytest.fixture(scope="module")
def densenet(tmp_path_factory):
    """A checkpoint of a small published DenseNet, not trained."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from training.model import Architecture, DenseNet

    architecture = Architecture(8, (4, 6, 8), (2, 1, 2), 4, 16, "densenet")
    torch.manual_seed(0)
    state = DenseNet(architecture).state_dict()
    path = tmp_path_factory.mktemp("densenet") / "densenet.safetensors"
    names = {**edge_files.metadata(), "architecture": architecture.to_json()}
    edge_files.save(path, {name: values.numpy() for name, values in state.items()}, names)
    return path


@pytest.fixture(params=["weights", "densenet", "keras_file"])
def source(request):
    """Each kind of weight file."""
    return request.getfixturevalue(request.param)


def both(source, tmp_path):
    """The FP16 bundle of a weight file, and that of this bundle."""
    first, again = tmp_path / "first", tmp_path / "again"
    with pytest.warns(RuntimeWarning, match="not verified"):
        convert(source, first, wish=Wish(("fp16",)))
    with pytest.warns(RuntimeWarning, match="not verified"):
        convert(first, again, wish=Wish(("fp16",)))
    return first, again


def test_the_bundle_again(source, tmp_path):
    first, again = both(source, tmp_path)
    fp32 = (first / "fp32.onnx").read_bytes()
    assert (again / "fp32.onnx").read_bytes() == fp32
    before, after = described(first), described(again)
    for field in CARRIED:
        assert after[field] == before[field]
    assert after["source"] == {"file": "fp32.onnx", "sha256": hashlib.sha256(fp32).hexdigest()}
    # In FP16, a number that was rounded to FP32 before may fall to its neighbour.
    graphs = [onnx.load(str(out / "fp16.onnx")).graph for out in (first, again)]
    expected, found = (list(graph.node) for graph in graphs)
    assert expected == found
    for one, other in zip(*(graph.initializer for graph in graphs), strict=True):
        assert one.name == other.name
        assert one.data_type == other.data_type
        values = [numpy_helper.to_array(each).astype(np.float64) for each in (one, other)]
        np.testing.assert_allclose(values[0], values[1], rtol=2**-10, atol=2**-24)


@pytest.mark.parametrize("kind", ["weights", "densenet"])
def test_int8_on_own_pictures(kind, crops, request, tmp_path):
    first, out = tmp_path / "first", tmp_path / "out"
    convert(request.getfixturevalue(kind), first)
    convert(first, out, wish=wish(crops))
    loaded = bundle.load(out)
    assert set(loaded.gates) == {"fp16", "int8", "int8_fp16"}
    assert loaded.default_precision == "auto"
    batch = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), np.uint8)
    graphs = {name: runnable(graph.read()) for name, graph in loaded.graphs.items()}
    found = running.embed(graphs, [batch])
    for name in ("int8", "int8_fp16"):
        cosines = (found["fp32"] * found[name]).sum(axis=1)
        assert (cosines > 0.98).all()
        assert not np.array_equal(found["fp32"], found[name])


def test_the_original_head_stays_in_fp32(copy, crops, tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphWriter("small", 64, 32)
    kernel, bias = rng.standard_normal((8, 3, 7, 7)) / 12, rng.standard_normal(8)
    x = graph.relu("stem/relu", graph.conv("stem/conv", graph.pictures(), kernel, bias, 2, 3))
    x = graph.global_average("features", x)
    x = graph.dense("head", x, rng.standard_normal((64, 8)), np.zeros(64))
    fields = described(copy)
    fields |= {"head": _tiny.concat_mlp(), "embedding_size": 64}
    (copy / "bundle.json").write_text(json.dumps(fields))
    recorded(copy, graph.finish(x, 64))
    convert(copy, tmp_path / "out", wish=Wish(("fp16",), gate=str(crops)))
    loaded = bundle.load(tmp_path / "out")
    assert set(loaded.gates) == {"fp16"}
    assert loaded.default_precision == "fp32"
    assert described(tmp_path / "out")["head"] == fields["head"]


@pytest.mark.parametrize("name", bundle.shipped())
def test_a_shipped_model(name, tmp_path):
    folder = bundle.find(name)
    out = tmp_path / "out"
    assert main(["--weights", str(folder), "--out", str(out), "--name", "mine"]) == 0
    assert (out / "fp32.onnx").read_bytes() == (folder / "fp32.onnx").read_bytes()
    before, after = bundle.load(folder), bundle.load(out)
    assert (after.name, after.licence) == ("mine", before.licence)
    notice, card = (out / "README.md").read_bytes().split(b"\n\n", 1)
    assert card == (folder / "README.md").read_bytes()
    assert notice.startswith(f"> **Exported again: mine {before.version}.** ".encode())
    assert f"the card of {name} {before.version}.".encode() in notice


def test_a_readme_that_is_there_is_not_replaced_by_a_card(copy, tmp_path):
    (copy / "README.md").write_text("the card")
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine")
    with pytest.warns(RuntimeWarning, match="stays as it is"):
        convert(copy, out)
    assert (out / "README.md").read_text() == "mine"
    (out / "README.md").unlink()
    wrote = [path.name for path in convert(copy, out, force=True)]
    assert wrote == ["fp32.onnx", "README.md", "bundle.json"]
    convert(copy, out, force=True)  # the same card again: nothing to warn of


def test_a_card_that_an_export_copied_gives_way_to_the_next_model_s(copy, tmp_path):
    card, out = copy / "README.md", tmp_path / "out"
    card.write_text("free to ship")
    convert(copy, out)
    card.write_text("for research only")
    convert(copy, out, force=True)
    assert (out / "README.md").read_text().endswith("\n\nfor research only")
    card.unlink()  # a model without one
    convert(copy, out, force=True)
    assert not (out / "README.md").exists()


def test_the_notice_says_which_graphs_are_not_there(copy, crops, tmp_path):
    (copy / "README.md").write_text("the card")
    convert(copy, tmp_path / "plain")
    assert "is of graphs that are not here" in (tmp_path / "plain" / "README.md").read_text()
    convert(copy, tmp_path / "half", wish=Wish(("fp16",), gate=str(crops)))
    assert "in bundle.json under `gates`" in (tmp_path / "half" / "README.md").read_text()


@pytest.mark.parametrize("kind", ["link", "pipe", "large"])
def test_a_card_that_is_no_small_file_is_left_out(copy, tmp_path, kind):
    card = copy / "README.md"
    if kind == "link":
        (tmp_path / "secret").write_text("of whoever exports")
        card.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(card)
    else:
        card.write_bytes(bytes((1 << 20) + 1))
    convert(copy, tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()


def test_a_description_that_changes_meanwhile_is_not_mixed_in(copy, monkeypatch, tmp_path):
    before, read = described(copy), sources.read

    def then_changed(path):
        found = read(path)
        (copy / "bundle.json").write_text("{}")
        return found

    monkeypatch.setattr(sources, "read", then_changed)
    convert(copy, tmp_path / "out")
    assert {field: described(tmp_path / "out")[field] for field in CARRIED} == {
        field: before[field] for field in CARRIED
    }


@pytest.mark.parametrize("path", ["plain", "relative", "link"])
def test_never_into_its_own_folder(copy, monkeypatch, path):
    kept = {each.name: each.read_bytes() for each in copy.iterdir()}
    out = copy
    if path == "relative":
        monkeypatch.chdir(copy)
        out = type(copy)(os.path.join("..", copy.name))
    elif path == "link":
        out = copy.parent / "link"
        out.symlink_to(copy, target_is_directory=True)
    with pytest.raises(OptionError, match="is the folder that --weights names"):
        convert(copy, out, force=True)
    assert {each.name: each.read_bytes() for each in copy.iterdir()} == kept
