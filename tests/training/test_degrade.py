import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training import degrade
from training.draws import uniform


@pytest.fixture
def draw():
    return uniform(torch.Generator().manual_seed(4), torch.device("cpu"))


def pictures(count=6, height=64, width=32):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255


def detail(x):
    """The mean difference between neighbours, per picture."""
    return (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))


@pytest.mark.parametrize("name", ["blur", "halve"])
def test_less_detail_but_the_same_brightness(name, draw):
    x = pictures()
    changed = getattr(degrade, name)(x.clone(), draw, 1.0)
    assert (detail(changed) < 0.9 * detail(x)).all()
    torch.testing.assert_close(changed.mean((2, 3)), x.mean((2, 3)), rtol=0, atol=6)


def test_rescaled_pictures_lose_detail_and_keep_their_size(draw):
    x = pictures(8, 256, 128)
    changed = degrade.rescale(x.clone(), draw, 1.0, 0.0)
    assert changed.shape == x.shape
    assert (detail(changed) < 0.7 * detail(x)).all()


def test_blur_leaves_a_plain_picture_plain(draw):
    x = torch.full((3, 3, 32, 16), 90.0)
    torch.testing.assert_close(degrade.blur(x.clone(), draw, 1.0), x)


def test_compression_is_a_rounding_of_frequencies(draw):
    x = pictures()
    changed = degrade.rescale(x.clone(), draw, 0.0, 1.0)
    error = (changed - x).abs()
    assert 1 < error.mean() < 60
    plain = torch.full((2, 3, 64, 32), 128.0)
    torch.testing.assert_close(degrade.rescale(plain.clone(), draw, 0.0, 1.0), plain)


def test_the_cosines_are_orthonormal():
    basis = torch.tensor(degrade._cosines())
    torch.testing.assert_close(basis @ basis.T, torch.eye(8), rtol=0, atol=1e-6)


def test_noise_has_no_bias(draw):
    x = torch.full((4, 3, 64, 32), 100.0)
    changed = degrade.add_noise(x.clone(), draw, 1.0)
    assert (changed.std((1, 2, 3)) > 0.5).all()
    torch.testing.assert_close(changed.mean((1, 2, 3)), torch.full((4,), 100.0), rtol=0, atol=2)


@pytest.mark.parametrize("name", ["blur", "add_noise"])
def test_nothing_is_drawn_for_a_probability_of_zero(name):
    def draw(*shape):
        raise AssertionError("drawn")

    x = pictures()
    assert torch.equal(getattr(degrade, name)(x.clone(), draw, 0.0), x)
    assert torch.equal(degrade.rescale(x.clone(), draw, 0.0, 0.0), x)
