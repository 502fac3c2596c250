"""What is packed into a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import reid_edge

PACKAGE = Path(reid_edge.__file__).parent
ROOT = PACKAGE.parent
BUILD = "from setuptools.build_meta import build_wheel; build_wheel('dist')"


@pytest.fixture
def checkout(tmp_path):
    """A checkout with all that says how it is built, and little to build."""
    if not (ROOT / "setup.py").is_file():
        pytest.skip("built from a checkout, which is not beside an installed package")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "reid_edge").mkdir()
    for name in ("__init__.py", "_version.py", "py.typed"):
        shutil.copy(PACKAGE / name, tmp_path / "reid_edge")
    for model in ("edge", "edge-free"):
        folder = tmp_path / "reid_edge" / "models" / model
        folder.mkdir(parents=True)
        (folder / "bundle.json").write_text("{}")
    return tmp_path


def packed(checkout):
    """The models in the wheel that pip would build."""
    pytest.importorskip("setuptools", minversion="77")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (checkout / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "reid_edge/_version.py" in names
    return {name.split("/")[2] for name in names if name.startswith("reid_edge/models/")}


def test_a_model_that_was_left_out_is_not_packed_from_an_earlier_build(checkout):
    assert packed(checkout) == {"edge", "edge-free"}
    assert (checkout / "build" / "lib" / "reid_edge" / "models" / "edge").is_dir()
    shutil.rmtree(checkout / "reid_edge" / "models" / "edge")
    assert packed(checkout) == {"edge-free"}
    assert (checkout / "reid_edge" / "_version.py").is_file()  # the sources stay
