from __future__ import annotations

import numpy as np
import pytest

from benchmarks._crops import crops
from reid_edge import ReId

pytest.importorskip("tensorflow", reason="needs tensorflow-cpu, which the tests do without")


@pytest.mark.filterwarnings("default")
def test_keras_and_the_converted_bundle_give_the_same_scores(tmp_path):
    from benchmarks._siamese import Original
    from export.convert import convert

    original = Original()
    original.draw(seed=1)
    original.save(tmp_path / "random.h5")
    convert(tmp_path / "random.h5", tmp_path / "bundle")
    a, b = crops(4)[:2], crops(4)[2:]
    expected = original.predict(a, b)
    with ReId(tmp_path / "bundle", "openvino") as reid:
        np.testing.assert_allclose(reid.predict(a, b), expected, atol=1e-4)
    # The file holds what the network computes with: read back, the scores stay.
    original.draw(seed=2)
    assert np.abs(original.predict(a, b) - expected).max() > 1e-4
    original.load(tmp_path / "random.h5")
    np.testing.assert_allclose(original.predict(a, b), expected, atol=1e-6)
