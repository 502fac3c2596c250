"""One folder of engines, and several processes, one of which may be killed."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import time

import _fake_gpu
import _fake_tensorrt
import pytest
from tensorrt_double import start

from reid_edge import bundle
from reid_edge.backends import _cuda, _engine


def _race(folder, engine_dir, barrier, results, hang):
    gpu = _fake_gpu.FakeGpu()
    trt = _fake_tensorrt.make(gpu=gpu)
    _cuda.open_gpu = lambda index=0: gpu
    _engine.load = lambda name: trt

    def step(number):
        if hang and number == 1:
            results.put("building")
            time.sleep(60)
        time.sleep(0.1)

    trt.world.during_build = step
    barrier.wait()
    start(bundle.load(folder), engine_dir).close()
    results.put(len(trt.world.builds))


def _processes(count, *arguments):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    folder, engine_dir, hang = arguments
    made = [
        context.Process(target=_race, args=(folder, engine_dir, barrier, results, hang))
        for _ in range(count)
    ]
    for process in made:
        process.start()
    return made, results, barrier  # which ends with its last reference


def test_processes_that_start_at_once_build_once(full_folder, engine_dir):
    made, results, _barrier = _processes(3, full_folder, engine_dir, False)
    assert sorted(results.get(timeout=60) for _ in made) == [0, 0, 1]
    for process in made:
        process.join()
        assert process.exitcode == 0


def test_a_process_that_is_killed_while_it_builds_blocks_nobody(trt, full_folder, engine_dir):
    (process,), results, _barrier = _processes(1, full_folder, engine_dir, True)
    assert results.get(timeout=60) == "building"
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    start(bundle.load(full_folder), engine_dir).close()
    assert len(trt.world.builds) == 1


def test_ctrl_c_while_building_leaves_no_files_and_the_lock_free(trt, full_bundle, engine_dir):
    def step(number):
        if number == 1:
            _thread.interrupt_main()
            time.sleep(0.3)

    trt.world.during_build = step
    with pytest.raises(KeyboardInterrupt):
        start(full_bundle, engine_dir)
    assert not [path for path in engine_dir.iterdir() if path.suffix != ".lock"]
    trt.world.during_build = lambda step: None
    start(full_bundle, engine_dir).close()
