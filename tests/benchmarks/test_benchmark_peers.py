from __future__ import annotations

import _tiny
import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from benchmarks import _contenders, peers
from reid_edge import bundle
from reid_edge.datasets import QueryGallery, Sample
from reid_edge.errors import OptionError

SIZE = (_tiny.HEIGHT, _tiny.WIDTH)


def write_ir(path, channels=3, quantised=False):
    """A network of raw BGR pictures, as Intel's: its embedding is the mean of each channel."""
    pictures = ops.parameter([1, channels, *SIZE], np.float32, name="data")
    bounds = [np.float32(each) for each in (0, 255, 0, 255)]
    values = ops.fake_quantize(pictures, *bounds, levels=256) if quantised else pictures
    means = ops.reduce_mean(values, np.array([2, 3]), keep_dims=False)
    openvino.save_model(openvino.Model([means], [pictures]), path)
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models").mkdir()
    write_ir(tmp_path / "models" / "means.xml")
    return tmp_path / "models"


def test_a_peer_takes_its_own_order_of_channels_and_any_number_of_pictures(folder):
    found = _contenders.peers([folder], SIZE, (1, 4))
    assert found[0].label == "means fp32"
    assert all(one.bgr and not one.ours for one in found)
    batch = np.random.default_rng(0).integers(0, 256, (7, *SIZE, 3), np.uint8)
    np.testing.assert_allclose(found[0].run(batch), batch.mean((1, 2)), rtol=1e-5)
    alone = np.concatenate([found[0].run(batch[i : i + 1]).copy() for i in range(7)])
    np.testing.assert_allclose(found[0].run(batch), alone, rtol=1e-5)


def test_a_quantised_peer_is_called_so(folder):
    write_ir(folder / "means-int8.xml", quantised=True)
    labels = [one.label for one in _contenders.peers([folder], SIZE, (1,))]
    assert labels[0] == "means-int8 int8+fp32"
    assert "means fp32" in labels


def test_cosines_do_not_depend_on_lengths(folder):
    one = _contenders.peers([folder], SIZE, (1,))[0]
    a, b = np.float32([[1, 0], [3, 4]]), np.float32([[5, 0], [0, 2], [6, 8]])
    np.testing.assert_allclose(one.grid(a, b), [[1, 0, 0.6], [0.6, 0.8, 1]], atol=1e-6)


def test_no_file_and_another_network_are_refused(folder, tmp_path):
    with pytest.raises(OptionError, match="no OpenVINO IR"):
        _contenders.peers([tmp_path], SIZE, (1,))
    write_ir(folder / "grey.xml", channels=1)
    with pytest.raises(OptionError, match=r"grey\.xml.*move it elsewhere"):
        _contenders.peers([folder], SIZE, (1,))


def test_two_files_of_one_name_are_refused(folder, tmp_path):
    (tmp_path / "int8").mkdir()
    write_ir(tmp_path / "int8" / "means.xml")
    with pytest.raises(OptionError, match="means in several folders"):
        _contenders.peers([folder, tmp_path / "int8"], SIZE, (1,))


def row(name, mean_ap, ours=False):
    return {"name": name, "precision": "fp32", "ours": ours, "mAP": mean_ap}


@pytest.mark.parametrize(
    ("peer", "seconds", "compared", "refuted"),
    [
        ((0.6, 1.5), "slower than the fast one of ours", ["fast fp32"], False),
        ((0.6, 0.5), "faster, and less accurate", ["fast fp32"], True),
        ((0.7, 1.5), "between ours, as accurate as the good one", ["good fp32"], False),
        ((0.9, 0.1), "more accurate than all of ours", [], False),
    ],
)
def test_a_peer_is_held_against_the_fastest_that_is_as_accurate(peer, seconds, compared, refuted):
    mean_ap, time = peer
    rows = [row("fast", 0.65, True), row("good", 0.7, True), row("peer", mean_ap)]
    times = {"fast fp32": [1.0], "good fp32": [1.2], "peer fp32": [time]}
    found, refuting = peers.judge(rows, times)
    assert bool(refuting) == refuted, seconds
    ours = [one["ours_seconds"] for one in found.values()]
    assert ours == [times[name][0] for name in compared]


def test_a_subset_asks_evenly_and_keeps_the_people_asked_for():
    samples = [Sample(None, pid, camid) for pid in range(10) for camid in (1, 2)]
    found = peers.subset(QueryGallery(samples[::2], samples), 3)
    assert [one.pid for one in found.query] == [0, 4, 9]
    assert {one.pid for one in found.gallery} == {0, 4, 9}
    with pytest.raises(OptionError, match="at least 1"):
        peers.subset(QueryGallery(samples, samples), 0)


def test_all_get_the_same_pictures_and_one_protocol(folder, tiny_folder, tmp_path, monkeypatch):
    # Colours tell the two people apart; a peer that got RGB for BGR would still, so the network's
    # own answer is checked above.
    (tmp_path / "people").mkdir()
    import cv2

    for pid, colour in ((1, (200, 30, 30)), (2, (30, 200, 30))):
        for camid in (1, 2):
            for shot in (1, 2):
                picture = np.full((40, 20, 3), colour, np.uint8) + np.uint8(shot)
                name = f"people/{pid:04}_c{camid}s1_{shot:06}_00.png"
                assert cv2.imwrite(str(tmp_path / name), picture)
    monkeypatch.setattr(bundle, "find", lambda model: tiny_folder)
    found = peers.run([folder], f"folder:{tmp_path / 'people'}", rounds=1)
    peer = next(one for one in found["contenders"] if one["name"] == "means")
    assert peer["mAP"] == peer["rank1"] == 1.0
    assert [one["name"] for one in found["contenders"] if one["ours"]] == ["ours: tiny"]
    assert all(one["images_per_second"].keys() == {"1", "16"} for one in found["contenders"])
    assert found["whole_protocol"]
    assert found["dataset"] == "folder"  # not where it lies
    assert found["statement"]["text"] == peers.STATEMENT
    ours = next(one["mAP"] for one in found["contenders"] if one["ours"])
    compared = [one for one in found["contenders"] if not one["ours"] and one["mAP"] <= ours]
    assert found["statement"]["batch 1"]["peers_of_equal_or_lower_mAP"] == len(compared)
