"""What a user of the package meets before any picture."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reid_edge
from reid_edge import errors

HEAVY = (
    "cv2",
    "h5py",
    "onnx",
    "onnxruntime",
    "openvino",
    "platformdirs",
    "rich",
    "tensorrt",
    "torch",
)
ROOT = Path(reid_edge.__file__).parent.parent
TREE = [value for value in vars(errors).values() if inspect.isclass(value)]


def python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import reid_edge",
        "from reid_edge import reid",
        "import reid_edge.cli",
        "import reid_edge.metrics",
        "import reid_edge.trackers",
    ],
)
def test_the_import_is_light(statement):
    loaded = python(f"{statement}; import sys; print(*sys.modules)").split()
    assert "numpy" in loaded
    assert not set(HEAVY) & {name.partition(".")[0] for name in loaded}


def test_the_import_leaves_the_bench_alone():
    loaded = python("import reid_edge.cli; import sys; print(*sys.modules)").split()
    assert not any(name.startswith("reid_edge.bench") for name in loaded)


def test_the_first_score_needs_no_optional_package(tiny_folder):
    code = f"""
import sys
for name in ("h5py", "onnx", "onnxruntime", "safetensors", "tensorrt", "torch"):
    sys.modules[name] = None
import numpy as np
from reid_edge import ReId
picture = np.arange(32 * 16 * 3, dtype=np.uint8).reshape(32, 16, 3)
print(ReId({str(tiny_folder)!r}).predict(picture, picture)[0] > 0.9)
"""
    assert python(code).strip() == "True"


def test_the_old_way_to_the_class_works(tiny_folder):
    from reid_edge import reid

    assert reid.ReId is reid_edge.ReId
    picture = np.zeros((9, 9, 3), np.uint8)
    with reid.ReId(tiny_folder, backend="openvino") as model:
        assert model.predict(picture, picture).shape == (1,)


def test_the_public_names_are_sorted_and_there():
    assert reid_edge.__all__ == sorted(reid_edge.__all__)
    for name in reid_edge.__all__:
        assert getattr(reid_edge, name) is not None
    submodules = {path.stem for path in Path(reid_edge.__file__).parent.iterdir()}
    public = {name for name in vars(reid_edge) if not name.startswith("_")} - submodules
    assert public - set(reid_edge.__all__) - {"annotations"} == set()


def test_the_version_can_be_read_without_the_package_s_dependencies():
    code = "import runpy; print(runpy.run_path('reid_edge/_version.py')['__version__'])"
    assert python(code).strip() == reid_edge.__version__


def test_the_package_says_that_it_is_typed():
    assert (Path(reid_edge.__file__).parent / "py.typed").is_file()


def test_the_error_tree_has_no_class_outside():
    assert len(TREE) > 20
    for error in TREE:
        assert issubclass(error, errors.ReidEdgeError)
        assert error.__module__ == "reid_edge.errors"


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_every_error_says_what_it_is_for(error):
    assert "__doc__" in vars(error)
    assert error.__doc__.rstrip().endswith(".")


def test_errors_are_also_the_ones_of_the_language():
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.MissingDependencyError, ImportError)
    assert issubclass(errors.ClosedError, RuntimeError)


LEAVES = [error for error in TREE if not error.__subclasses__()]


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_every_error_is_raised_somewhere(error):
    if not (ROOT / "export").is_dir() and issubclass(error, errors.ConversionError):
        pytest.skip("raised by export, which is not beside an installed package")
    folders = [Path(reid_edge.__file__).parent, ROOT / "export"]
    sources = [path.read_text(encoding="utf-8") for f in folders for path in f.rglob("*.py")]
    assert any(re.search(rf"(?<!class )\b{error.__name__}\(", text) for text in sources)
