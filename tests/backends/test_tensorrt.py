"""The TensorRT backend over a double: order of calls, streams and buffers, errors, clean-up."""

from __future__ import annotations

import gc
import threading
import warnings

import _fake_gpu
import _fake_tensorrt as fake
import _tiny
import numpy as np
import pytest

from reid_edge import engines, errors
from reid_edge.backends import _cuda_graph, tensorrt
from reid_edge.backends.tensorrt import TensorRtBackend

MAX = 16
SIZE = (_tiny.HEIGHT, _tiny.WIDTH)


def plan_of(trt, graph=None, most=MAX):
    graph = graph or _tiny.model().SerializeToString()
    options = engines.BuildOptions(max_batch=most)
    return engines.build_engine(trt, graph, "fp16", SIZE, options).plan


def make(trt, bundle, plan=None, **options):
    return TensorRtBackend(trt, trt.world.gpu, bundle, plan or plan_of(trt), "fp16", **options)


@pytest.fixture
def backend(trt, full_bundle):
    made = make(trt, full_bundle)
    trt.world.log.clear()
    yield made
    made.close()


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), np.uint8)


def calls(trt, *kinds):
    return [entry for entry in trt.world.log if entry[0] in kinds]


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
def test_any_number_of_pictures_gives_each_its_own_embedding(backend, count):
    batch = pictures(count)
    np.testing.assert_array_equal(backend.run(batch), fake.embedding_of(batch, _tiny.SIZE))


def test_one_call_is_copied_computed_and_copied_back_in_one_stream(backend, trt):
    backend.run(pictures(3))
    upload, execute, download, wait = calls(trt, "upload", "execute", "download", "wait")
    stream = upload[1]
    assert upload == ("upload", stream, 3 * SIZE[0] * SIZE[1] * 3)
    assert execute == ("execute", stream, 3)
    assert download == ("download", stream, 3 * _tiny.SIZE * 4)
    assert wait == ("wait", stream)


def test_neighbouring_batches_take_turns_so_that_copies_and_work_overlap(backend, trt):
    filled = []

    def fill(rows, place):
        trt.world.log.append(("fill", place.start))
        filled.append(rows.__array_interface__["data"][0])
        rows[:] = pictures(len(rows))

    backend.embed(4 * MAX, fill)
    order = [entry[0] for entry in calls(trt, "fill", "execute", "wait")]
    # The second batch is under way before the first is awaited, and so on.
    assert order[:6] == ["fill", "execute", "fill", "execute", "wait", "fill"]
    first, second = [entry[1] for entry in calls(trt, "execute")][:2]
    assert first != second
    assert filled[0] == filled[2] != filled[1] == filled[3]


def test_memory_and_addresses_are_set_once(backend, trt):
    backend.run(pictures(5 * MAX))
    trt.world.log.clear()
    backend.run(pictures(5 * MAX))
    assert calls(trt, "make", "free", "address") == []


def test_the_second_worker_is_made_only_when_a_call_has_a_second_batch(backend, trt):
    backend.run(pictures(MAX))
    assert calls(trt, "make") == []
    backend.run(pictures(MAX + 1))
    assert [entry[1] for entry in calls(trt, "make")] == ["stream", "buffer", "buffer", "context"]


def test_small_batches_run_with_the_latency_profile_and_shapes_are_set_when_they_change(
    backend, trt
):
    for count in (2, 2, 8, 9, 9, 1):
        backend.run(pictures(count))
    assert calls(trt, "profile", "shape") == [
        ("profile", 0),
        ("shape", 2),
        ("shape", 8),
        ("profile", 1),
        ("shape", 9),
        ("profile", 0),
        ("shape", 1),
    ]


def test_pictures_are_written_straight_into_page_locked_memory(backend, trt):
    (worker,) = backend._engine._workers

    def fill(rows, place):
        assert np.shares_memory(rows, worker.pictures)
        rows[:] = 7

    backend.embed(2, fill)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_picture_that_cannot_be_read_leaves_nothing_under_way(backend, trt, at):
    def fill(rows, place):
        if place.start == at * MAX:
            raise errors.ImageFileError("damaged")
        rows[:] = 1

    with pytest.raises(errors.ImageFileError, match="damaged"):
        backend.embed(5 * MAX, fill)
    assert not any(stream.queue for stream in trt.world.gpu.streams.values())
    assert trt.world.gpu.depth == 0
    batch = pictures(3 * MAX, 5)
    np.testing.assert_array_equal(backend.run(batch), fake.embedding_of(batch, _tiny.SIZE))


