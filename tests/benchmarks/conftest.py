from __future__ import annotations

import pytest

from benchmarks import _measure


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    """The figures are not looked at, so nobody needs a quiet processor."""
    monkeypatch.setattr(_measure, "_REST_SECONDS", 0.0)
