"""What comes in the box: whole, and described by a card that is of this very version."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from reid_edge import Gallery, ReId, bundle, read_image
from reid_edge.errors import GalleryModelError
from reid_edge.trackers import cosine_distance

MODELS = bundle.shipped()
README = Path(__file__).parents[1] / "README.md"
ROWS = {
    "rank-1": "rank1",
    "rank-5": "rank5",
    "mAP": "mAP",
    "mINP": "mINP",
    "AUC": "auc",
    "TPR at FAR 1 %": "tpr_at_far_1e-2",
    "TPR at FAR 0.1 %": "tpr_at_far_1e-3",
    "right decisions at 0.5 (balanced)": "accuracy_at_0.5",
    "expected calibration error (balanced)": "calibration_error",
}


def card(name):
    return (bundle.find(name) / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_is_whole(name):
    found = bundle.load(bundle.find(name))
    assert found.name == name
    for graph in found.graphs.values():
        assert hashlib.sha256(graph.read()).hexdigest() == graph.sha256


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_was_exported_from_the_weights_in_the_checkout(name):
    described = json.loads((bundle.find(name) / "bundle.json").read_text(encoding="utf-8"))
    weights = README.parent / "training" / "weights" / described["source"]["file"]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == described["source"]["sha256"]


@pytest.mark.parametrize("name", MODELS)
def test_each_reduced_graph_in_the_box_has_passed_its_gate(name):
    found = bundle.load(bundle.find(name))
    assert found.gates == dict.fromkeys(found.graphs.keys() - {"fp32"}, True)


@pytest.mark.parametrize("name", MODELS)
def test_the_card_is_of_this_version_and_names_the_licence(name):
    found = bundle.load(bundle.find(name))
    assert card(name).startswith(f"# Model card: {name} {found.version}\n")
    assert found.licence in card(name)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("label", "figure"), ROWS.items())
def test_the_card_quotes_the_figures_that_were_recorded(name, label, figure):
    figures = bundle.load(bundle.find(name)).figures
    cells = " | ".join(f"{figures[f'{test}/{figure}']:.3f}" for test in ("market1501", "pku"))
    assert f"\n| {label} | {cells} |\n" in card(name)


@pytest.mark.parametrize("name", MODELS)
def test_the_card_quotes_the_thresholds(name):
    thresholds = bundle.load(bundle.find(name)).thresholds
    for label, key in (("1 %", "far_1e-2"), ("0.1 %", "far_1e-3")):
        found = thresholds[key]
        row = f"\n| {label} | {found.score:.3f} | {found.low:.3f} … {found.high:.3f} |\n"
        assert row in card(name)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("test", ["market1501", "pku"])
def test_the_readme_quotes_the_figures_that_were_recorded(name, test):
    figures = bundle.load(bundle.find(name)).figures
    columns = ("rank1", "mAP", "tpr_at_far_1e-2", "calibration_error")
    cells = " | ".join(f"{figures[f'{test}/{figure}']:.3f}" for figure in columns)
    lines = README.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith(f"| `{name}`, ") and f"| {cells} |" in line for line in lines)


def test_the_readme_shows_what_its_first_command_prints():
    reid = ReId(precision="fp32")
    first, *others = ("anna_1", "anna_2", "ben_1", "cleo_2")
    samples = README.parent / "samples"
    pictures = [read_image(samples / f"{name}.jpg") for name in others]
    scores = reid.predict(read_image(samples / f"{first}.jpg"), pictures)
    shown = README.read_text(encoding="utf-8")
    for name, score in zip(others, scores, strict=True):
        (quoted,) = re.findall(rf"│ samples/{name}\.jpg +│ (\d\.\d{{3}}) │", shown)
        assert float(quoted) == pytest.approx(score, abs=2e-3)  # shown in INT8


def test_edge_free_tells_the_samples_apart_too():
    reid = ReId("edge-free", precision="fp32")
    anna, again, ben = (
        read_image(README.parent / "samples" / f"{name}.jpg")
        for name in ("anna_1", "anna_2", "ben_1")
    )
    same, different = reid.predict(anna, [again, ben])
    assert different < 0.5 < reid.info()["thresholds"]["far_1e-2"] < same


def test_the_docs_quote_the_distances_for_trackers():
    reid = ReId(precision="fp32")
    table = (README.parent / "docs" / "trackers.md").read_text(encoding="utf-8")
    scores = {"0.5, where same and different are equally likely": 0.5} | {
        f'`thresholds["{name}"]`': found.score
        for name, found in bundle.load(bundle.find("edge")).thresholds.items()
    }
    for label, score in scores.items():
        assert re.search(
            rf"\n\| {re.escape(label)}.* \| {cosine_distance(reid, score):.2f} \|\n", table
        )
    usual = []
    for distance in (0.2, 0.25):  # of StrongSORT and DeepSORT, of BoT-SORT
        a, b = np.eye(2, 256, dtype=np.float32)
        cosine = 1 - distance
        b = cosine * a + np.sqrt(1 - cosine**2) * b
        usual.append(f"{reid.score(a, b)[0]:.5f}")
    assert " and ".join(usual) in " ".join(table.split())


def test_the_default_model_is_in_the_box():
    assert bundle.DEFAULT_MODEL in MODELS


def test_models_under_different_licences_say_so_in_their_descriptions():
    licences = {name: bundle.load(bundle.find(name)).licence for name in MODELS}
    assert licences["edge"] == "research only"
    assert licences["edge-free"] == "Apache-2.0"


def test_a_gallery_never_mixes_the_embeddings_of_two_models(tmp_path):
    """They have as many numbers and the same length, so that nothing else could tell."""
    row = np.eye(1, 256, dtype=np.float32)
    for name in MODELS:
        with Gallery(tmp_path / f"{name}.db", name) as gallery:
            gallery.add("anna", row)
    for name in MODELS:
        for other in set(MODELS) - {name}:
            with pytest.raises(GalleryModelError, match="another model"):
                Gallery(tmp_path / f"{name}.db", other)