def test_an_error_of_cuda_comes_out_once_and_close_still_frees(trt, full_bundle):
    backend = make(trt, full_bundle)
    trt.world.gpu.broken = errors.BackendError("CUDA failed (illegal address)")
    with pytest.raises(errors.BackendError, match="illegal address"):
        backend.run(pictures(4 * MAX))
    backend.close()
    assert trt.world.gpu.live == set()


def test_a_launch_that_is_refused_is_an_error(backend, monkeypatch):
    context = backend._engine._workers[0]._contexts[0].context
    monkeypatch.setattr(type(context), "execute_async_v3", lambda self, stream: False)
    with pytest.raises(errors.BackendError, match="TensorRT failed"):
        backend.run(pictures(1))


def test_a_shape_that_is_refused_is_an_error_and_is_not_taken_for_set(backend, monkeypatch):
    context = backend._engine._workers[0]._contexts[0].context
    with monkeypatch.context() as patch:
        patch.setattr(type(context), "set_input_shape", lambda self, name, shape: False)
        for _ in range(2):
            with pytest.raises(errors.BackendError, match="refuses a batch of 1"):
                backend.run(pictures(1))
    backend.run(pictures(1))


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


def test_the_stages_of_a_batch_are_timed_apart(backend, trt):
    assert set(backend.stages(4)) == {"h2d", "compute", "d2h"}
    order = [entry[0] for entry in calls(trt, "upload", "execute", "download")]
    assert order == ["upload", "execute", "download"]
    with pytest.raises(errors.BackendError, match="1 to 16"):
        backend.stages(17)


def test_threads_take_turns_and_get_their_own_answers(backend, trt, monkeypatch):
    monkeypatch.setattr(tensorrt, "_TURN", 2)
    wrong = []

    def work(seed):
        batch = pictures(5 * MAX + seed, seed)
        if not np.array_equal(backend.run(batch), fake.embedding_of(batch, _tiny.SIZE)):
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


# --- CUDA graphs ---------------------------------------------------------------------------------


class Recorded:
    """What `capture` gives: the work that was recorded, as it was then."""

    def __init__(self, gpu, stream, work):
        self.log, self.queue = gpu.log, gpu.streams[stream].queue
        assert self.queue == [], "work was under way"
        work()
        self.recorded = self.queue[:]
        self.queue.clear()

    def launch(self, stream):
        self.log.append(("replay",))
        self.queue.extend(self.recorded)

    def free(self):
        self.log.append(("free graph",))


@pytest.fixture
def recorded(trt, monkeypatch):
    monkeypatch.setattr(_cuda_graph, "require", lambda: None)
    monkeypatch.setattr(
        _cuda_graph, "capture", lambda stream, work: Recorded(trt.world.gpu, stream, work)
    )


def test_with_cuda_graphs_each_bucket_is_recorded_once_and_replayed(trt, full_bundle, recorded):
    backend = make(trt, full_bundle, cuda_graphs=True)
    for count in (3, 4, 16, 3, 11, 2, 40):
        batch = pictures(count, count)
        expected = fake.embedding_of(batch, _tiny.SIZE)
        np.testing.assert_array_equal(backend.run(batch), expected)
    assert len(calls(trt, "replay")) == 9  # 40 are three batches
    # The first worker met 4, 16, 2 and 8 pictures, the second 16: each in a context of its own.
    assert [entry[1] for entry in calls(trt, "shape")] == [4, 16, 2, 16, 8]
    trt.world.log.clear()
    backend.close()
    assert next(entry[0] for entry in calls(trt, "free graph", "free")) == "free graph"
    assert len(calls(trt, "free graph")) == 5
    assert trt.world.gpu.live == set()


def test_cuda_graphs_without_cuda_bindings_are_refused_at_once(trt, full_bundle, monkeypatch):
    def absent():
        raise errors.MissingDependencyError("pip install cuda-bindings")

    monkeypatch.setattr(_cuda_graph, "require", absent)
    with pytest.raises(errors.MissingDependencyError, match="cuda-bindings"):
        make(trt, full_bundle, cuda_graphs=True)
    assert trt.world.gpu.live == set()


def test_cuda_graphs_are_off_unless_asked_for(backend, trt, recorded):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.run(pictures(3))
    assert calls(trt, "replay") == []
