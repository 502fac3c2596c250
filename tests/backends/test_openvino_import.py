from __future__ import annotations

import os
import subprocess
import sys

import pytest

_FAKE = """
print("imported")

class Telemetry:
    def __init__(self, *values, **names):
        pass

    def send_event(self, *values, **names):
        pass

    start_session = end_session = send_error = force_shutdown = send_event
"""
_SCRIPT = """
import sys
from reid_edge.backends import _openvino_import
{before}
openvino = _openvino_import.load()
assert _openvino_import.load() is openvino is sys.modules["openvino"]
print(openvino.Core().available_devices, {after})
"""


@pytest.fixture
def run(tmp_path):
    """Run the script with a home of its own, and a telemetry package that tells of its import."""
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text(_FAKE)
    (tmp_path / "openvino_telemetry" / "backend.py").write_text("backend_ga4 = None\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    surroundings = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": path}

    def run(before="", after="None"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT.format(before=before, after=after)],
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    assert not (tmp_path / "home").exists()


def test_openvino_is_imported_without_its_telemetry(run):
    assert "imported" not in run()


def test_others_can_import_the_telemetry_afterwards(run):
    assert "imported" in run(after='__import__("openvino_telemetry").__name__')


def test_a_program_that_has_the_telemetry_already_keeps_it(run):
    found = run("import openvino_telemetry", '"openvino_telemetry" in sys.modules')
    assert found.count("imported") == 1
    assert "True" in found
