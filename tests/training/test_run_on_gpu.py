"""training/run_on_gpu.sh, as far as it goes without a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "training" / "run_on_gpu.sh"


@pytest.mark.parametrize("given", [[], ["packed"], ["packed", "teacher.xml", "out", "more"]])
def test_the_usage_is_shown(given):
    done = subprocess.run([SCRIPT, *given], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: training/run_on_gpu.sh PACKED TEACHER.xml OUT ")
    assert done.stderr.count("\n") == 1
