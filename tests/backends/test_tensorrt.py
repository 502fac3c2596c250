"""The TensorRT backend over a double: answers, batches in turn, errors, clean-up, threads."""

from __future__ import annotations

import gc
import threading

import _fake_gpu
import _fake_tensorrt as fake
import _tiny
import numpy as np
import pytest
from tensorrt_double import MAX, SIZE, calls, make, pictures, plan_of

from reid_edge import errors
from reid_edge.backends import tensorrt


@pytest.mark.parametrize("version", fake.VERSIONS)
def test_every_release_embeds_and_frees_all(full_bundle, version):
    gpu = _fake_gpu.FakeGpu()
    trt = fake.make(version, gpu)
    backend = make(trt, full_bundle)
    batch = pictures(20)
    expected = fake.embedding_of(batch, _tiny.SIZE)
    np.testing.assert_array_equal(backend.run(batch), expected)
    assert (backend.name, backend.precision) == ("tensorrt", "fp16")
    assert backend.device == f"Orin (tensorrt {version})"
    backend.close()
    assert gpu.live == set()
    assert gpu.depth == 0


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 32, 33, 100, 16 * 16 + 1, 600])
def test_any_number_of_pictures_gives_each_its_own_embedding(trt_backend, count):
    batch = pictures(count)
    np.testing.assert_array_equal(trt_backend.run(batch), fake.embedding_of(batch, _tiny.SIZE))


def test_neighbouring_batches_take_turns_so_that_copies_and_work_overlap(trt_backend, trt):
    filled = []

    def fill(rows, place):
        trt.world.log.append(("fill", place.start))
        filled.append(rows.__array_interface__["data"][0])
        rows[:] = pictures(len(rows))

    trt_backend.embed(4 * MAX, fill)
    order = [entry[0] for entry in calls(trt, "fill", "execute", "wait")]
    # The second batch is under way before the first is awaited, and so on.
    assert order[:6] == ["fill", "execute", "fill", "execute", "wait", "fill"]
    first, second = [entry[1] for entry in calls(trt, "execute")][:2]
    assert first != second
    assert filled[0] == filled[2] != filled[1] == filled[3]


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_picture_that_cannot_be_read_leaves_nothing_under_way(trt_backend, trt, at):
    def fill(rows, place):
        if place.start == at * MAX:
            raise errors.ImageFileError("damaged")
        rows[:] = 1

    with pytest.raises(errors.ImageFileError, match="damaged"):
        trt_backend.embed(5 * MAX, fill)
    assert not any(stream.queue for stream in trt.world.gpu.streams.values())
    assert trt.world.gpu.depth == 0
    batch = pictures(3 * MAX, 5)
    np.testing.assert_array_equal(trt_backend.run(batch), fake.embedding_of(batch, _tiny.SIZE))


def test_an_error_of_cuda_comes_out_once_and_close_still_frees(trt, full_bundle):
    backend = make(trt, full_bundle)
    trt.world.gpu.broken = errors.BackendError("CUDA failed (illegal address)")
    with pytest.raises(errors.BackendError, match="illegal address"):
        backend.run(pictures(4 * MAX))
    backend.close()
    assert trt.world.gpu.live == set()


def test_a_full_gpu_is_named_and_what_was_made_is_freed(trt, full_bundle):
    trt.world.gpu.free_bytes = MAX * SIZE[0] * SIZE[1] * 3  # the input buffer, not the output
    with pytest.raises(errors.GpuMemoryError, match="out of memory"):
        make(trt, full_bundle)
    gc.collect()
    assert trt.world.gpu.live == set()


def test_a_context_that_cannot_be_made_is_named_and_what_was_made_is_freed(trt, full_bundle):
    trt.world.no_context = True
    with pytest.raises(errors.BackendError, match="smaller max_batch"):
        make(trt, full_bundle)
    gc.collect()
    assert trt.world.gpu.live == set()


@pytest.mark.parametrize("plan", [b"", b"no plan", b'{"version": "9.9"}'])
def test_a_foreign_plan_is_refused_with_tensorrts_words(trt, full_bundle, plan):
    trt.world.log.clear()
    with pytest.raises(errors.EnginePlanError, match=r"does not load .*build it again"):
        make(trt, full_bundle, plan or b" ")
    gc.collect()
    assert trt.world.gpu.live == set()


