from __future__ import annotations

import _tiny
import numpy as np
import pytest

from reid_edge import heads
from reid_edge.errors import EmbeddingError


def unit(count, size=8, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def cosine():
    return heads.CosineHead(6.0, -3.0)


def concat():
    described = _tiny.concat_mlp()
    return heads.ConcatMlpHead(*(described[name] for name in list(described)[1:]))


def cosine_reference(a, b):
    logit = 6.0 * sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) - 3.0
    return 1 / (1 + np.exp(-logit))


def concat_reference(a, b):
    head = _tiny.concat_mlp()
    logit = head["output_bias"]
    for k in range(32):
        hidden = float(a[k]) + float(b[32 + k]) + head["hidden_bias"][k]
        logit += max(0.0, hidden) * head["output_weights"][k]
    return 1 / (1 + np.exp(-logit))


def rows_for(head, count, seed):
    if isinstance(head, heads.CosineHead):
        return unit(count, seed=seed), cosine_reference
    rows = np.random.default_rng(seed).normal(size=(count, 64)).astype(np.float32)
    return rows, concat_reference


SHAPES = pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 5), (1, 5), (5, 1), (1, 300_000)])


@SHAPES
def test_an_embedding_of_zeros_is_refused_wherever_it_is(n, m):
    """It would score like a stranger; where others are orthogonal, that is what they are."""
    head = cosine()
    for first, count in ((True, n), (False, m)):
        for place in {0, count // 2, count - 1}:
            a, b = unit(n, seed=1), unit(m, seed=2)
            (a if first else b)[place] = 0
            with pytest.raises(EmbeddingError, match="zeros only"):
                head.pairs(a, b)
            with pytest.raises(EmbeddingError, match="not of unit length"):
                head.grid(a, b)
    across = np.eye(8, dtype=np.float32)[:2]
    np.testing.assert_allclose(head.grid(across, across)[0, 1], cosine_reference(*across))
    np.testing.assert_allclose(head.pairs(*across[:, None]), cosine_reference(*across))


@SHAPES
@pytest.mark.parametrize("length", [1e-30, 1e-6, 0.5, 0.98, 1.02])
def test_a_grid_refuses_rows_of_another_length_wherever_they_are(n, m, length):
    """A shorter row would score like someone else, with nothing that shows in its cosines."""
    for first, count in ((True, n), (False, m)):
        for place in {0, count // 2, count - 1}:
            a, b = unit(n, seed=1), unit(m, seed=2)
            (a if first else b)[place] *= length
            with pytest.raises(EmbeddingError, match=r"not of unit length; pass what embed\(\)"):
                cosine().grid(a, b)


BOTH = pytest.mark.parametrize("head", [cosine(), concat()], ids=["cosine", "concat_mlp"])


@BOTH
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 5), (1, 5), (5, 1)])
def test_pairs_are_what_the_formula_says(head, n, m):
    (a, formula), (b, _) = rows_for(head, n, 1), rows_for(head, m, 2)
    count = max(n, m)
    expected = [formula(a[k % n], b[k % m]) for k in range(count)]
    found = head.pairs(a, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@BOTH
@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 7), (7, 1), (1, 7)])
@pytest.mark.parametrize("tile", [1, 40, 100, 1 << 20])
def test_a_grid_is_what_the_formula_says_in_tiles_of_any_size(monkeypatch, head, n, m, tile):
    monkeypatch.setattr(heads, "_TILE", max(tile, getattr(head, "_hidden", 1)))
    (a, formula), (b, _) = rows_for(head, n, 1), rows_for(head, m, 2)
    found = head.grid(a, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[formula(x, y) for y in b] for x in a], atol=1e-6)


@BOTH
def test_inputs_are_never_changed(head):
    (a, _), (b, _) = rows_for(head, 4, 1), rows_for(head, 4, 2)
    a.flags.writeable = b.flags.writeable = False
    head.pairs(a, b)
    head.pairs(a[:1], b)
    head.grid(a, b)


def test_the_cosine_head_has_no_order_and_the_other_one_has():
    assert cosine().symmetric
    assert not concat().symmetric
    (a, _), (b, _) = rows_for(cosine(), 6, 1), rows_for(cosine(), 6, 2)
    assert np.array_equal(cosine().pairs(a, b), cosine().pairs(b, a))
    (a, _), (b, _) = rows_for(concat(), 6, 1), rows_for(concat(), 6, 2)
    assert np.abs(concat().pairs(a, b) - concat().pairs(b, a)).min() > 1e-4


def test_extreme_logits_saturate_without_a_warning():
    rows = unit(1)
    assert heads.CosineHead(1e6, 0.0).pairs(rows, -rows).tolist() == [0.0]
    assert heads.CosineHead(1e6, 0.0).pairs(rows, rows).tolist() == [1.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1.1, -1.1])
@pytest.mark.parametrize("place", ["first", "second"])
def test_the_cosine_head_refuses_what_is_no_embedding(value, place):
    good, bad = unit(3), unit(3)
    bad[1] = 0
    bad[1, 0] = value
    good[1] = 0
    good[1, 0] = 1
    pair = (bad, good) if place == "first" else (good, bad)
    for score in (cosine().pairs, cosine().grid):
        with pytest.raises(EmbeddingError, match=r"pass what embed\(\) of this model returned"):
            score(*pair)
    with pytest.raises(EmbeddingError):
        cosine().pairs(pair[0][1:2], pair[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_concat_head_refuses_what_is_not_finite_even_where_relu_would_hide_it(value):
    good, bad = np.zeros((2, 64), np.float32), np.zeros((2, 64), np.float32)
    bad[1, 5] = value
    for pair in ((good, bad), (bad, good)):
        for score in (concat().pairs, concat().grid):
            with pytest.raises(EmbeddingError, match=r"pass what embed\(\) returned"):
                score(*pair)


def test_embeddings_rounded_to_float16_still_score():
    rows = unit(50, 256).astype(np.float16).astype(np.float32)
    assert (cosine().pairs(rows, rows) > 0.9).all()
    assert (cosine().grid(rows, rows).diagonal() > 0.9).all()
