"""Pictures through archives and back."""

import tarfile

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from reid_edge import datasets
from reid_edge.errors import DatasetError
from reid_edge.image_files import read_image
from training import held_out
from training.__main__ import main
from training.pack import pack, unpacked
from training.sets import PreparedSet


@pytest.fixture
def pictures(tmp_path):
    """Eight small JPEGs, one large one, one PNG."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for row in range(10):
        size = (512, 300) if row == 8 else (128, 64)
        coarse = rng.integers(0, 256, (16, 8, 3), np.uint8)
        suffix = "png" if row == 9 else "jpg"
        path = folder / f"{row // 2 + 1:04}_c{row % 2 + 1}_{row}.{suffix}"
        cv2.imwrite(str(path), cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))
    return datasets.folder(folder)


def unpack(parts, folder):
    for part in parts:
        with tarfile.open(part) as archive:
            archive.extractall(folder, filter="data")


def test_people_and_cameras_survive_and_small_jpegs_are_kept_as_they_are(pictures, tmp_path):
    splits = {"train": {"one": pictures[:4], "two": pictures[4:]}, "held_out": {"one": pictures}}
    parts = pack(splits, tmp_path / "parts", 30_000)
    assert len(parts) > 1
    assert all(part.stat().st_size <= 30_000 for part in parts)
    unpack(parts, tmp_path / "there")
    found = unpacked(tmp_path / "there")
    for split, sources in splits.items():
        assert list(found[split]) == list(sources)
        for source, samples in sources.items():
            again = {(s.pid, s.camid, s.path.stem.split("_")[-1]): s for s in found[split][source]}
            assert len(again) == len(samples)
            for sample in samples:
                path = again[sample.pid, sample.camid, sample.path.stem.split("_")[-1]].path
                picture, before = read_image(path), read_image(sample.path)
                if sample.path.suffix == ".jpg" and before.shape[0] <= 256:
                    assert path.read_bytes() == sample.path.read_bytes()
                elif before.shape[0] > 256:
                    assert picture.shape == (256, 128, 3)
                else:
                    assert np.abs(picture.astype(int) - before).mean() < 4


def test_two_pictures_of_one_name_and_one_too_large_are_refused(pictures, tmp_path):
    with pytest.raises(DatasetError, match="another picture of this name"):
        pack({"train": {"one": pictures * 2}}, tmp_path / "parts", 1 << 20)
    with pytest.raises(DatasetError, match="larger than a part"):
        pack({"train": {"one": pictures}}, tmp_path / "parts", 20_600)


def test_an_unfinished_folder_says_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match="unpack all parts"):
        unpacked(tmp_path)


def test_packed_pictures_are_prepared_as_the_originals_are(tmp_path, capsys):
    source = tmp_path / "synthetic"
    source.mkdir()
    kept = min(held_out.held_out_pids("synthetic"))
    rng = np.random.default_rng(0)
    for pid in (kept, kept + 1):
        for camid in (1, 2):
            path = source / f"{pid:06}_c{camid:03}_01.jpg"
            cv2.imwrite(str(path), rng.integers(0, 256, (128, 64, 3), np.uint8))
    (tmp_path / "places").mkdir()
    plain = np.full((256, 512, 3), (10, 100, 200), np.uint8)
    cv2.imwrite(str(tmp_path / "places" / "a.png"), plain)
    places = ["--scenes", str(tmp_path / "places")]
    packed = ["pack", "--synthetic", str(source), *places, "--out", str(tmp_path / "parts")]
    assert main(packed) == 0
    assert "part00.tar" in capsys.readouterr().out
    unpack([tmp_path / "parts" / "part00.tar"], tmp_path / "there")
    runs = [tmp_path / "direct", tmp_path / "packed"]
    assert main(["prepare", "--synthetic", str(source), *places, "--out", str(runs[0])]) == 0
    assert main(["prepare", "--packed", str(tmp_path / "there"), "--out", str(runs[1])]) == 0
    for split in ("train", "held_out"):
        direct, packed = (PreparedSet.open(run / split) for run in runs)
        np.testing.assert_array_equal(direct.images, packed.images)
        np.testing.assert_array_equal(direct.labels, packed.labels)
        np.testing.assert_array_equal(direct.camids, packed.camids)
        assert direct.sources == packed.sources == ["synthetic"]
        for each in (direct.scenes, packed.scenes):
            if split == "held_out":
                assert each is None
            else:
                assert each.shape == (2, 256, 256, 3)
                assert np.abs(each.astype(int) - (200, 100, 10)).max() < 4


def test_scenes_are_looked_for_before_anything_is_done(tmp_path, capsys):
    source = tmp_path / "synthetic"
    source.mkdir()
    kept = min(held_out.held_out_pids("synthetic"))
    for pid in (kept, kept + 1):
        for camid in (1, 2):
            path = source / f"{pid:06}_c{camid:03}_01.jpg"
            cv2.imwrite(str(path), np.zeros((128, 64, 3), np.uint8))
    named = ["--synthetic", str(source), "--scenes", str(tmp_path / "nowhere")]
    out = ["--out", str(tmp_path / "out")]
    for command in ("pack", "prepare"):
        assert main([command, *named, *out]) == 1
        assert "nowhere" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_packed_scenes_and_others_are_refused_and_prepared_ones_stay_with_a_word(tmp_path, capsys):
    for name in ("train/a", "held_out/a", "scenes", "others"):
        (tmp_path / name).mkdir(parents=True)
        grey = np.full((64, 64, 3), 200 if name == "others" else 10, np.uint8)
        cv2.imwrite(str(tmp_path / name / "0001_c1_1.png"), grey)
    packed = ["prepare", "--packed", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="holds scenes already"):
        main([*packed, "--scenes", str(tmp_path / "others")])
    assert main(packed) == 0
    assert PreparedSet.open(tmp_path / "out" / "train").scenes.max() == 10
    capsys.readouterr()
    assert main(packed) == 0
    assert "stays: remove it" in capsys.readouterr().out
