from dataclasses import fields

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training.augment import MEAN, STD, Augmentation, augment, normalise

STILL = Augmentation(**{f.name: 0.0 for f in fields(Augmentation) if f.name != "erase_area"})


def pictures(count=2):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 16, 8, 3), generator=generator, dtype=torch.uint8)


def run(images, box=(0.0, 0.0, 1.0, 1.0), mirrored=False, settings=STILL, seed=0):
    count = len(images)
    changed, own = augment(
        images,
        torch.tensor([box] * count),
        torch.tensor([mirrored] * count),
        settings,
        torch.Generator().manual_seed(seed),
    )
    assert own.any()
    return changed


def test_with_all_strengths_at_zero_nothing_changes():
    images = pictures()
    torch.testing.assert_close(run(images), images.permute(0, 3, 1, 2).float(), rtol=0, atol=0.05)


def test_a_mirrored_view_is_the_mirror_image():
    images = pictures()
    torch.testing.assert_close(run(images, mirrored=True), run(images).flip(3), rtol=0, atol=0.05)


def test_a_box_is_the_crop_of_that_box():
    images = pictures()
    cropped = run(images, box=(0.25, 0.5, 0.75, 1.0))
    by_hand = torch.nn.functional.interpolate(
        run(images)[:, :, 4:12, 4:8], size=(16, 8), mode="bilinear"
    )
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # edges see beyond the box
    torch.testing.assert_close(cropped[inner], by_hand[inner], rtol=0, atol=0.1)


def test_erasing_replaces_a_rectangle_and_nothing_else():
    images = pictures(8)
    settings = Augmentation(**{**vars(STILL), "erase": 1.0, "erase_area": (0.2, 0.2)})
    changed = (run(images, settings=settings) - run(images)).abs().amax(1) > 0.1
    for picture in changed:
        rows, columns = picture.any(1).nonzero().flatten(), picture.any(0).nonzero().flatten()
        box = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.float().mean() > 0.9
        assert 0.05 < picture.float().mean() < 0.35


@pytest.mark.parametrize(
    "name",
    [
        *("brightness", "contrast", "saturation", "tint", "coarse", "shift", "stretch", "hue"),
        *("grey", "gamma", "blur", "compress", "noise", "mixup", "cutmix"),
        *("dye", "backdrop"),
    ],
)
def test_each_strength_changes_the_picture(name):
    images = pictures(8)
    settings = Augmentation(**{**vars(STILL), name: 0.9})
    changed = run(images, settings=settings)
    assert (changed - run(images)).abs().amax() > 2
    assert (changed.amin(), changed.amax()) >= (0, 0)
    assert changed.amax() <= 255


def test_the_same_generator_state_gives_the_same_batch():
    images = pictures()
    assert torch.equal(
        run(images, settings=Augmentation(), seed=5), run(images, settings=Augmentation(), seed=5)
    )
    assert not torch.equal(
        run(images, settings=Augmentation(), seed=5), run(images, settings=Augmentation(), seed=6)
    )


def test_normalisation_is_imagenets():
    white = normalise(torch.full((1, 3, 2, 2), 255.0))
    expected = (255 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(white[0, :, 0, 0], expected)
