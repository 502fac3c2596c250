"""Enrolling, identifying, removing, and the life of a gallery."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import _tiny
import numpy as np
import pytest
from gallery_files import rows

from reid_edge import Gallery, errors

PICTURES = [_tiny.picture(seed) for seed in range(6)]


def test_who_was_enrolled_is_found_and_a_stranger_is_unknown(path, rated):
    with Gallery(path, rated) as gallery:
        first = gallery.add("anna", PICTURES[:2], camera="door", time=10)
        second = gallery.add(
            "ben", PICTURES[2], camera=3, time=datetime(2026, 1, 1, tzinfo=timezone.utc)
        )
        anna, ben = gallery.identify([PICTURES[1], PICTURES[2]])
    assert (anna.identity, anna.known) == ("anna", True)
    assert ben.identity == "ben"
    best = anna.candidates[0]
    assert (best.camera, best.time, best.picture) == ("door", 10.0, first[1])
    assert best.score == pytest.approx(rated.predict(PICTURES[1], PICTURES[1])[0], abs=1e-6)
    # An identity counts by its best picture.
    expected = rated.predict(PICTURES[2], PICTURES[:2]).max()
    assert ben.candidates[1].score == pytest.approx(expected, abs=1e-5)
    assert (ben.candidates[0].camera, ben.candidates[0].picture) == ("3", second[0])
    assert ben.candidates[0].time == datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()


def test_a_stranger_is_unknown_and_the_candidates_are_given_all_the_same(gallery):
    gallery.add("anna", np.eye(8, dtype=np.float32)[0])
    (answer,) = gallery.identify(np.eye(8, dtype=np.float32)[1])
    assert (answer.known, answer.identity) == (False, None)
    assert answer.candidates[0].identity == "anna"
    assert answer.candidates[0].score < answer.threshold
    (answer,) = gallery.identify(np.eye(8, dtype=np.float32)[1], threshold=0.01)
    assert (answer.identity, answer.threshold) == ("anna", 0.01)


def test_embeddings_and_pictures_are_told_apart_by_their_axes(rated):
    embeddings = rated.embed(PICTURES)
    with Gallery(model=rated) as gallery:
        for number, value in enumerate(
            (embeddings[0], embeddings[:2], list(embeddings[:2]), PICTURES[0], PICTURES[:2])
        ):
            ids = gallery.add(f"{number}", value)
            assert len(ids) == (1 if number in (0, 3) else 2)
        assert len(gallery.identify(np.stack([PICTURES[0]] * 3))) == 3
        assert len(gallery) == 5
        for one in gallery.identify(PICTURES[0])[0].candidates:
            assert one.score == pytest.approx(
                gallery.identify(embeddings[0])[0].candidates[0].score, abs=1e-4
            )


def test_a_model_is_started_for_pictures_only_and_closed_with_the_gallery(path, rated_folder):
    gallery = Gallery(path, rated_folder)
    gallery.add("anna", rows(2))
    assert gallery._reid is None
    gallery.add("anna", PICTURES[0])
    started = gallery._reid
    gallery.close()
    with pytest.raises(errors.ClosedError):
        started.embed(PICTURES[0])


def test_a_model_of_the_caller_stays_open(rated):
    with Gallery(model=rated) as gallery:
        gallery.add("anna", PICTURES[0])
    assert len(rated.embed(PICTURES[0])) == 1


def test_it_outlives_the_process_and_is_the_owner_s_alone(path, rated_folder):
    mask = os.umask(0)
    try:
        with Gallery(path, rated_folder) as gallery:
            gallery.add("anna", rows(2), camera=["a", None], time=[1.5, None])
            for file in path.parent.glob("people.db*"):
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        os.umask(mask)
    with Gallery(path, rated_folder) as gallery:
        assert gallery.identities() == ["anna"]
        found = gallery.identify(rows(2))
        assert [(one.candidates[0].camera, one.candidates[0].time) for one in found] == [
            ("a", 1.5),
            (None, None),
        ]


def test_remove_merge_and_rename(gallery):
    a, b, c = rows(3)
    gallery.add("anna", a), gallery.add("ann", b), gallery.add("cleo", c)
    assert gallery.merge("anna", "ann") == 1
    assert gallery.identities() == ["anna", "cleo"]
    assert gallery.identify(b)[0].candidates[0].identity == "anna"
    gallery.rename("cleo", "Cleo ☂")
    assert gallery.identify(c)[0].candidates[0].identity == "Cleo ☂"
    assert gallery.remove("anna") == 2
    assert "anna" not in gallery
    assert len(gallery) == 1
    assert [one.identity for one in gallery.identify(a)[0].candidates] == ["Cleo ☂"]


def test_who_was_removed_is_nowhere_in_the_file(gallery, path):
    secret = rows(1, seed=5)
    gallery.add("a most peculiar name", secret, camera="a camera of its own")
    gallery.add("ben", rows(1, seed=6))
    files = list(path.parent.glob("people.db*"))
    assert any(secret.tobytes() in file.read_bytes() for file in files)
    gallery.remove("a most peculiar name")
    for file in path.parent.glob("people.db*"):
        content = file.read_bytes()
        assert secret.tobytes() not in content
        assert b"peculiar" not in content
        assert b"camera of its own" not in content


def test_ids_are_never_given_again(gallery):
    first = gallery.add("anna", rows(3))
    gallery.remove("anna")
    assert min(gallery.add("anna", rows(3))) > max(first)


def test_a_closed_gallery_says_so(gallery):
    gallery.close()
    gallery.close()
    with pytest.raises(errors.ClosedError):
        gallery.identify(rows(1))
    with pytest.raises(errors.ClosedError):
        gallery.add("anna", rows(1))


def test_a_closed_gallery_starts_no_model(gallery):
    gallery.close()
    with pytest.raises(errors.ClosedError):
        gallery.identify(PICTURES[0])
    assert gallery._reid is None


def test_all_precisions_of_a_bundle_share_a_gallery_and_so_does_another_calibration(path, tmp_path):
    content = _tiny.model().SerializeToString()
    one = _tiny.write(tmp_path / "one", content)
    several = _tiny.write_all_graphs(tmp_path / "several", int8=True)
    anew = _tiny.write(
        tmp_path / "anew", content, head={"type": "cosine", "scale": 9.0, "bias": -4.0}
    )
    with Gallery(path, one) as gallery:
        gallery.add("anna", rows(1))
    for folder in (several, anew):
        with Gallery(path, folder) as gallery:
            assert gallery.identities() == ["anna"]


def test_the_working_folder_may_change(tmp_path, monkeypatch, rated_folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with Gallery("people.db", rated_folder) as gallery:
        gallery.add("anna", rows(1))
        monkeypatch.chdir(tmp_path / "elsewhere")
        gallery.add("ben", rows(1, seed=1))
        assert gallery.identities() == ["anna", "ben"]
        gallery.export("out.npz")
        with pytest.raises(errors.OptionError, match="the gallery itself"):
            gallery.export("../people.db")


def test_info_and_enrolled(gallery, path):
    gallery.add("anna", rows(3), camera=["b", "a", "a"], time=[3, 1, 2])
    info = gallery.info()
    assert (info["identities"], info["pictures"], info["path"]) == (1, 3, str(path))
    (anna,) = gallery.enrolled()
    assert (anna.pictures, anna.cameras, anna.first, anna.last) == (3, ("a", "b"), 1.0, 3.0)


def test_pictures_are_kept_on_request_only(path, rated):
    with Gallery(path, rated) as gallery:
        gallery.add("anna", PICTURES[0])
        assert gallery.thumbnails() == {}
        white = np.full((40, 20, 3), 255, np.uint8)
        gallery.add("anna", [white, PICTURES[1]], keep_thumbnails=True)
        gallery.add("ben", PICTURES[2], keep_thumbnails=True)
        found = gallery.thumbnails()
        assert set(gallery.thumbnails(["ben", "nobody"])) == {"ben"}
    assert set(found) == {"anna", "ben"}
    assert found["anna"].shape == (96, 48, 3)
    assert (found["anna"] == 255).all()


def test_neighbours_are_the_most_alike_first(gallery):
    a, b, c = rows(3)
    near = a + 0.05 * b
    (
        gallery.add("anna", [a, c]),
        gallery.add("again", (near / np.linalg.norm(near)).astype(np.float32)),
    )
    gallery.add("ben", b)
    first, second, third = gallery.neighbours()
    assert {first[0], first[1]} == {"anna", "again"} == {second[0], second[1]}
    assert third[0] == "ben"
    assert first[2] == second[2] > third[2]


def test_many_threads_at_once(gallery):
    people = rows(40)

    def work(number):
        gallery.add(f"{number}", people[number])
        return gallery.identify(people[number])[0].candidates[0].identity

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [f"{number}" for number in range(40)]
    assert len(gallery) == 40


def test_what_another_connection_wrote_is_found_at_the_next_call(gallery, path, rated_folder):
    gallery.add("anna", rows(1))
    with Gallery(path, rated_folder) as other:
        assert other.identities() == ["anna"]
        gallery.add("ben", rows(1, seed=1))
        index = other._view.index
        assert other.identify(rows(1, seed=1))[0].candidates[0].identity == "ben"
        assert other._view.index is index  # only what is new was read
        gallery.rename("ben", "Ben")
        assert other.identify(rows(1, seed=1))[0].candidates[0].identity == "Ben"
        gallery.remove("anna")
        assert other.identities() == ["Ben"]
        other.add("cleo", rows(1, seed=2))
        assert "cleo" in gallery


def test_a_database_error_in_memory_is_ours_too(rated_folder):
    with Gallery(None, rated_folder) as gallery:
        database = gallery._view.store._db
        database.execute("DROP TABLE picture")
        with pytest.raises(errors.GalleryFileError, match="the gallery"):
            gallery.add("anna", rows(1))
        assert not database.in_transaction
