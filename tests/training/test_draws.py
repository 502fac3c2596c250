import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training.augment import Augmentation, augment, normalise
from training.draws import constant, uniform

STRONG = Augmentation(
    **dict.fromkeys(("stretch", "hue", "gamma"), 0.3),
    **dict.fromkeys(("coarse", "erase", "grey", "blur", "rescale", "compress"), 0.5),
    **dict.fromkeys(("noise", "occlude", "mixup", "cutmix", "dye", "backdrop", "scene"), 0.4),
)


def test_augmentation_never_asks_the_device_for_a_number():
    """Meta tensors have no values: whoever asks for one, as a GPU is waited for, fails."""
    images = torch.empty(16, 64, 32, 3, dtype=torch.uint8, device="meta")
    boxes = torch.empty(16, 4, device="meta")
    mirrored = torch.empty(16, dtype=torch.bool, device="meta")
    scenes = torch.empty(4, 256, 256, 3, dtype=torch.uint8, device="meta")
    generator = torch.Generator().manual_seed(0)
    changed, own = augment(images, boxes, mirrored, STRONG, generator, scenes)
    x = normalise(changed)
    assert x.device.type == "meta"
    assert x.shape == (16, 3, 64, 32)
    assert own.device.type == "cpu"
    assert 0 < own.sum() < 16


def test_constants_may_be_trained_with_wherever_they_are_first_asked_for():
    with torch.inference_mode():
        values = constant((1.0, 2.0, 5.0), torch.device("cpu"))
    assert not values.is_inference()
    assert constant((1.0, 2.0, 5.0), torch.device("cpu")) is values


def test_a_number_a_pixel_follows_the_generator():
    found = [
        uniform(torch.Generator().manual_seed(seed), torch.device("cpu")).many(4, 5)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
