"""The teacher in torch: the same answers as OpenVINO's, and nothing else is run."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import openvino as ov
from openvino import opset8 as ops

from reid_edge.errors import ConversionError, UnsafeModelFileError
from training.ir_network import IrNetwork
from training.openvino_ir import read
from training.teacher import HEIGHT, WIDTH, open_teachers, together, torch_teacher

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def small():
    """All operations of Intel's networks, in an order like theirs, with 256 numbers at the end."""
    x = pictures = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32)
    x = ops.gather(x, np.array([2, 1, 0]), np.array([1]))
    x = ops.multiply(ops.subtract(x, random(1, 3, 1, 1) + 100), np.full((1, 3, 1, 1), 0.02, "f4"))
    x = ops.mvn(x, np.array([2, 3]), True, 1e-5, "INSIDE_SQRT")
    stem = {"strides": [2, 2], "pads_begin": [3, 3], "pads_end": [3, 3], "dilations": [1, 1]}
    x = ops.convolution(x, random(8, 3, 7, 7) / 10, **stem)
    halves = {"kernel_shape": [3, 3], "rounding_type": "floor"}
    pool = {"strides": [2, 2], "pads_begin": [1, 1], "pads_end": [1, 1], "dilations": [1, 1]}
    x = ops.max_pool(ops.relu(x), **pool, **halves).output(0)
    y = ops.group_convolution(x, random(8, 1, 1, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    y = ops.add(y, random(1, 8, 1, 1))
    mean = ops.reduce_mean(y, np.array([2, 3]), True)
    grouped = ops.reshape(mean, np.array([0, 4, -1]), True)
    normed = ops.mvn(grouped, np.array([2]), True, 1e-5, "INSIDE_SQRT")
    gate = ops.sigmoid(ops.reshape(normed, ops.shape_of(mean), True))
    x = ops.add(x, ops.multiply(y, gate))
    x = ops.avg_pool(x, [2, 2], [0, 0], [0, 0], [2, 2], True, "floor")
    x = ops.group_convolution(x, random(8, 1, 1, 32, 16) / 20, [1, 1], [0, 0], [0, 0], [1, 1])
    x = ops.reshape(x, np.array([-1, 8]), True)
    count = ops.gather(ops.shape_of(x), np.array([0]), np.array(0))
    x = ops.matmul(x, random(256, 8), False, True)
    x = ops.reshape(x, ops.concat([count, np.array([-1]), np.array([1])], 0), True)
    x = ops.prelu(x, np.array([0.25], np.float32))
    return ov.Model([ops.reshape(x, np.array([0, -1]), True)], [pictures], "small")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("ir") / "small.xml"
    ov.save_model(small(), path)  # FP16, as Intel's
    return path


def by_openvino(path, pictures):
    core = ov.Core()
    model = core.read_model(path)
    model.reshape([len(pictures), 3, HEIGHT, WIDTH])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(pictures.flip(1).contiguous().numpy())[0]
    return torch.nn.functional.normalize(torch.from_numpy(found))


def some_pictures(count):
    """Blots of colour, each picture its own."""
    coarse = torch.rand(count, 3, 8, 4, generator=torch.Generator().manual_seed(1)) * 255
    return torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")


def test_embeddings_are_those_of_openvino_at_any_batch_size(path):
    teacher = torch_teacher(path, CPU, torch.float32)
    pictures = some_pictures(5)
    expected = by_openvino(path, pictures)
    assert (expected @ expected.T).amin() < 0.99  # pictures differ
    for count in (1, 5):
        found = teacher(pictures[:count])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected[:count], rtol=0, atol=1e-4)


def test_half_precision_stays_close(path):
    pictures = some_pictures(4)
    found = torch_teacher(path, CPU, torch.float16)(pictures)
    assert (found * by_openvino(path, pictures)).sum(1).amin() > 0.999


def test_cosines_of_two_teachers_together_are_the_mean_of_their_cosines(path):
    pictures = some_pictures(4)
    one = torch_teacher(path, CPU, torch.float32)

    def other(pictures):
        return torch.nn.functional.normalize(pictures.flatten(1)[:, :256])

    both = together([one, other])(pictures)
    assert both.shape == (4, 512)
    mean = (one(pictures) @ one(pictures).T + other(pictures) @ other(pictures).T) / 2
    torch.testing.assert_close(both @ both.T, mean, rtol=0, atol=1e-5)


def test_on_cpus_openvino_is_the_teacher(path, monkeypatch):
    monkeypatch.setattr("training.teacher.torch_teacher", None)
    assert open_teachers([path], CPU)(some_pictures(2)).shape == (2, 256)


@pytest.mark.skipif(
    "REID_EDGE_TEACHER" not in os.environ,
    reason="name Intel's person-reidentification-retail .xml files' folder in REID_EDGE_TEACHER",
)
def test_intels_networks():
    paths = sorted(Path(os.environ["REID_EDGE_TEACHER"]).glob("*.xml"))
    assert paths
    pictures = some_pictures(3)
    for path in paths:
        expected = by_openvino(path, pictures)
        found = torch_teacher(path, CPU, torch.float32)(pictures)
        assert (found * expected).sum(1).amin() > 0.9999, path


@pytest.fixture
def changed(path, tmp_path):
    """A copy whose XML was changed by a pattern, and whose .bin was cut."""

    def change(pattern="", put="", kept=None):
        text = path.read_text()
        if pattern:
            text, count = re.subn(pattern, put, text, count=1, flags=re.DOTALL)
            assert count == 1
        (tmp_path / "x.xml").write_text(text)
        (tmp_path / "x.bin").write_bytes(path.with_suffix(".bin").read_bytes()[:kept])
        return tmp_path / "x.xml"

    return change


@pytest.mark.parametrize(
    ("pattern", "put", "said"),
    [
        ("<net ", "<not ", "is no XML"),
        ("</net>", "", "is no XML"),
        ('type="Sigmoid"', 'type="Evil"', "Evil.*not supported"),
        ('id="1"', 'id="0"', "two layers are numbered '0'"),
        ('size="[0-9]+"', 'size="1000000000000"', "size is not that of its shape"),
        ('shape="[0-9, ]+" offset', 'shape="99999999999" offset', "size is not that"),
        ('offset="[0-9]+"', 'offset="99999999"', "outside of the .bin"),
        ('offset="[0-9]+"', 'offset="-8"', "outside of the .bin"),
        ('offset="[0-9]+"', 'offset="x"', "no list of whole numbers"),
        ('element_type="i(64|32)"', 'element_type="string"', "'string' are not supported"),
        ('<edge from-layer="0"', '<edge from-layer="7777"', "an edge from '7777'"),
        ("<edge [^>]*>", "", "open input"),
        ('auto_pad="explicit"', 'auto_pad="same_upper"', "auto_pad 'same_upper'"),
        ('pads_begin="3, 3"', 'pads_begin="3, 9"', "one-sided"),
        ('eps_mode="[a-zA-Z_]+"', 'eps_mode="OUTSIDE_SQRT"', "eps_mode 'outside_sqrt'"),
        ('strides="2, 2"', "", "strides is missing"),
    ],
)
def test_damaged_files_are_refused(changed, pattern, put, said):
    with pytest.raises(ConversionError, match=said):
        IrNetwork(read(changed(pattern, put)))


def test_a_ring_is_refused(changed, path):
    inner = re.search(r'<layer id="(\d+)"[^>]*type="Sigmoid"', path.read_text()).group(1)
    edge = rf'(<edge from-layer=")\d+(" from-port=")\d+(" to-layer="{inner}")'
    with pytest.raises(ConversionError, match="in a ring"):
        read(changed(edge, rf"\g<1>{inner}\g<2>1\g<3>"))


def test_a_document_type_is_refused(changed):
    bomb = '<!DOCTYPE net [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><net '
    with pytest.raises(UnsafeModelFileError, match="document type"):
        read(changed("<net ", bomb))


def test_a_cut_or_missing_bin_is_refused(changed, tmp_path):
    with pytest.raises(ConversionError, match=r"outside of the \.bin"):
        read(changed(kept=1000))
    (tmp_path / "x.bin").unlink()
    with pytest.raises(ConversionError, match=r"x\.bin: cannot be read"):
        read(tmp_path / "x.xml")


def test_a_network_of_another_kind_is_no_teacher(tmp_path):
    pictures = ops.parameter([1, 3, 64, 32], np.float32)
    ov.save_model(ov.Model([ops.relu(pictures)], [pictures], "other"), tmp_path / "other.xml")
    with pytest.raises(ConversionError, match="expected 1, 3, 256, 128"):
        torch_teacher(tmp_path / "other.xml", CPU, torch.float32)
