import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import openvino as ov
from openvino import opset8 as ops

from reid_edge.errors import ConversionError
from training.teacher import HEIGHT, WIDTH, openvino_teacher


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A network of 256 numbers: the mean of blue, of green and of red, over and over."""
    pictures = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32)
    means = ops.reduce_mean(pictures, np.array([2, 3]), keep_dims=False)
    repeated = ops.concat([means] * 86, 1)
    cut = ops.slice(repeated, np.array([0]), np.array([256]), np.array([1]), np.array([1]))
    path = tmp_path_factory.mktemp("teacher") / "teacher.xml"
    ov.save_model(ov.Model([cut], [pictures], "means"), path, compress_to_fp16=False)
    return path


@pytest.mark.parametrize("count", [1, 4, 7])
def test_any_number_of_pictures_in_order_as_bgr_and_unit_norm(path, count):
    colours = torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) * 255
    pictures = colours[:, :, None, None].expand(-1, -1, HEIGHT, WIDTH).contiguous()
    found = openvino_teacher(path, batch=4)(pictures)
    assert found.dtype == torch.float32
    expected = torch.nn.functional.normalize(colours.flip(1).repeat(1, 86)[:, :256])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)  # BF16


def test_what_is_no_network_is_refused_in_one_line(tmp_path):
    (tmp_path / "other.xml").write_text("# no network")
    for name in ("absent.xml", "other.xml"):
        with pytest.raises(ConversionError, match=f"{name}: no OpenVINO network of pictures"):
            openvino_teacher(tmp_path / name)


def test_a_network_of_another_width_is_no_teacher(tmp_path):
    pictures = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32)
    means = ops.reduce_mean(pictures, np.array([2, 3]), keep_dims=False)
    ov.save_model(ov.Model([means], [pictures]), tmp_path / "narrow.xml")
    with pytest.raises(ConversionError, match="expected 256 numbers a picture"):
        openvino_teacher(tmp_path / "narrow.xml")
