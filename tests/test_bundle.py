from __future__ import annotations

import dataclasses
import json

import _tiny
import pytest

from reid_edge import ReId, bundle, errors
from reid_edge.heads import ConcatMlpHead, CosineHead


@pytest.fixture
def changed(tmp_path):
    """Load a bundle whose description was changed: path of the field, its new value."""

    def load(*place_and_value):
        *place, last, value = place_and_value
        folder = _tiny.write(tmp_path / "tiny")
        described = json.loads((folder / "bundle.json").read_text())
        inside = described
        for name in place:
            inside = inside[name]
        if value is ...:
            del inside[last]
        else:
            inside[last] = value
        (folder / "bundle.json").write_text(json.dumps(described))
        return bundle.load(folder)

    return load


def test_a_good_bundle_is_read_field_by_field(tiny_folder):
    found = bundle.load(tiny_folder)
    assert found.path == tiny_folder
    assert (found.name, found.version) == ("tiny", "1")
    assert (found.licence, found.licence_summary) == ("Apache-2.0", "Free to use.")
    assert found.description == "Random weights, for tests."
    assert (found.height, found.width, found.resize) == (32, 16, "area")
    assert found.embedding_size == 8
    assert found.default_precision == "fp32"
    assert found.gates == {}
    assert found.head == CosineHead(6.0, -3.0)
    assert found.thresholds == {"far_1e-2": bundle.Threshold(0.8, 0.75, 0.85)}
    assert found.figures == {"market1501": {"rank1": 0.5}}
    assert list(found.graphs) == ["fp32"]
    assert found.graph("fp32").path == tiny_folder / "fp32.onnx"
    assert found.graph("fp32").read() == (tiny_folder / "fp32.onnx").read_bytes()


def test_a_path_may_be_a_string_and_a_bundle_cannot_be_changed(tiny_folder):
    found = bundle.load(str(tiny_folder))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "other"


def test_a_bundle_of_the_original_library_has_its_head(concat_folder):
    head = bundle.load(concat_folder).head
    assert isinstance(head, ConcatMlpHead)
    assert not head.symmetric


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[((name,), ...) for name in _tiny.description(b"", 8, _tiny.COSINE)],
        *[((name,), 5) for name in ("name", "licence", "graphs", "head", "input", "figures")],
        (("schema",), "1"),
        (("schema",), True),
        (("input", "height"), 7),
        (("input", "height"), 2049),
        (("input", "width"), 16.0),
        (("input", "resize"), "cubic"),
        (("embedding_size",), 0),
        (("embedding_size",), 1 << 15),
        (("default_precision",), "int4"),
        (("gates",), {"int8": {"passed": "yes"}}),
        (("gates",), {"int8": {}}),
        (("gates",), {"int8": {"passed": True, "arithmetic": "f64"}}),
        (("gates",), {"int8": {"passed": True, "activations": "int4"}}),
        (("graphs",), {}),
        (("graphs", "fp32", "sha256"), "A" * 64),
        (("graphs", "fp32", "bytes"), 0),
        (("graphs", "fp32", "bytes"), 1 << 40),
        (("head", "type"), "pickle"),
        (("head", "scale"), 0),
        (("head", "scale"), -6.0),
        (("head", "bias"), None),
        (("head", "bias"), 1e300),
        (("head",), {"type": "concat_mlp"}),
        (("head",), _tiny.concat_mlp()),
        (("thresholds", "far_1e-2", "score"), 1.5),
        (("thresholds", "far_1e-2", "low"), -0.5),
        (("thresholds", "far_1e-2", "high"), ...),
        (("licence", "summary"), ""),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(changed, field, value):
    with pytest.raises(errors.BundleSchemaError, match=r"bundle\.json: ") as raised:
        changed(*field, value)
    assert type(raised.value) is errors.BundleSchemaError
    said = str(raised.value).partition("bundle.json: ")[2]
    assert field[0] in said or "concat_mlp" in said


