"""What ReId promises, on tiny models: which pairs are compared, and at what cost."""

from __future__ import annotations

import _tiny
import numpy as np
import pytest

from reid_edge import ReId, errors, read_image, reid

A, B, C = (_tiny.picture(seed, 40 + 9 * seed, 20 + seed) for seed in range(3))


def close(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.fixture(params=["tiny", "concat"])
def model(request):
    return request.getfixturevalue(request.param)


def test_two_pictures_give_one_score(model):
    score = model.predict(A, B)
    assert (score.shape, score.dtype) == ((1,), np.float32)
    assert 0 <= score[0] <= 1


def test_different_pictures_score_apart_and_a_picture_is_like_itself(tiny):
    same, different = tiny.predict(A, A.copy())[0], tiny.predict(A, B)[0]
    assert same == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)  # cosine 1
    assert different < same - 0.05


def test_lists_are_compared_item_by_item(model):
    close(
        model.predict([A, B, C], [B, C, A]),
        [model.predict(*p)[0] for p in [(A, B), (B, C), (C, A)]],
    )


def test_a_bare_picture_is_compared_with_every_item_on_either_side(model):
    close(model.predict(A, [B, C, A]), [model.predict(A, other)[0] for other in (B, C, A)])
    close(model.predict([B, C, A], A), [model.predict(other, A)[0] for other in (B, C, A)])


def test_order_matters_to_the_head_of_the_original_library_only(tiny, concat):
    assert tiny.predict(A, B) == tiny.predict(B, A)
    assert abs(concat.predict(A, B)[0] - concat.predict(B, A)[0]) > 1e-3


def test_a_list_of_one_is_no_bare_picture(model):
    close(model.predict([A], [B]), model.predict(A, B))
    close(model.predict([A], B), model.predict(A, B))
    for a, b in (([A], [B, C]), ([B, C], [A]), (A[None], [B, C])):
        with pytest.raises(errors.LengthMismatchError, match="pass lists of one length, or one"):
            model.predict(a, b)


def test_four_dimensions_are_a_list(model):
    batch = np.stack([_tiny.picture(seed) for seed in range(4)])
    close(model.predict(batch, batch[::-1]), model.predict(list(batch), list(batch)[::-1]))
    close(model.predict(batch[0], batch), model.predict(batch[0], list(batch)))
    assert model.embed(batch).shape == (4, model.bundle.embedding_size)


@pytest.mark.parametrize("empty", [[], (), np.zeros((0, 9, 9, 3), np.uint8)])
def test_an_empty_list_is_an_error_on_either_side_and_in_embed(tiny, empty):
    for call in (
        lambda: tiny.predict(empty, A),
        lambda: tiny.predict(A, empty),
        lambda: tiny.predict(empty, empty),
        lambda: tiny.embed(empty),
    ):
        with pytest.raises(errors.EmptyInputError, match="pass at least one picture"):
            call()


def test_the_message_names_the_argument(tiny):
    grey = np.zeros((9, 9), np.uint8)
    with pytest.raises(errors.ImageShapeError, match=r"^a: "):
        tiny.predict(grey, A)
    with pytest.raises(errors.ImageShapeError, match=r"^b\[1\]: "):
        tiny.predict(A, [A, grey])
    with pytest.raises(errors.ImageShapeError, match=r"^pictures\[0\]: "):
        tiny.embed([grey])


def test_a_bad_picture_costs_no_pass(counting):
    model, counter = counting
    with pytest.raises(errors.InputError):
        model.predict([A] * 40, [A] * 39 + [None])
    assert counter.passes == 0


def test_a_float_picture_scores_as_its_uint8_picture(model):
    assert model.predict(A.astype(np.float64), B) == model.predict(A, B)
    assert model.predict(A, B.astype(np.float16)) == model.predict(A, B)


def test_one_person_against_a_thousand_costs_a_thousand_and_one_passes(counting):
    model, counter = counting
    others = list(np.random.default_rng(0).integers(0, 256, (1000, 12, 8, 3), np.uint8))
    assert model.predict(A, others).shape == (1000,)
    assert counter.passes == 1001
    assert counter.calls == 33  # 31 batches of 32, one of 8 and one of 1


