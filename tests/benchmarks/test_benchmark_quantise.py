"""What NNCF is shown, and what is written; NNCF itself is a double, as tests do not install it."""

from __future__ import annotations

import sys
import types

import cv2
import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from benchmarks import quantise
from reid_edge.errors import MissingDependencyError, OptionError


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def write_ir(path, shape=(1, 3, 32, 16)):
    pictures = ops.parameter(list(shape), np.float32, name="data")
    openvino.save_model(openvino.Model([ops.relu(pictures)], [pictures]), path)


@pytest.fixture
def people(tmp_path):
    folder = tmp_path / "people"
    folder.mkdir()
    for pid in range(3):
        bgr = np.full((40, 20, 3), (pid, 100, 200), np.uint8)
        assert cv2.imwrite(str(folder / f"{pid:04d}_c1_1.png"), bgr)
    return folder


@pytest.fixture
def shown(monkeypatch):
    """The pictures that NNCF is shown."""
    seen = []

    def quantize(network, dataset, subset_size):
        items, transform = dataset
        assert subset_size == len(items)
        seen.extend(transform(item) for item in items)
        return network

    nncf = types.SimpleNamespace(Dataset=lambda *both: both, quantize=quantize)
    packages = {"nncf": nncf, "openvino": openvino}
    monkeypatch.setattr(quantise, "require", lambda name, install: packages[name])
    return seen


def test_networks_are_shown_bgr_pictures_of_their_own_size(models, people, shown, tmp_path):
    write_ir(models / "a.xml")
    (written,) = quantise.quantise([models], people, tmp_path / "out" / "int8")
    assert written == tmp_path / "out" / "int8" / "a-int8.xml"
    assert written.with_suffix(".bin").is_file()
    assert [each.shape for each in shown] == [(1, 3, 32, 16)] * 3
    assert all(each.dtype == np.float32 for each in shown)
    assert shown[2][0, :, 5, 5].tolist() == [2, 100, 200]


def test_other_folders_and_networks_are_refused(models, people, shown, tmp_path):
    with pytest.raises(OptionError, match="no OpenVINO IR"):
        quantise.quantise([models], people, tmp_path / "out")
    write_ir(models / "grey.xml", (1, 1, 32, 16))
    with pytest.raises(OptionError, match="no network of pictures"):
        quantise.quantise([models], people, tmp_path / "out")
    with pytest.raises(OptionError, match="among --models"):
        quantise.quantise([models], people, tmp_path / "out" / ".." / "models")


def test_without_nncf_its_name_is_said(models, people, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingDependencyError, match="nncf"):
        quantise.quantise([models], people, tmp_path / "out")
