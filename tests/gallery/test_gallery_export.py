"""A gallery's people as .npz and .json."""

from __future__ import annotations

import json
import stat

import numpy as np
import pytest
from gallery_files import rows

from reid_edge import errors
from reid_edge.gallery.search import Index


def test_export_is_data_only_and_complete(gallery, tmp_path):
    gallery.add("anna", rows(2), camera="é", time=[1, None]), gallery.add("ben", rows(1, seed=1))
    gallery.export(tmp_path / "out.npz")
    gallery.export(tmp_path / "out.json")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert found["embeddings"].tolist() == np.concatenate([rows(2), rows(1, seed=1)]).tolist()
        assert json.loads(found["identities"].tobytes()) == ["anna", "anna", "ben"]
        assert json.loads(found["cameras"].tobytes()) == ["é", "é", None]
        assert found["times"][0] == 1
        assert np.isnan(found["times"][1:]).all()
        assert json.loads(found["about"].tobytes())["fingerprint"] == gallery.info()["fingerprint"]
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["schema"] == "reid_edge.gallery"
    assert [one["identity"] for one in found["pictures"]] == ["anna", "anna", "ben"]
    assert (
        np.array(found["pictures"][2]["embedding"], np.float32).tolist()
        == rows(1, seed=1)[0].tolist()
    )
    assert stat.S_IMODE((tmp_path / "out.npz").stat().st_mode) == 0o600


def test_an_export_that_fails_leaves_the_older_one(gallery, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    gallery.add("anna", rows(2))
    gallery.export(tmp_path / "out.json")
    before = (tmp_path / "out.json").read_bytes()
    monkeypatch.setattr(Index, "picture", fail)
    with pytest.raises(errors.GalleryWriteError, match="No space left"):
        gallery.export(tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_a_gallery_of_no_one_may_be_exported(gallery, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    gallery.export(out)
    if ending == "npz":
        with np.load(out) as found:
            assert found["embeddings"].shape == (0, 8)
    else:
        assert json.loads(out.read_text())["pictures"] == []
