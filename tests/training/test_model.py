import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch import nn

from training.model import Architecture, EdgeDenseNet, build


def test_pictures_of_several_sizes_become_embeddings():
    network = EdgeDenseNet(Architecture()).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 128, 64)).shape == (2, 256)
        assert network(torch.zeros(1, 3, 256, 128)).shape == (1, 256)


def test_the_last_map_of_a_full_size_picture_is_16_by_8():
    network = EdgeDenseNet(Architecture()).eval()
    with torch.inference_mode():
        assert network.stages(torch.zeros(1, 3, 256, 128)).shape[2:] == (16, 8)


def test_every_batch_norm_follows_a_convolution_so_that_it_folds():
    for module in EdgeDenseNet(Architecture()).modules():
        if isinstance(module, nn.Sequential):
            children = list(module)
            for before, norm in zip([None, *children], children, strict=False):
                if isinstance(norm, nn.BatchNorm2d):
                    assert isinstance(before, nn.Conv2d)


def test_the_architecture_survives_json():
    sizes = Architecture(stem=8, growth=(4, 4), layers=(1, 2))
    import json

    assert Architecture.from_json(json.loads(json.dumps(sizes.to_json()))) == sizes


def test_the_edge_network_stays_unnamed_as_in_older_checkpoints():
    assert "network" not in Architecture().to_json()
    with pytest.raises(ValueError, match="edge, densenet"):
        Architecture(network="resnet")


def test_densenet_121_has_the_published_backbone_and_ends_at_16_by_8():
    sizes = Architecture(64, (32,) * 4, (6, 12, 24, 16), 4, 512, "densenet")
    network = build(sizes).eval()
    # 7,978,856 published, less the classifier of 1,000 classes on 1,024 features.
    backbone = sum(p.numel() for p in network.stages.parameters())
    assert backbone == 7_978_856 - 1_025_000
    with torch.inference_mode():
        assert network.stages(torch.zeros(1, 3, 256, 128)).shape == (1, 1024, 16, 8)
        assert network(torch.zeros(1, 3, 128, 64)).shape == (1, 512)
    assert Architecture.from_json(sizes.to_json()) == sizes
