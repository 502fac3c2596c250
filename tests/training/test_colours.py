import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training.colours import recolour
from training.draws import uniform


def draw(seed=9):
    return uniform(torch.Generator().manual_seed(seed), torch.device("cpu"))


@pytest.fixture
def pictures():
    """Far from both ends, where a user would clamp."""
    generator = torch.Generator().manual_seed(3)
    return torch.rand(4, 3, 16, 8, generator=generator) * 120 + 60


def test_colours_change_as_one_by_one_formulas_say(pictures):
    """The one matrix against contrast, saturation, brightness and tint applied in turn."""
    draws = draw()
    gain, tint, contrast, saturation = (draws(4, channels, 1, 1) for channels in (1, 3, 1, 1))
    mean = pictures.mean((1, 2, 3), keepdim=True)
    x = (pictures - mean) * (1 + 0.2 * contrast) + mean
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (1 + 0.2 * saturation) + grey
    x = x * (1 + 0.2 * gain) * (1 + 0.05 * tint)
    found = recolour(pictures, draw(), brightness=0.2, contrast=0.2, saturation=0.2, tint=0.05)
    torch.testing.assert_close(found, x, rtol=0, atol=0.001)


def test_a_turned_hue_keeps_the_mean_of_a_pixels_colour(pictures):
    found = recolour(pictures, draw(), hue=3.0)
    assert (found - pictures).abs().amax() > 20
    torch.testing.assert_close(found.mean(1), pictures.mean(1), rtol=0, atol=0.001)


def test_grey_pictures_have_no_colour_and_the_others_all_of_theirs(pictures):
    found = recolour(pictures.repeat(8, 1, 1, 1), draw(), grey=0.5)
    grey = (found.amax(1) - found.amin(1)).amax((1, 2)) < 0.001
    assert 4 < grey.sum() < 28
    torch.testing.assert_close(found[~grey], pictures.repeat(8, 1, 1, 1)[~grey])


def test_without_strengths_nothing_changes(pictures):
    torch.testing.assert_close(recolour(pictures, draw()), pictures)