@pytest.mark.parametrize(
    ("version", "fix"), [(2, "upgrade reid_edge"), (0, "export the bundle again")]
)
def test_another_schema_version_says_what_to_do(changed, version, fix):
    with pytest.raises(errors.BundleSchemaError, match=f"reads version 1; {fix}"):
        changed("schema", version)


def test_fields_of_later_minor_revisions_are_ignored(changed):
    assert changed("surprise", {"x": 1}).name == "tiny"


def test_a_folder_without_a_description_says_what_to_give(tmp_path):
    with pytest.raises(errors.BundleSchemaError, match=r"no such file; give the folder that"):
        bundle.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"\0" * 9, b"[1]", b'"x"', b"nul"])
def test_a_description_that_is_no_json_object_is_refused(tmp_path, content):
    (tmp_path / "bundle.json").write_bytes(content)
    with pytest.raises(errors.BundleSchemaError, match=r"bundle\.json"):
        bundle.load(tmp_path)


def test_a_graph_that_was_changed_is_refused_with_the_fix(tmp_path):
    folder = _tiny.write(tmp_path / "tiny")
    content = bytearray((folder / "fp32.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "fp32.onnx").write_bytes(content)
    with pytest.raises(errors.BundleIntegrityError, match=r"SHA-256 differs.*download.*again"):
        ReId(folder)


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"x"])
def test_a_graph_of_another_length_is_refused_with_the_fix(tmp_path, change):
    folder = _tiny.write(tmp_path / "tiny")
    content = (folder / "fp32.onnx").read_bytes()
    (folder / "fp32.onnx").write_bytes(change(content))
    with pytest.raises(errors.BundleIntegrityError, match="export or download the bundle again"):
        bundle.load(folder).graph("fp32").read()


def test_a_graph_that_is_missing_is_refused_with_the_fix(tmp_path):
    folder = _tiny.write(tmp_path / "tiny")
    (folder / "fp32.onnx").unlink()
    with pytest.raises(
        errors.BundleIntegrityError, match=r"No such file.*download the bundle again"
    ):
        bundle.load(folder).graph("fp32").read()


def test_a_precision_that_the_bundle_lacks_lists_those_it_has(tiny_folder):
    with pytest.raises(errors.PrecisionUnavailableError, match="no int8 graph; it has: fp32"):
        bundle.load(tiny_folder).graph("int8")


def test_an_unknown_model_lists_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "_MODELS", tmp_path)
    for name in ("zebra", "ant"):
        _tiny.write(tmp_path / name)
    (tmp_path / "no_bundle").mkdir()
    assert bundle.shipped() == ["ant", "zebra"]
    with pytest.raises(errors.UnknownModelError, match="'bear': give one of ant, zebra, or the"):
        bundle.find("bear")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "../" * 2000 + "x", "a\ud800b"])
def test_names_that_no_folder_can_have_are_unknown_models(name):
    with pytest.raises(errors.UnknownModelError):
        bundle.find(name)


def test_a_shipped_name_is_not_taken_for_a_folder_of_the_same_name(tmp_path, monkeypatch):
    models, here = tmp_path / "models", tmp_path / "here"
    _tiny.write(models / "ant")
    (here / "ant").mkdir(parents=True)
    monkeypatch.setattr(bundle, "_MODELS", models)
    monkeypatch.chdir(here)
    assert bundle.find("ant") == models / "ant"
    assert bundle.find("./ant").resolve() == here / "ant"


def test_the_default_model_is_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "_MODELS", tmp_path)
    folder = _tiny.write(tmp_path / bundle.DEFAULT_MODEL)
    assert bundle.find(None) == folder


def test_where_the_default_model_was_left_out_the_others_are_named(tmp_path, monkeypatch):
    """As the README says of products without `edge`: nothing else takes its place unasked."""
    monkeypatch.setattr(bundle, "_MODELS", tmp_path)
    folder = _tiny.write(tmp_path / "edge-free")
    with pytest.raises(errors.UnknownModelError, match="'edge': give one of edge-free, or the"):
        bundle.find(None)
    assert bundle.find("edge-free") == folder
