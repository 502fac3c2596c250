"""Threads, closing and errors of a ReId."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import _tiny
import numpy as np
import pytest

from reid_edge import ReId, errors

A, B = _tiny.picture(0), _tiny.picture(1)


def test_eight_threads_get_the_scores_that_one_gets(tiny):
    pictures = [_tiny.picture(seed, 30 + seed % 5, 15) for seed in range(40)]
    expected = [tiny.predict(picture, pictures[: 1 + k]) for k, picture in enumerate(pictures)]
    start = threading.Barrier(8)

    def work(offset):
        start.wait()
        order = [(offset * 5 + step) % len(pictures) for step in range(len(pictures))]
        return {k: tiny.predict(pictures[k], pictures[: 1 + k]) for k in order}

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(work, range(8)):
            for k, scores in found.items():
                np.testing.assert_allclose(scores, expected[k], atol=2e-6)


def test_a_closed_model_says_so(tiny_folder):
    with ReId(tiny_folder, backend="openvino") as model:
        assert "openvino" in repr(model)
        rows = model.embed([A, B])
    for call in (
        lambda: model.predict(A, B),
        lambda: model.embed(A),
        lambda: model.info(),
    ):
        with pytest.raises(errors.ClosedError, match="closed; make a new one"):
            call()
    assert "closed" in repr(model)
    model.close()
    assert model.score(rows, rows).shape == (2,)  # needs no engine


def test_the_engine_is_freed_by_close_and_by_the_garbage_collector(tiny_folder):
    first, second = (ReId(tiny_folder, backend="openvino") for _ in range(2))
    engines = [weakref.ref(model._backend) for model in (first, second)]
    first.close()
    del second
    gc.collect()
    assert [engine() for engine in engines] == [None, None]


def test_closing_closes_the_engine_exactly_once(counting):
    model, counter = counting
    closed = []
    counter.close = lambda: closed.append(counter.inner.close())
    model.close()
    model.close()
    assert len(closed) == 1


def test_leaving_the_block_with_an_error_closes_and_lets_the_error_out(tiny_folder):
    with pytest.raises(KeyError), ReId(tiny_folder, backend="openvino") as model:
        raise KeyError
    with pytest.raises(errors.ClosedError):
        model.predict(A, B)


def test_closing_while_others_predict_gives_scores_or_the_closed_error_and_nothing_else(
    tiny_folder,
):
    with ReId(tiny_folder, backend="openvino") as model:
        expected = model.predict(A, B)
        outcomes, started = [], threading.Semaphore(0)

        def work():
            for _ in range(2000):
                try:
                    outcomes.append(model.predict(A, B) == expected)
                    started.release()
                except errors.ClosedError:
                    return
                except BaseException as error:
                    outcomes.append(error)
                    return

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            started.acquire()
        model.close()
        for thread in threads:
            thread.join()
    assert all(outcome is True or outcome == [True] for outcome in outcomes)


def test_an_interrupt_in_the_middle_leaves_the_model_usable(counting):
    model, counter = counting
    expected = model.predict(A, B)
    run = counter.inner.run

    def interrupted(batch):
        raise KeyboardInterrupt

    counter.inner.run = interrupted
    with pytest.raises(KeyboardInterrupt):
        model.predict(A, B)
    counter.inner.run = run
    assert model.predict(A, B) == expected


def test_a_picture_that_changes_while_it_is_scored_harms_nothing_else(tiny):
    expected = tiny.predict(A, B)
    moving, stop = A.astype(np.float32), threading.Event()

    def change():
        rng = np.random.default_rng(0)
        while not stop.is_set():
            moving[...] = rng.integers(0, 256, moving.shape)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            assert tiny.predict(A, [moving, B])[1] == pytest.approx(expected[0], abs=2e-6)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "error", "advice"),
    [
        (
            {"model": "absent"},
            errors.UnknownModelError,
            "'absent': give one of .*folder of a bundle",
        ),
        ({"backend": "tpu"}, errors.UnknownBackendError, "'tpu': give auto, openvino, onnxruntime"),
        (
            {"precision": "int4"},
            errors.UnknownPrecisionError,
            "'int4': give auto, fp32, fp16, int8",
        ),
        ({"precision": "int8"}, errors.PrecisionUnavailableError, "no int8 graph; it has: fp32"),
        ({"device": "gpu"}, errors.UnknownDeviceError, "'gpu': give cpu, cuda or cuda:N"),
    ],
)
def test_an_option_that_does_not_exist_lists_those_that_do(tiny_folder, arguments, error, advice):
    with pytest.raises(error, match=advice):
        ReId(**{"model": tiny_folder, **arguments})
