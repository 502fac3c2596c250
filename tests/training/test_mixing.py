import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training import mixing
from training.draws import uniform


@pytest.fixture
def draw():
    return uniform(torch.Generator().manual_seed(2), torch.device("cpu"))


@pytest.fixture
def plain():
    """Pictures of one grey each: 0, 10, 20, ..."""
    return (torch.arange(12.0) * 10).view(-1, 1, 1, 1).expand(-1, 3, 16, 8).contiguous()


def test_blended_pictures_lie_between_two(plain, draw):
    mixed, own = mixing.mix(plain, draw, mixup=0.9, cutmix=0.0)
    assert 0 < (~own).sum() < len(own)
    assert torch.equal(mixed[own], plain[own])
    for picture in mixed[~own]:
        assert picture.amin() == picture.amax()
        assert 0 <= picture.amin() <= 110


def test_cut_pictures_hold_two_people_apart_by_one_straight_line(plain, draw):
    mixed, own = mixing.mix(plain, draw, mixup=0.0, cutmix=0.9)
    assert torch.equal(mixed[own], plain[own])
    both = 0
    for row in torch.nonzero(~own).flatten().tolist():
        greys = mixed[row].unique().tolist()
        assert set(greys) <= {value * 10.0 for value in range(12)}
        if len(greys) == 1:  # its partner was itself
            continue
        both += 1
        assert row * 10.0 in greys
        share = float((mixed[row] == row * 10.0).float().mean())
        assert 0.2 < share < 0.8
        down, across = mixed[row, 0, :, 0].unique(), mixed[row, 0, 0].unique()
        assert sorted((len(down), len(across))) == [1, 2]
    assert both > 3


def test_without_mixing_the_batch_is_left_alone_and_nothing_drawn(plain):
    def draw(*shape):
        raise AssertionError("drawn")

    mixed, own = mixing.mix(plain, draw, 0.0, 0.0)
    assert mixed is plain
    assert own.all()


def test_an_occluder_comes_from_another_picture(plain, draw):
    changed = plain.clone()
    mixing.occlude(changed, draw, 1.0, (0.2, 0.2))
    different = 0
    for row, picture in enumerate(changed):
        others = set(picture.unique().tolist()) - {row * 10.0}
        assert len(others) <= 1
        different += bool(others)
    assert different > 6
