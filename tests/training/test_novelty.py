import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training import novelty
from training.draws import uniform


@pytest.fixture
def draw():
    return uniform(torch.Generator().manual_seed(2), torch.device("cpu"))


@pytest.fixture
def plain():
    """Pictures of one grey each: 0, 10, 20, ..."""
    return (torch.arange(12.0) * 10).view(-1, 1, 1, 1).expand(-1, 3, 64, 32).contiguous()


def test_dyed_clothes_are_above_or_below_the_waist_never_both(draw):
    blue = torch.tensor([40.0, 60, 160]).view(1, 3, 1, 1).expand(12, 3, 64, 32).contiguous()
    dyed, own = novelty.dye(blue, draw, 1.0)
    assert own.tolist() == [True] + [False] * 11  # the first is left for whoever asks who it is
    assert torch.equal(dyed[own], blue[own])
    halves = []
    for picture in dyed[~own]:
        assert 0 <= picture.amin() <= picture.amax() <= 255
        upper, lower = (
            (picture[:, rows] - blue[0, :, rows]).abs().amax() > 5
            for rows in (slice(0, 16), slice(48, 64))
        )
        assert upper != lower
        halves.append(bool(upper))
    assert 0 < sum(halves) < 11


def test_the_middle_stays_and_the_surroundings_are_one_other_pictures(plain, draw):
    found = novelty.backdrop(plain, draw, 1.0)
    partners = []
    for row, picture in enumerate(found):
        middle = slice(28, 36), slice(14, 18)
        torch.testing.assert_close(picture[0][middle], plain[row, 0][middle], rtol=0, atol=0.1)
        corners = picture[0, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.amax() - corners.amin() < 1
        partners.append(round(float(corners.mean()) / 10))
    assert sorted(partners) == list(range(12))
    assert partners != list(range(12))


def test_the_middle_stays_and_the_surroundings_are_a_scenes(plain, draw):
    scenes = torch.full((3, 256, 256, 3), 250, dtype=torch.uint8)
    found = novelty.elsewhere(plain, draw, 1.0, scenes)
    middle = slice(28, 36), slice(14, 18)
    for row, picture in enumerate(found):
        torch.testing.assert_close(picture[0][middle], plain[row, 0][middle], rtol=0, atol=0.2)
        assert picture[0, [0, 0, -1, -1], [0, -1, 0, -1]].amin() > 249


def _elsewhere(x, draw, probability):
    return novelty.elsewhere(x, draw, probability, torch.zeros(2, 256, 256, 3, dtype=torch.uint8))


@pytest.mark.parametrize("change", [novelty.dye, novelty.backdrop, _elsewhere])
def test_only_some_pictures_are_changed(plain, draw, change):
    plain[:, 0] += 50  # grey has no hue
    found = change(plain, draw, 0.4)
    found = found[0] if isinstance(found, tuple) else found
    changed = (found != plain).flatten(1).any(1)
    assert 0 < changed.sum() < 12


@pytest.mark.parametrize("change", [novelty.dye, novelty.backdrop, _elsewhere])
def test_with_no_probability_the_batch_is_left_alone_and_nothing_drawn(plain, change):
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    found = change(plain, uniform(generator, torch.device("cpu")), 0.0)
    assert (found[0] if isinstance(found, tuple) else found) is plain
    assert torch.equal(generator.get_state(), before)
