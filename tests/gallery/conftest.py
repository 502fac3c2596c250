from __future__ import annotations

import _tiny
import gallery_files
import pytest

from reid_edge import Gallery, ReId, cli
from reid_edge.gallery.store import Store

FAR = {
    "far_1e-2": {"score": 0.9, "low": 0.85, "high": 0.95},
    "far_1e-3": {"score": 0.95, "low": 0.9, "high": 0.99},
}


@pytest.fixture(scope="session")
def rated_folder(tmp_path_factory):
    """A bundle with the two false accept rates; not to be changed."""
    return _tiny.write(tmp_path_factory.mktemp("bundles") / "rated", thresholds=FAR)


@pytest.fixture(scope="session")
def rated(rated_folder):
    """A running model with the two false accept rates, shared."""
    with ReId(rated_folder, backend="openvino") as reid:
        yield reid


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.db"


@pytest.fixture
def gallery(path, rated_folder):
    """An empty gallery in a file; no model is started unless pictures are passed."""
    with Gallery(path, rated_folder) as found:
        yield found


@pytest.fixture
def store(path):
    found = Store(path, gallery_files.SPACE)
    yield found
    found.close()


@pytest.fixture
def enrolled(path):
    """A closed file with one person."""
    store = Store(path, gallery_files.SPACE)
    gallery_files.put(store, "anna", gallery_files.rows(3), "door", 1.0)
    store.close()
    return path


@pytest.fixture
def run(path, rated_folder, capsys, monkeypatch):
    """Run the command on one gallery: its arguments -> exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments, file=path):
        code = cli.main(["gallery", str(file), *map(str, arguments), "--model", str(rated_folder)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def files(picture_file):
    return [picture_file(f"{seed}.png", _tiny.picture(seed)) for seed in range(4)]
