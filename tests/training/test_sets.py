import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from training import views
from training.sets import Batches, PreparedSet


@pytest.fixture
def data(prepared):
    return PreparedSet.open(prepared / "train")


def test_a_batch_holds_p_identities_with_k_pictures_each(data):
    batches = Batches(data, {"market1501": 1.0}, identities=3, pictures=2, seed=0)
    for _ in range(20):
        rows, chosen = batches.draw()
        labels = data.labels[rows, 0]
        _, counts = np.unique(labels, return_counts=True)
        assert counts.tolist() == [2, 2, 2]
        assert set(chosen.tolist()) <= set(range(views.COUNT))


def test_the_pictures_of_an_identity_come_from_different_cameras(data):
    batches = Batches(data, {"market1501": 1.0}, identities=3, pictures=2, seed=0)
    rows, _ = batches.draw()
    for pair in rows.reshape(3, 2):
        assert len(set(data.camids[pair])) == 2


def test_an_identity_with_too_few_pictures_repeats_them(data):
    batches = Batches(data, {"market1501": 1.0}, identities=1, pictures=6, seed=0)
    rows, _ = batches.draw()
    assert len(rows) == 6
    assert len(set(rows.tolist())) == 4


def test_a_part_holds_the_first_people_of_one_source_only(data):
    part = data.of("market1501", 2)
    assert set(part.pids) == set(sorted(set(data.pids))[:2])
    rows = np.isin(data.pids, part.pids)
    np.testing.assert_array_equal(part.images, data.images[rows])
    np.testing.assert_array_equal(part.camids, data.camids[rows])
    with pytest.raises(SystemExit, match="market1501"):
        data.of("cuhk03", 2)


def test_resizing_keeps_order_and_colours(data):
    small = data.resized(32, 16).numpy()
    assert small.shape == (len(data.images), 32, 16, 3)
    np.testing.assert_allclose(small.mean((1, 2)), np.array(data.images).mean((1, 2)), atol=1)


def test_a_stage_may_draw_another_number_of_identities(data):
    batches = Batches(data, {"market1501": 1.0}, identities=3, pictures=2, seed=0)
    assert len(batches.draw()[0]) == 6
    assert len(batches.draw(2)[0]) == 4


def test_a_source_without_a_share_may_be_absent(data):
    Batches(data, {"market1501": 1.0, "cuhk03": 0.0}, identities=3, pictures=2, seed=0).draw()
    with pytest.raises(SystemExit, match="draws from cuhk03"):
        Batches(data, {"market1501": 1.0, "cuhk03": 0.1}, identities=3, pictures=2, seed=0)


def test_more_identities_than_people_are_refused(data):
    with pytest.raises(SystemExit, match=r"more people than there are in market1501 \(6\)"):
        Batches(data, {"market1501": 1.0}, identities=64, pictures=2, seed=0).draw()
