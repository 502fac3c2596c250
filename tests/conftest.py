from __future__ import annotations

import signal

import _fake_gpu
import _fake_tensorrt
import _tiny
import cv2
import pytest

from reid_edge import ReId, cli
from reid_edge.backends import _cuda, _engine


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Jobs in the background ignore Ctrl-C, and so would the tests of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A bundle with a cosine head; not to be changed."""
    return _tiny.write(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def concat_folder(tmp_path_factory):
    """A bundle with a concat_mlp head; not to be changed."""
    return _tiny.write_concat(tmp_path_factory.mktemp("bundles") / "concat")


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """A running model, shared: close it and others fail."""
    with ReId(tiny_folder, backend="openvino") as reid:
        yield reid


@pytest.fixture(scope="session")
def concat(concat_folder):
    """A running model with a concat_mlp head, shared."""
    with ReId(concat_folder, backend="openvino") as reid:
        yield reid


@pytest.fixture
def counting(tiny_folder):
    """A running model of one's own, with the backend that counts its passes."""
    with ReId(tiny_folder, backend="openvino") as reid:
        reid._backend = counter = _tiny.Counting(reid._backend)
        yield reid, counter


@pytest.fixture
def picture_file(tmp_path):
    """Write an RGB picture to a file: (name, picture) -> its path."""

    def save(name, picture):
        path = tmp_path / name
        coded, data = cv2.imencode(path.suffix, picture[:, :, ::-1])
        assert coded
        path.write_bytes(data.tobytes())
        return path

    return save


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that is not real, with a driver."""
    found = _fake_gpu.FakeGpu()
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(_cuda, "driver_version", lambda: (13, 0))
    monkeypatch.setattr(_cuda, "open_gpu", lambda index=0: found)
    return found


@pytest.fixture
def trt(gpu, monkeypatch):
    """A TensorRT that is not real, installed."""
    module = _fake_tensorrt.make(gpu=gpu)
    monkeypatch.setattr(_engine, "load", lambda *_, **__: module)
    return module


@pytest.fixture
def run(tiny_folder, capsys, monkeypatch):
    """Run a command with the tiny model: its arguments -> exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(command, *arguments, model=tiny_folder):
        code = cli.main([command, *map(str, arguments), "--model", str(model)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
