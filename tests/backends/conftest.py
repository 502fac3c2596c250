"""A bundle with all four graphs."""

from __future__ import annotations

import _tiny
import pytest

from reid_edge import bundle


@pytest.fixture
def full_folder(tmp_path):
    return _tiny.write_all_graphs(tmp_path / "full", fp16=True, int8=True, int8_fp16=True)


@pytest.fixture
def full_bundle(full_folder):
    return bundle.load(full_folder)