def test_a_runtime_that_does_not_start_points_at_the_driver(trt, full_bundle):
    plan = plan_of(trt)
    trt.world.no_start = "CUDA initialization failure with error: 35"
    with pytest.raises(errors.DriverError, match=r"error: 35.*update the driver"):
        make(trt, full_bundle, plan)
    assert trt.world.gpu.live == set()


@pytest.mark.parametrize(
    "other",
    [{"size": 9}, {"input_name": "data"}, {"output_name": "features"}, {"second_output": True}],
)
def test_a_plan_of_another_model_is_refused(trt, full_bundle, other):
    plan = plan_of(trt, _tiny.model(**other).SerializeToString()).replace(
        b'"data": [', b'"images": ['
    )
    with pytest.raises(errors.BundleGraphError, match="the graph's"):
        make(trt, full_bundle, plan)
    gc.collect()
    assert trt.world.gpu.live == set()


def test_profiles_with_a_gap_are_refused(trt, full_bundle):
    plan = plan_of(trt).replace(b"[[8, 32", b"[[12, 32")
    with pytest.raises(errors.EnginePlanError, match=r"\(1, 8\), \(12, 16\).*every batch size"):
        make(trt, full_bundle, plan)


# --- life ----------------------------------------------------------------------------------------


def test_all_is_freed_in_the_order_in_which_it_stands_on_each_other(trt, full_bundle):
    backend = make(trt, full_bundle)
    backend.run(pictures(2 * MAX))
    trt.world.log.clear()
    backend.close()
    worker = ["context", "buffer", "buffer", "stream"]
    assert [entry[1] for entry in calls(trt, "free")] == [*worker, *worker, "engine", "runtime"]
    backend.close()
    with pytest.raises(errors.ClosedError):
        backend.run(pictures(1))


def test_a_backend_that_is_dropped_frees_all(trt, full_bundle):
    backend = make(trt, full_bundle)
    backend.run(pictures(1))
    del backend
    gc.collect()
    assert trt.world.gpu.live == set()


def test_what_is_freed_at_exit_is_not_freed_under_a_thread_that_embeds(trt, full_bundle):
    backend = make(trt, full_bundle)
    inside, on = threading.Event(), threading.Event()
    found = []

    def fill(rows, place):
        inside.set()
        on.wait(5)
        rows[:] = 3

    thread = threading.Thread(target=lambda: found.append(backend.embed(2, fill)))
    thread.start()
    inside.wait(5)
    closing = threading.Thread(target=backend._free)  # as at exit
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    assert trt.world.gpu.live != set()
    on.set()
    thread.join()
    closing.join()
    assert len(found) == 1
    assert trt.world.gpu.live == set()


def test_after_some_patience_exit_leaves_a_stuck_thread_its_memory(trt, full_bundle, monkeypatch):
    monkeypatch.setattr(tensorrt, "_EXIT_PATIENCE", 0.05)
    backend = make(trt, full_bundle)
    live = set(trt.world.gpu.live)
    with backend._engine._lock:
        backend._free()
    assert trt.world.gpu.live == live
    backend._engine.close()


def test_threads_take_turns_and_get_their_own_answers(trt_backend, trt, monkeypatch):
    monkeypatch.setattr(tensorrt, "_TURN", 2)
    wrong = []

    def work(seed):
        batch = pictures(5 * MAX + seed, seed)
        if not np.array_equal(trt_backend.run(batch), fake.embedding_of(batch, _tiny.SIZE)):
            wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert trt.world.gpu.depth == 0


def test_closing_while_others_embed_ends_in_results_or_a_clear_error(trt, full_bundle, monkeypatch):
    monkeypatch.setattr(tensorrt, "_TURN", 1)
    backend = make(trt, full_bundle)
    monkeypatch.setattr(tensorrt, "_EXIT_PATIENCE", 60)
    odd = []

    def work():
        try:
            for _ in range(50):
                backend.run(pictures(3 * MAX))
        except errors.ClosedError:
            pass
        except BaseException as error:
            odd.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    backend.close()
    for thread in threads:
        thread.join()
    assert odd == []
    assert trt.world.gpu.live == set()