def test_engines_meet_six_batch_sizes_at_most(counting):
    model, counter = counting
    for count in range(1, 71):
        model.embed(list(np.zeros((count, 4, 4, 3), np.uint8)))
    assert counter.sizes == {1, 2, 4, 8, 16, 32}


def test_files_are_embedded_as_their_pictures_are(tiny, picture_file):
    paths = [picture_file(f"{seed}.png", _tiny.picture(seed)) for seed in range(35)]
    expected = tiny.embed([read_image(path) for path in paths])
    np.testing.assert_allclose(tiny.embed_files(paths), expected, atol=1e-6)
    np.testing.assert_allclose(tiny.embed_files(paths[0]), expected[:1], atol=1e-6)
    with pytest.raises(errors.EmptyInputError, match="at least one picture file"):
        tiny.embed_files([])


def test_a_picture_object_that_occurs_several_times_is_embedded_once(counting):
    model, counter = counting
    model.predict([A, B, A, A], [B, A, A, C])
    assert counter.passes == 3
    model.predict(A, [A, A])
    assert counter.passes == 4
    model.embed([A, B, B])
    assert counter.passes == 6


def test_nothing_is_remembered_between_calls(counting):
    model, counter = counting
    picture = A.copy()
    first = model.embed(picture)
    picture[...] = 255 - picture
    assert np.abs(model.embed(picture) - first).max() > 0.01
    assert counter.passes == 2


def test_a_hundred_thousand_references_to_one_picture_cost_one_pass(counting, monkeypatch):
    model, counter = counting
    largest = 0
    pairs = type(model.bundle.head).pairs

    def watched(head, a, b):
        nonlocal largest
        largest = max(largest, len(a), len(b))
        return pairs(head, a, b)

    monkeypatch.setattr(type(model.bundle.head), "pairs", watched)
    scores = model.predict([A, B] * 50_000, [B, A] * 50_000)
    close(scores, np.full(100_000, model.predict(A, B)[0]))
    assert counter.passes == 4
    assert largest < 20_000  # embeddings are gathered a part at a time


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 65])
def test_any_number_of_pictures_gives_what_one_by_one_gives(model, count):
    pictures = [_tiny.picture(seed, 20 + seed % 7, 12 + seed % 5) for seed in range(count)]
    one_by_one = np.concatenate([model.embed(picture) for picture in pictures])
    close(model.embed(pictures), one_by_one)
    close(
        model.predict(pictures, pictures[::-1]),
        [model.predict(a, b)[0] for a, b in zip(pictures, pictures[::-1], strict=True)],
    )


@pytest.mark.parametrize("count", [1, 5, 9])
def test_scores_in_parts_are_scores_at_once(model, monkeypatch, count):
    pictures = [_tiny.picture(seed) for seed in range(count)]
    at_once = [model.predict(pictures, pictures[::-1]), model.predict(A, pictures)]
    at_once.append(model.predict(pictures, A))
    monkeypatch.setattr(reid, "_PAIRS", 4)
    in_parts = [model.predict(pictures, pictures[::-1]), model.predict(A, pictures)]
    in_parts.append(model.predict(pictures, A))
    for found, expected in zip(in_parts, at_once, strict=True):
        close(found, expected)


def test_embed_keeps_the_order_and_repeats_repeated_pictures(model):
    rows = model.embed([B, A, B])
    assert np.array_equal(rows[0], rows[2])
    close(rows, np.concatenate([model.embed(B), model.embed(A), model.embed(B)]))


def test_embeddings_of_a_cosine_model_have_unit_length(tiny):
    np.testing.assert_allclose(np.linalg.norm(tiny.embed([A, B, C]), axis=1), 1, atol=1e-6)


def test_results_belong_to_the_caller(tiny):
    first = tiny.embed(A)
    kept = first.copy()
    tiny.embed(B)
    assert np.array_equal(first, kept)
    first[...] = 0  # writable
    close(tiny.embed(A), kept)


