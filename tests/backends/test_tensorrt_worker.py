"""One worker of the TensorRT backend, over a double: streams, buffers, shapes, CUDA graphs."""

from __future__ import annotations

import warnings

import _fake_tensorrt as fake
import _tiny
import numpy as np
import pytest
from tensorrt_double import MAX, SIZE, calls, make, pictures

from reid_edge import errors
from reid_edge.backends import _cuda_graph


def test_one_call_is_copied_computed_and_copied_back_in_one_stream(trt_backend, trt):
    trt_backend.run(pictures(3))
    upload, execute, download, wait = calls(trt, "upload", "execute", "download", "wait")
    stream = upload[1]
    assert upload == ("upload", stream, 3 * SIZE[0] * SIZE[1] * 3)
    assert execute == ("execute", stream, 3)
    assert download == ("download", stream, 3 * _tiny.SIZE * 4)
    assert wait == ("wait", stream)


def test_memory_and_addresses_are_set_once(trt_backend, trt):
    trt_backend.run(pictures(5 * MAX))
    trt.world.log.clear()
    trt_backend.run(pictures(5 * MAX))
    assert calls(trt, "make", "free", "address") == []


def test_the_second_worker_is_made_only_when_a_call_has_a_second_batch(trt_backend, trt):
    trt_backend.run(pictures(MAX))
    assert calls(trt, "make") == []
    trt_backend.run(pictures(MAX + 1))
    assert [entry[1] for entry in calls(trt, "make")] == ["stream", "buffer", "buffer", "context"]


def test_small_batches_run_with_the_latency_profile_and_shapes_are_set_when_they_change(
    trt_backend, trt
):
    for count in (2, 2, 8, 9, 9, 1):
        trt_backend.run(pictures(count))
    assert calls(trt, "profile", "shape") == [
        ("profile", 0),
        ("shape", 2),
        ("shape", 8),
        ("profile", 1),
        ("shape", 9),
        ("profile", 0),
        ("shape", 1),
    ]


def test_pictures_are_written_straight_into_page_locked_memory(trt_backend, trt):
    (worker,) = trt_backend._engine._workers

    def fill(rows, place):
        assert np.shares_memory(rows, worker.pictures)
        rows[:] = 7

    trt_backend.embed(2, fill)


def test_a_launch_that_is_refused_is_an_error(trt_backend, monkeypatch):
    context = trt_backend._engine._workers[0]._contexts[0].context
    monkeypatch.setattr(type(context), "execute_async_v3", lambda self, stream: False)
    with pytest.raises(errors.BackendError, match="TensorRT failed"):
        trt_backend.run(pictures(1))


def test_a_shape_that_is_refused_is_an_error_and_is_not_taken_for_set(trt_backend, monkeypatch):
    context = trt_backend._engine._workers[0]._contexts[0].context
    with monkeypatch.context() as patch:
        patch.setattr(type(context), "set_input_shape", lambda self, name, shape: False)
        for _ in range(2):
            with pytest.raises(errors.BackendError, match="refuses a batch of 1"):
                trt_backend.run(pictures(1))
    trt_backend.run(pictures(1))


def test_the_stages_of_a_batch_are_timed_apart(trt_backend, trt):
    assert set(trt_backend.stages(4)) == {"h2d", "compute", "d2h"}
    order = [entry[0] for entry in calls(trt, "upload", "execute", "download")]
    assert order == ["upload", "execute", "download"]
    with pytest.raises(errors.BackendError, match="1 to 16"):
        trt_backend.stages(17)


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


def test_cuda_graphs_are_off_unless_asked_for(trt_backend, trt, recorded):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trt_backend.run(pictures(3))
    assert calls(trt, "replay") == []
