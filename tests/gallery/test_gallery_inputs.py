"""What a gallery refuses, and that it says why and stays as it was."""

from __future__ import annotations

import io
import math
from datetime import datetime

import _tiny
import gallery_files
import numpy as np
import pytest
from gallery_files import rows

from reid_edge import Gallery, errors


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda g: g.remove("x"), errors.UnknownIdentityError),
        (lambda g: g.rename("x", "y"), errors.UnknownIdentityError),
        (lambda g: g.merge("anna", "x"), errors.UnknownIdentityError),
        (lambda g: g.merge("x", "anna"), errors.UnknownIdentityError),
        (lambda g: g.merge("anna", "anna"), errors.OptionError),
        (lambda g: g.rename("anna", "ben"), errors.IdentityExistsError),
        (lambda g: g.rename("anna", ""), errors.OptionError),
        (lambda g: g.add("", rows(1)), errors.OptionError),
        (lambda g: g.add("x" * 201, rows(1)), errors.OptionError),
        (lambda g: g.add("a\udcff", rows(1)), errors.OptionError),
        (lambda g: g.add(7, rows(1)), errors.OptionError),
        (lambda g: g.add(" anna", rows(1)), errors.OptionError),
        (lambda g: g.rename("anna", "an\nna"), errors.OptionError),
        (lambda g: g.add("x", rows(1), camera="door\t"), errors.OptionError),
        (lambda g: g.add("x", rows(1), camera=""), errors.OptionError),
        (lambda g: g.add("x", rows(1), time=math.nan), errors.OptionError),
        (lambda g: g.add("x", rows(1), time=datetime(2026, 1, 1)), errors.OptionError),
        (lambda g: g.add("x", rows(2), camera=["a"]), errors.LengthMismatchError),
        (lambda g: g.add("x", rows(1), keep_thumbnails=True), errors.OptionError),
        (lambda g: g.add("x", rows(1) * 2), errors.EmbeddingError),
        (lambda g: g.add("x", rows(1) * np.nan), errors.EmbeddingError),
        (lambda g: g.add("x", rows(1, size=9)), errors.EmbeddingError),
        (lambda g: g.add("x", np.ones((1, 8), int)), errors.EmbeddingError),
        (lambda g: g.add("x", np.empty((0, 8), np.float32)), errors.EmbeddingError),
        (lambda g: g.add("x", [rows(1)[0], rows(1, size=9)[0]]), errors.EmbeddingError),
        (lambda g: g.add("x", []), errors.EmptyInputError),
        (lambda g: g.identify("a.jpg"), errors.InputError),
        (lambda g: g.identify(rows(1), top=0), errors.OptionError),
        (lambda g: g.identify(rows(1), fpir=0), errors.OptionError),
        (lambda g: g.identify(rows(1), fpir=1e-17), errors.OptionError),
        (lambda g: g.identify(rows(1), fpir=5e-324), errors.OptionError),
        (lambda g: g.identify(rows(1), fpir=0.6), errors.OptionError),
        (lambda g: g.identify(rows(1), fpir=math.nan), errors.OptionError),
        (lambda g: g.identify(rows(1), threshold=1.5), errors.OptionError),
        (lambda g: g.export("people.pkl"), errors.OptionError),
        (lambda g: g.export("no/such/folder.npz"), errors.GalleryWriteError),
        (lambda g: g.export(g.path), errors.OptionError),
        (lambda g: g.export(f"{g.path}-wal"), errors.OptionError),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(gallery, call, error):
    gallery.add("anna", rows(2)), gallery.add("ben", rows(1, seed=1))
    before = gallery.enrolled()
    with pytest.raises(error) as told:
        call(gallery)
    assert len(str(told.value)) > 20
    assert gallery.enrolled() == before
    assert gallery.identities() == ["anna", "ben"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda g: g.add(5, rows(1)), "identity: must be text"),
        (lambda g: g.add("anna ", rows(1)), "white space"),
        (lambda g: g.add("an\x1bna", rows(1)), "control characters"),
        (lambda g: g.add("anna", rows(1), time=datetime(2026, 1, 1)), "has no time zone"),
    ],
)
def test_what_is_wrong_with_a_name_or_a_time_is_said(gallery, call, says):
    with pytest.raises(errors.OptionError, match=says):
        call(gallery)


def test_older_files_may_hold_names_that_are_refused_now(path, rated_folder, gallery):
    gallery_files.put(gallery._view.store, "anna ", rows(1), "door\t")
    with Gallery(path, rated_folder) as again:
        assert again.identify(rows(1))[0].candidates[0].camera == "door\t"
        again.rename("anna ", "anna")
        assert again.identities() == ["anna"]


def test_an_empty_gallery_has_no_one_to_compare_with(gallery):
    assert (len(gallery), gallery.identities(), gallery.enrolled()) == (0, [], [])
    assert bool(gallery)
    for call in (gallery.threshold, lambda: gallery.identify(rows(1))):
        with pytest.raises(errors.EmptyGalleryError, match="add"):
            call()
    gallery.add("anna", rows(1))
    gallery.remove("anna")
    with pytest.raises(errors.EmptyGalleryError):
        gallery.identify(rows(1))


def test_an_asymmetric_head_is_refused_with_the_reason(concat_folder, path):
    with pytest.raises(errors.GalleryModelError, match=r"scores \(a, b\) otherwise than \(b, a\)"):
        Gallery(path, concat_folder)
    assert not path.exists()


def test_embeddings_of_another_model_are_refused(gallery, path, tmp_path):
    gallery.add("anna", rows(1))
    other = _tiny.write(tmp_path / "other", _tiny.model(size=8, drops_last=True))
    with pytest.raises(errors.GalleryModelError, match="another model"):
        Gallery(path, other)


def test_no_path_is_no_path(rated_folder):
    with pytest.raises(errors.OptionError, match="path"):
        Gallery(io.BytesIO(), rated_folder)
