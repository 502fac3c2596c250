"""`python -m reid_edge evaluate` as a script meets it."""

from __future__ import annotations

import json

import _tiny
import numpy as np
import pytest

from reid_edge import datasets, evaluation


@pytest.fixture
def people(picture_file):
    """Three people, three pictures from each of two cameras; half of each picture is chance."""
    for pid in (1, 2, 3):
        for camid in (1, 2):
            for shot in (1, 2, 3):
                chance = _tiny.picture(100 * pid + 10 * camid + shot)
                picture = (_tiny.picture(pid) // 2 + chance // 2).astype(np.uint8)
                path = picture_file(f"{pid}_c{camid}_{shot}.png", picture)
    return path.parent


def damage(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"no picture")


def test_evaluate_prints_the_figures(run, people, tiny):
    spec = f"folder:{people}"
    code, out, err = run("evaluate", spec, "--json")
    assert code == 0
    assert err == ""
    found = json.loads(out)
    expected = evaluation.evaluate(tiny, datasets.open_test(spec))
    assert found["figures"] == pytest.approx(expected)
    assert (found["figures"]["queries"], found["figures"]["gallery"]) == (6, 12)
    assert (found["dataset"], found["skipped"], found["skipped_first"]) == (spec, 0, [])
    info = tiny.info()
    ran = ("model", "version", "licence", "backend", "device", "precision")
    assert {name: found[name] for name in ran} == {name: info[name] for name in ran}
    code, out, err = run("evaluate", spec)
    assert code == 0
    assert out.startswith(f"tiny 1 on {spec}\n")
    assert out.endswith(f"\nmodel tiny 1, Apache-2.0; openvino fp32 on {info['device']}\n")
    cells = dict(row.split("│")[1:3] for row in out.splitlines() if row.startswith("│"))
    cells = {label.strip(): cell.strip() for label, cell in cells.items()}
    assert cells["rank-1"] == f"{expected['rank1']:.4f}"
    assert cells["TPR at FAR 0.1 %"] == f"{expected['tpr_at_far_1e-3']:.4f}"
    assert (cells["queries"], cells["gallery"], cells["left out, unreadable"]) == ("6", "12", "0")
    assert len(cells) == len(expected) + 1
    assert not any("_" in label for label in cells)
    assert err == ""  # no progress where there is no terminal


def test_evaluate_of_a_name_without_a_label_advises_what_it_takes(run, people):
    (people / "anna.png").write_bytes((people / "1_c1_1.png").read_bytes())
    code, _, err = run("evaluate", f"folder:{people}")
    assert (code, err.count("\n")) == (1, 1)
    assert err.endswith("rename the file or move it out of the folder\n")
    assert "without" not in err  # a folder without a layout is refused here


def test_evaluate_leaves_unreadable_pictures_out_and_says_so(run, people, tiny):
    test = datasets.open_test(f"folder:{people}")
    bad = ["1_c1_1.png", "2_c2_3.png", "3_c1_2.png"]  # one asks, two are in the gallery
    damage(people, *bad)
    query, gallery = (
        [sample for sample in part if sample.path.name not in bad]
        for part in (test.query, test.gallery)
    )
    expected = evaluation.evaluate(tiny, datasets.QueryGallery(query, gallery))
    assert (expected["queries"], expected["gallery"]) == (5, 10)
    code, out, err = run("evaluate", f"folder:{people}", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["figures"] == pytest.approx(expected)
    assert found["skipped"] == 3
    for name, told in zip(bad, found["skipped_first"], strict=True):
        assert name in told
    *_, warning, first, second, third = err.splitlines()
    assert warning == "warning: unreadable pictures left out: 3"
    for name, line in zip(bad, (first, second, third), strict=True):
        assert line.startswith(f"left out: {people / name}: ")
    code, out, again = run("evaluate", f"folder:{people}")
    assert code == 0
    assert "│ left out, unreadable │ 3 " in out
    assert again.splitlines()[-4:] == [warning, first, second, third]


def test_evaluate_names_the_first_unreadable_pictures_and_counts_the_rest(run, people):
    bad = [f"{pid}_c{camid}_3.png" for pid in (1, 2, 3) for camid in (1, 2)]
    damage(people, *bad)
    code, _, err = run("evaluate", f"folder:{people}", "--json")
    assert code == 0
    assert "left out: 6\n" in err
    assert err.endswith("left out: 1 more\n")
    assert [name in err for name in bad] == [True] * 5 + [False]


def test_evaluate_of_nothing_readable_is_an_error(run, people):
    damage(people, *(path.name for path in people.iterdir()))
    code, out, err = run("evaluate", f"folder:{people}", "--json")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: no picture can be read, the first: ")


def test_evaluate_of_too_little_that_is_readable_is_an_error(run, people):
    damage(people, *(path.name for path in people.glob("*_c1_*")))
    code, out, err = run("evaluate", f"folder:{people}", "--json")
    assert (code, out) == (1, "")
    told = err.splitlines()[-1]
    assert told.startswith("error: no query has a match from another camera")
    assert "9 pictures cannot be read, the first: " in told
