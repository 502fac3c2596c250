"""The original library's files: same scores, whatever way they were saved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import legacy_files
import numpy as np
import pytest
import reference_ops

from export.convert import convert
from reid_edge import ReId, bundle, read_image

SHARED = Path(__file__).parents[2].parent / "shared"


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 221, 221, 3), np.uint8)


def test_scores_are_those_of_the_original_network(keras_weights, keras_bundle, run):
    a, b = pictures(2, seed=1), pictures(2, seed=2)
    expected = reference_ops.siamese_scores(keras_weights, a, b)
    embeddings = run(keras_bundle, np.concatenate([a, b]))
    assert embeddings.shape == (4, 64)
    assert embeddings.dtype == np.float32
    scores = bundle.load(keras_bundle).head.pairs(embeddings[:2], embeddings[2:])
    assert 0.01 < expected.min() < expected.max() < 0.99  # else it would say little
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_embedding_is_both_halves_of_the_dense_layer(keras_weights, keras_bundle, run):
    # Two scores in both orders pin the halves: swapped halves would swap the scores.
    a, b = pictures(1, seed=3), pictures(1, seed=4) // 3
    forward = reference_ops.siamese_scores(keras_weights, a, b)
    backward = reference_ops.siamese_scores(keras_weights, b, a)
    assert abs(forward - backward) > 1e-3
    head = bundle.load(keras_bundle).head
    x, y = run(keras_bundle, a), run(keras_bundle, b)
    np.testing.assert_allclose(head.pairs(x, y), forward, atol=1e-5)
    np.testing.assert_allclose(head.pairs(y, x), backward, atol=1e-5)


def test_bundle_says_what_it_is(keras_bundle, keras_weights, keras_file):
    described = json.loads((keras_bundle / "bundle.json").read_text(encoding="utf-8"))
    graph = (keras_bundle / "fp32.onnx").read_bytes()
    assert described["schema"] == 1
    assert described["name"] == "model-heavy"
    assert described["input"] == {"height": 221, "width": 221, "resize": "linear"}
    assert described["embedding_size"] == 64
    assert described["default_precision"] == "fp32"
    assert described["graphs"] == {
        "fp32": {
            "file": "fp32.onnx",
            "sha256": hashlib.sha256(graph).hexdigest(),
            "bytes": len(graph),
        }
    }
    assert described["source"] == {
        "file": keras_file.name,
        "sha256": hashlib.sha256(keras_file.read_bytes()).hexdigest(),
    }
    assert "unknown" in described["licence"]["summary"]
    assert described["gates"] == described["thresholds"] == described["figures"] == {}
    head = described["head"]
    assert head["type"] == "concat_mlp"
    # Exactly the file's float32 numbers.
    assert np.array_equal(np.float32(head["hidden_bias"]), keras_weights["hidden/bias"])
    assert head["hidden_bias"] == keras_weights["hidden/bias"].astype(np.float64).tolist()
    assert head["output_weights"] == keras_weights["out/kernel"][:, 0].astype(np.float64).tolist()
    assert head["output_bias"] == float(keras_weights["out/bias"][0])


def graph_of(path, tmp_path):
    return convert(path, tmp_path / "out")[0].read_bytes()


def test_weights_only_save_gives_the_same_graph(keras_weights, keras_bundle, tmp_path):
    path = tmp_path / "weights.h5"
    legacy_files.save(path, keras_weights, whole=False)
    assert graph_of(path, tmp_path) == (keras_bundle / "fp32.onnx").read_bytes()


@pytest.mark.parametrize("whole", [True, False])
def test_names_that_a_session_counted_up(keras_weights, keras_bundle, tmp_path, whole):
    # A second model in one session; dense_9 sorts behind dense_10.
    path = tmp_path / "second.h5"
    legacy_files.save(
        path, keras_weights, whole, lambda name: f"{name}_1", hidden="dense_9", out="dense_10"
    )
    assert graph_of(path, tmp_path) == (keras_bundle / "fp32.onnx").read_bytes()


def test_two_conversions_are_the_same_bytes(keras_file, keras_bundle, tmp_path):
    again = convert(keras_file, tmp_path / "again")
    assert [path.name for path in again] == ["fp32.onnx", "bundle.json"]
    for path in again:
        assert path.read_bytes() == (keras_bundle / path.name).read_bytes()


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the original's recorded scores are not in ../shared"
)
def test_recorded_scores_of_the_original(tmp_path):
    out = tmp_path / "heavy"
    convert(SHARED / "legacy" / "model_heavy_like.h5", out)
    pairs = json.loads((SHARED / "legacy" / "golden.json").read_text())["pairs"]
    a, b = (
        [read_image(SHARED / "data" / "pairs" / pair[side]) for pair in pairs] for side in (0, 1)
    )
    with ReId(out) as reid:
        scores = reid.predict(a, b)
        assert reid.info()["precision"] == "fp32"
    assert len(scores) == 36
    assert np.abs(scores - [pair[2] for pair in pairs]).max() <= 1e-4
