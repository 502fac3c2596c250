from pickle import UnpicklingError

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from reid_edge.errors import ConversionError
from training.model import build
from training.publish import published
from training.saved import read_checkpoint, read_weights


def test_published_weights_come_back(recipe, tmp_path, published_file):
    network = build(recipe.architecture)
    tensors = published(network.state_dict())
    path = published_file(tensors, recipe.architecture.to_json(), tmp_path / "a.safetensors")
    architecture, found = read_weights(path)
    assert architecture == recipe.architecture
    assert found.keys() == tensors.keys()
    for name, value in found.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, tensors[name].float())


def test_a_checkpoint_is_read_without_its_code(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"step": 3}, path)
    assert read_checkpoint(path) == {"step": 3}
    torch.save({"step": print}, path)
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        read_checkpoint(path)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(SystemExit, match="train first"):
        read_checkpoint(tmp_path / "checkpoint.pt")
    with pytest.raises(ConversionError, match="none"):
        read_weights(tmp_path / "none.safetensors")
