"""Which pictures are calibrated and judged on."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import crop_files
import numpy as np
import pytest

from export import pictures
from export.pictures import Frame
from reid_edge import images
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError, ImageFileError, LabelError
from reid_edge.image_files import read_image


def test_plain_folder_is_unlabelled_and_searched_deeply(tmp_path):
    crop_files.write(tmp_path / "crops" / "deep" / "deeper", people=1)
    found = pictures.open_set(str(tmp_path / "crops"))
    assert (found.name, found.labelled, len(found.samples)) == ("crops", False, 6)


def test_labelled_folder(tmp_path):
    crop_files.write(tmp_path / "crops")
    (tmp_path / "crops" / "-1_c1s1_000000_00.png").write_bytes(b"junk detection, never opened")
    found = pictures.open_set(f"folder:{tmp_path / 'crops'}")
    assert (found.name, found.labelled, len(found.samples)) == ("folder:crops", True, 36)


def test_market1501_means_its_training_split(tmp_path):
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        crop_files.write(tmp_path / "market" / name, people=1, pictures=1)
    found = pictures.open_set(f"market1501:{tmp_path / 'market'}")
    assert {sample.path.parent.name for sample in found.samples} == {"bounding_box_train"}


@pytest.mark.parametrize("spec", ["absent", "folder:absent", "market1501:absent", "viper:absent"])
def test_no_such_pictures(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="absent"):
        pictures.open_set(spec)


def test_unknown_layout_names_the_known_ones(tmp_path):
    with pytest.raises(DatasetError, match=r"no layout 'market'.*market1501, folder, pku"):
        pictures.open_set("market:crops")


def test_a_name_without_a_label_is_fine_in_a_folder_without_a_layout(tmp_path):
    (tmp_path / "anna.png").touch()
    with pytest.raises(LabelError, match="give the folder alone, without 'folder:'"):
        pictures.open_set(f"folder:{tmp_path}")
    assert len(pictures.open_set(str(tmp_path)).samples) == 1


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9\x1b")
    try:
        folder.mkdir()
        (folder / "0001_c1_0.png").touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for spec in (f"{folder}", f"folder:{folder}"):
        name = pictures.open_set(spec).name
        assert name.encode().decode().endswith(r"caf\udce9\x1b")
        assert name.isprintable()


def test_empty_folder(tmp_path):
    with pytest.raises(DatasetError, match="no pictures"):
        pictures.open_set(str(tmp_path))


def test_evenly():
    assert pictures.evenly(range(10), 4) == [0, 2, 5, 7]
    assert pictures.evenly("ab", 4) == ["a", "b"]


def test_whole_identities(tmp_path):
    samples = pictures.open_set(f"folder:{crop_files.write(tmp_path, people=8)}").samples
    kept = pictures.whole_identities(samples, 24)
    # Of so many pictures a view's first two; then whole.
    assert len(kept) == 24
    assert len({sample.pid for sample in kept}) == 6
    assert {sample.path.name[-10:-7] for sample in kept} == {"000", "001"}


def test_few_identities_with_many_pictures_are_thinned():
    samples = [
        Sample(Path(f"{pid}_{camid}_{number}"), pid, camid)
        for pid in range(3)
        for camid in range(2)
        for number in range(5000)
    ]
    kept = pictures.whole_identities(samples, 2048)
    assert len(kept) <= 2048
    views = Counter((sample.pid, sample.camid) for sample in kept)
    assert len(views) == 6
    assert set(views.values()) == {64}


def test_batches_are_what_the_runtime_sees(tmp_path):
    samples = pictures.open_set(str(crop_files.write(tmp_path, people=1, height=200))).samples
    parts = list(pictures.batches(samples, Frame(64, 32, "area"), 4))
    assert [part.shape for part in parts] == [(4, 64, 32, 3), (2, 64, 32, 3)]
    expected = np.empty((1, 64, 32, 3), np.uint8)
    images.fill(expected, [read_image(samples[5].path)], "area")
    assert np.array_equal(parts[1][1], expected[0])


def test_damaged_picture_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    samples = pictures.open_set(str(tmp_path)).samples
    with pytest.raises(ImageFileError, match=r"broken\.jpg"):
        list(pictures.batches(samples, Frame(64, 32, "area")))