def test_score_and_score_grid_agree_with_predict(model):
    pictures = [A, B, C]
    rows = model.embed(pictures)
    grid = model.score_grid(rows, rows)
    close(grid, [[model.predict(a, b)[0] for b in pictures] for a in pictures])
    close(model.score(rows, rows[::-1]), model.predict(pictures, pictures[::-1]))
    close(model.score(rows[0], rows), model.predict(A, pictures))
    close(model.score(rows[:1], rows), model.predict(A, pictures))
    close(model.score(rows, rows[0]), model.predict(pictures, A))
    close(model.score(rows[0], rows[1]), model.predict(A, B))


def test_embeddings_come_back_from_lists_and_other_float_types(tiny):
    rows = tiny.embed([A, B])
    close(tiny.score(rows.astype(np.float64), rows.tolist()), tiny.score(rows, rows))
    close(tiny.score(rows.astype(">f8")[::-1], rows[::-1]), tiny.score(rows, rows)[::-1])
    assert tiny.score_grid(np.asfortranarray(rows), rows).shape == (2, 2)


@pytest.mark.parametrize(
    ("rows", "error", "advice"),
    [
        (np.zeros((2, 7), np.float32), errors.EmbeddingError, r"pass float \(n, 8\)"),
        (np.zeros((2, 2, 8), np.float32), errors.EmbeddingError, r"pass float \(n, 8\)"),
        (np.zeros((2, 8), int), errors.EmbeddingError, r"pass float \(n, 8\)"),
        (np.float32(1), errors.EmbeddingError, r"pass float \(n, 8\)"),
        ([[0.0] * 8, [0.0]], errors.EmbeddingError, r"pass float \(n, 8\)"),
        ("words", errors.EmbeddingError, r"pass float \(n, 8\)"),
        (None, errors.EmbeddingError, r"pass float \(n, 8\)"),
        ([], errors.EmptyInputError, "pass at least one row"),
        (np.zeros((0, 8), np.float32), errors.EmptyInputError, "pass at least one row"),
        (np.full((2, 8), np.nan), errors.EmbeddingError, "not finite.*pass what embed"),
        (np.full((2, 8), 1e300), errors.EmbeddingError, "not finite.*pass what embed"),
        (np.full((2, 8), 1.0), errors.EmbeddingError, "not of unit length; pass what embed"),
    ],
)
def test_bad_embeddings_get_an_error_with_the_fix_on_either_side(tiny, rows, error, advice):
    good = tiny.embed([A, B])
    if advice.startswith("not of unit"):
        rows = good * 1.5
    for call in (tiny.score, tiny.score_grid):
        for arguments in ((rows, good), (good, rows)):
            with pytest.raises(error, match=advice):
                call(*arguments)


def test_embeddings_of_different_number_are_a_length_mismatch(tiny):
    rows = tiny.embed([A, B, C])
    with pytest.raises(errors.LengthMismatchError, match="use score_grid to score each against"):
        tiny.score(rows, rows[:2])


def test_info_says_what_runs(tiny, tiny_folder):
    info = tiny.info()
    assert info.pop("device").startswith("CPU (")
    assert info == {
        "model": "tiny",
        "version": "1",
        "description": "Random weights, for tests.",
        "licence": "Apache-2.0",
        "licence_summary": "Free to use.",
        "backend": "openvino",
        "precision": "fp32",
        "input_size": (32, 16),
        "embedding_size": 8,
        "thresholds": {"far_1e-2": 0.8},
        "path": str(tiny_folder),
    }


@pytest.mark.parametrize(
    ("variant", "advice"),
    [
        ({"nan": True}, "NaN or infinite embeddings; export the bundle again"),
        ({"drops_last": True}, r"gives \(1, 8\) for 2 pictures; export the bundle again"),
    ],
)
def test_a_graph_that_breaks_its_promise_when_it_runs_is_refused(tmp_path, variant, advice):
    with (
        ReId(_tiny.write(tmp_path / "bad", _tiny.model(**variant)), backend="openvino") as model,
        pytest.raises(errors.BundleGraphError, match=advice),
    ):
        model.predict(A, B)


def test_the_default_model_tells_its_own_picture_from_another():
    from reid_edge import bundle

    if bundle.DEFAULT_MODEL not in bundle.shipped():
        pytest.skip("this checkout has no default model yet")
    with ReId() as model:
        same, other = model.predict(A, [A.copy(), B])
    assert same > 0.5
    assert same > other
