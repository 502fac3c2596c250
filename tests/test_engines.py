"""Building a plan, against a double that has exactly the names of each real release."""

from __future__ import annotations

import _thread
import contextlib
import threading
import time

import _fake_tensorrt as fake
import _tiny
import pytest

from reid_edge import engines, errors
from reid_edge.engine_options import BuildOptions

GRAPH = _tiny.model().SerializeToString()
SIZE = (_tiny.HEIGHT, _tiny.WIDTH)


def build(trt, graph=GRAPH, name="fp16", **options):
    return engines.build_engine(trt, graph, name, SIZE, **options)


@pytest.mark.parametrize("version", fake.VERSIONS)
def test_every_release_builds_strongly_typed_and_without_flags(version):
    trt = fake.make(version)
    made = build(trt)
    (seen,) = trt.world.builds
    assert made.plan
    assert made.strongly_typed
    assert seen["strong"]
    assert seen["flags"] == []
    assert seen["workspace"] == 1 << 30
    assert seen["level"] == 3
    assert seen["profiles"] == [
        {"images": [[1, *SIZE, 3], [2, *SIZE, 3], [8, *SIZE, 3]]},
        {"images": [[8, *SIZE, 3], [32, *SIZE, 3], [32, *SIZE, 3]]},
    ]


def test_the_options_reach_the_builder():
    trt = fake.make()
    build(trt, options=BuildOptions(max_batch=4, workspace=1 << 28, level=1), timing_cache=b"old")
    (seen,) = trt.world.builds
    assert (seen["workspace"], seen["level"], seen["timing_cache"]) == (1 << 28, 1, b"old")
    assert [p["images"][2][0] for p in seen["profiles"]] == [4]


def test_a_timing_cache_that_is_not_taken_is_replaced():
    trt = fake.make()
    trt.world.foreign_timings = b"old"
    assert build(trt, timing_cache=b"old").timing_cache == b"timings 1"
    assert trt.world.builds[0]["timing_cache"] == b""


def test_the_new_timing_cache_comes_back():
    assert build(fake.make(), timing_cache=b"old").timing_cache == b"timings 1"


@pytest.mark.parametrize(
    ("name", "flags"),
    [("fp32", []), ("fp16", ["FP16"]), ("int8", ["INT8"]), ("int8_fp16", ["FP16", "INT8"])],
)
def test_a_release_without_full_strong_typing_falls_back_to_flags(name, flags):
    trt = fake.make("10.3.0")
    trt.world.weak_only = True
    made = build(trt, name=name)
    (seen,) = trt.world.builds
    assert not made.strongly_typed
    assert not seen["strong"]
    assert seen["flags"] == flags


@pytest.mark.parametrize("version", fake.VERSIONS[1:])
def test_later_releases_never_fall_back(version):
    trt = fake.make(version)
    trt.world.weak_only = True
    with pytest.raises(errors.EngineBuildError, match="strong typing: not supported"):
        build(trt)
    assert trt.world.builds == []


def test_a_graph_that_cannot_be_read_is_refused_with_the_parsers_words():
    with pytest.raises(errors.EngineBuildError, match=r"cannot read the fp16 .*Failed to parse"):
        build(fake.make(), GRAPH[:100])


def test_a_graph_that_cannot_be_built_is_refused_with_the_builders_words():
    trt = fake.make()
    trt.world.no_plan = "no implementation for node conv7"
    with pytest.raises(errors.EngineBuildError, match=r"for node conv7.*another precision"):
        build(trt)


def test_a_builder_that_does_not_start_points_at_the_driver():
    trt = fake.make()
    trt.world.no_start = "CUDA initialization failure with error: 35"
    with pytest.raises(errors.DriverError, match=r"error: 35.*update the driver"):
        build(trt)


def test_progress_is_told_for_the_outermost_phase_only():
    told = []
    build(fake.make(), progress=lambda *step: told.append(step))
    assert told == [("Building engine", n, 3) for n in (0, 1, 2, 3, 3)]


def test_an_error_in_the_progress_callback_ends_the_build_and_comes_out():
    trt = fake.make()

    def progress(phase, step, steps):
        if step == 1:
            raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="the terminal is gone"):
        build(trt, progress=progress)
    assert trt.world.builds == []


def test_ctrl_c_ends_the_build_at_its_next_step():
    trt = fake.make()
    trt.world.steps = 1000
    done = []

    def step(number):
        done.append(number)
        if number == 3:
            _thread.interrupt_main()
        if number >= 3:
            cancelled.wait(0.02)

    cancelled = threading.Event()
    trt.world.during_build = step
    with pytest.raises(KeyboardInterrupt):
        build(trt)
    assert trt.world.builds == []
    count = len(done)
    time.sleep(0.1)
    assert len(done) == count < 1000


def test_a_second_ctrl_c_does_not_leave_the_build_running_unseen():
    trt = fake.make()
    trt.world.steps = 1000
    done = []

    def step(number):
        done.append(number)
        if number in (3, 4):
            _thread.interrupt_main()
            time.sleep(0.2)

    trt.world.during_build = step
    with pytest.raises(KeyboardInterrupt):
        build(trt)
    count = len(done)
    time.sleep(0.3)
    assert len(done) == count


def test_the_build_runs_with_the_gpus_context_current():
    seen = []
    depth = threading.local()

    @contextlib.contextmanager
    def current():
        depth.value = True
        yield
        depth.value = False

    trt = fake.make()
    trt.world.during_build = lambda step: seen.append(depth.value)
    build(trt, current=current)
    assert seen == [True] * 3


def test_there_is_one_logger_for_ever_that_keeps_the_last_errors_only():
    trt = fake.make()
    log = engines.logger_of(trt)
    assert engines.logger_of(trt) is log
    for number in range(10):
        log.log(trt.ILogger.ERROR, f"error\n{number}")
    assert log.reason() == "error 7; error 8; error 9"
    log.clear()
    assert log.reason() == ""


def test_only_tensorrt_rtx_takes_a_target():
    with pytest.raises(errors.OptionError, match="only TensorRT-RTX takes a target"):
        build(fake.make(), options=BuildOptions(target=(8, 6)))


@pytest.mark.parametrize(
    ("version", "numbers"), [("10.3.0", (10, 3, 0)), ("11.4.0.106", (11, 4, 0))]
)
def test_versions_are_numbers(version, numbers):
    assert engines.version_of(fake.make(version)) == numbers
