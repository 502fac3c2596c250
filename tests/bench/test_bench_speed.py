from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import _tiny
import numpy as np
import pytest

import reid_edge
from reid_edge import read_image
from reid_edge.bench import machine, pictures, speed, stages, startup, threads
from reid_edge.errors import BackendError, OptionError

ROOT = Path(reid_edge.__file__).parent.parent


@pytest.fixture
def own(tiny_folder):
    """A model of one's own."""
    with stages.TimedReId(tiny_folder, backend="openvino") as reid:
        yield reid


class Slow:
    """A backend whose engine takes a known time."""

    def __init__(self, inner, seconds):
        self.inner, self.seconds = inner, seconds

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def embed(self, count, fill):
        time.sleep(self.seconds)
        return self.inner.embed(count, fill)


def test_generated_pictures_are_pictures_and_always_the_same(tmp_path, own):
    first, again = pictures.generate(5), pictures.generate(5)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({picture.shape for picture in first}) > 1
    assert all(picture.dtype == np.uint8 and picture.std() > 20 for picture in first)
    saved = pictures.save(first, tmp_path)
    for path, picture in zip(saved, first, strict=True):
        assert np.abs(read_image(path).astype(int) - picture).mean() < 6
    assert own.embed(first).shape == (5, _tiny.SIZE)


def test_timing_changes_no_embedding_and_tells_the_engine_from_the_rest(own, tiny):
    crops = pictures.generate(40)
    expected = tiny.embed(crops)
    own._backend = Slow(own._backend, 0.2)
    own.take()
    np.testing.assert_array_equal(own.embed(crops), expected)
    engine, resize = own.take()
    assert 0.2 <= engine < 2
    assert 0 < resize < engine
    assert own.take() == (0, 0)


def test_the_stages_of_a_pass_add_up_to_it(own, tmp_path):
    own._backend = Slow(own._backend, 0.05)
    passes = stages.Passes(own, pictures.save(pictures.generate(4), tmp_path))
    begun = time.perf_counter()
    for _ in range(3):
        passes.run()
    whole = time.perf_counter() - begun
    assert 3 * 0.05 < sum(sum(one.values()) for one in passes.seconds) <= whole
    assert all(value >= 0 for one in passes.seconds for value in one.values())
    found = passes.described(2)
    assert found["ms_per_picture"]["engine"] >= 50 / 4
    assert 0 < found["share_outside_engine_decoded"] < found["share_outside_engine"] < 0.9
    assert found["gpu_ms_per_picture"] is None  # no GPU
    assert found["total_ms_per_picture"] == pytest.approx(sum(found["ms_per_picture"].values()))


def test_throughput_counts_pictures_and_the_engine_is_part_of_it(own):
    own._backend = Slow(own._backend, 0.01)
    found = speed.throughput(own, 3, 0.1)
    assert found["batch"] == 3
    assert 10 < found["images_per_second"] < 300
    assert found["images_per_second"] <= found["engine_images_per_second"] <= 300
    assert len(found["images_per_second_rounds"]) == 3


def test_the_streams_are_timed(own, quick):
    own._backend = Slow(own._backend, 0.005)
    single = speed.single_stream(own, 0.05)
    assert 5 <= single["p50_ms"] <= single["p90_ms"] <= single["p99_ms"]
    counts = single["histogram"]["counts"]
    assert sum(counts) == single["calls"]
    assert len(single["histogram"]["edges_ms"]) == len(counts) + 1
    multi = speed.multi_stream(own, 0.05)
    assert multi["crops"] == 8
    assert multi["p99_ms"] >= 5


def test_a_cold_start_is_measured_in_fresh_processes(tiny_folder):
    found = startup.cold_start({"model": str(tiny_folder), "backend": "openvino"}, processes=1)
    # Before the first score NumPy was imported, and the graph compiled.
    assert found["import_seconds"] > 0.01
    assert found["first_score_seconds"] > found["import_seconds"] + found["model_seconds"] > 0.02
    if found["resident_mib_first_score"] is not None:
        assert found["resident_mib_first_score"] > 20
    assert (found["processes"], found["spread"]) == (1, 0)


def test_a_cold_start_that_fails_says_why(tmp_path):
    with pytest.raises(BackendError, match=r"bundle\.json: no such file"):
        startup.cold_start({"model": str(tmp_path)}, processes=1)


def test_the_machine_can_be_told_in_json():
    found = json.loads(json.dumps(machine.describe()))
    assert found["cpu"]
    assert found["processors"] >= found["processors_allowed"] >= 1
    assert {"numpy", "openvino"} <= found["packages"].keys()


def test_a_busy_machine_is_a_warning():
    assert machine.busy({"load_average": 0.2, "processors": 4}) is None
    assert machine.busy({"load_average": None, "processors": 4}) is None
    assert "4 processors" in machine.busy({"load_average": 3.0, "processors": 4})


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000", None), ("150000 100000", 1.5), ("", None), ("a b", None)],
)
def test_a_container_s_share_of_the_processors_is_read(tmp_path, content, expected):
    (tmp_path / "cpu.max").write_text(content)
    assert machine._quota(tmp_path / "cpu.max") == expected


def test_nvidia_smi_is_read_where_it_is(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Some GPU, 570.1, 1500 MHz, 2000 MHz, 60.00 W, 1234 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = machine.gpus()
    assert (found["name"], found["memory.used"]) == ("Some GPU", "1234 MiB")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_threads_bind_the_whole_process():
    code = """
import os
from pathlib import Path
import numpy as np
np.ones((300, 300)) @ np.ones((300, 300))
import cv2
from reid_edge.bench import threads
threads.limit(1)
print({len(os.sched_getaffinity(int(task.name))) for task in Path("/proc/self/task").iterdir()})
print(cv2.getNumThreads())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["{1}", "1"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
@pytest.mark.parametrize("count", [0, -1, 100_000])
def test_threads_that_are_not_there_are_refused(count):
    before = os.sched_getaffinity(0)
    with pytest.raises(OptionError, match="give a number in 1"):
        threads.limit(count)
    assert os.sched_getaffinity(0) == before
