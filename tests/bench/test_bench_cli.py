"""The command as a script meets it."""

from __future__ import annotations

import json
import os
import stat

import _tiny
import pytest

from reid_edge.bench import __main__ as command
from reid_edge.bench import startup


@pytest.fixture
def run(tiny_folder, capsys, monkeypatch, quick):
    """Run the command with the tiny model: its arguments -> exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "120")
    fresh = startup.cold_start
    monkeypatch.setattr("reid_edge.bench.run.cold_start", lambda options: fresh(options, 1))

    def run(*arguments, model=tiny_folder):
        words = ["--duration", "0.05", "--model", str(model), *map(str, arguments)]
        code = command.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_without_a_dataset_measures_speed(run, tmp_path):
    code, out, err = run("--json", tmp_path / "a.json")
    assert (code, err) == (0, "")
    for shown in ("one pair", "images/s, batch 32", "decode", "outside the engine", "cold start"):
        assert shown in out
    report = json.loads((tmp_path / "a.json").read_text())
    assert (report["schema"], report["schema_version"]) == ("reid_edge.bench", 1)
    (only,) = report["runs"]  # auto is fp32 here, and measured once
    assert (only["asked"], only["precision"], only["graph"]) == ("fp32", "fp32", "fp32")
    assert [one["batch"] for one in only["throughput"]] == [1, 8, 32]
    assert "accuracy" not in only
    assert only["process_threads"] is None or only["process_threads"] >= 1
    assert report["settings"]["duration"] == 0.05


def test_the_page_with_everything(run, people, tmp_path):
    _, _, _ = run("--scenario", "latency", "--json", tmp_path / "old.json")
    code, out, err = run(
        "--dataset", f"folder:{people}", "--html", tmp_path / "a.html", "--galleries", "2",
        "--json", tmp_path / "a.json", "--batch", "2", "--compare", tmp_path / "old.json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    report = json.loads((tmp_path / "a.json").read_text())
    accuracy = report["runs"][0]["accuracy"]
    assert 0 < accuracy["figures"]["mAP"] <= 1
    assert f"{accuracy['figures']['mAP']:.4f}" in out
    assert "compared with the earlier report" in out
    page = (tmp_path / "a.html").read_text()
    assert page.count("<svg") == 6
    assert page.count("data:image/jpeg;base64") == 2 * 11
    assert "Compared with the earlier report" in page
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o600  # pictures of people


def test_reports_without_a_common_figure_are_not_compared_without_a_word(run, tmp_path):
    run("--scenario", "latency", "--json", tmp_path / "old.json")
    _, out, _ = run("--scenario", "throughput", "--batch", "2", "--compare", tmp_path / "old.json")
    assert "nothing to compare" in out
    assert "compared with the earlier report" not in out


def test_pictures_are_in_the_page_only_on_request(run, people, tmp_path):
    arguments = (
        "--dataset",
        f"folder:{people}",
        "--scenario",
        "accuracy",
        "--html",
        tmp_path / "a",
    )
    assert run(*arguments)[0] == 0
    assert "data:image" not in (tmp_path / "a").read_text()


def test_precisions_are_set_against_fp32(run, people, tmp_path, monkeypatch):
    monkeypatch.setattr("reid_edge.backends._processor.has_fast_int8", lambda: True)
    folder = _tiny.write_all_graphs(tmp_path / "model", int8=True)
    code, out, _ = run(
        "--dataset", f"folder:{people}", "--scenario", "accuracy", "--precision", "int8", "fp32",
        "fp16", "--json", tmp_path / "a.json", model=folder,
    )  # fmt: skip
    assert code == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert [one["graph"] for one in report["runs"]] == ["fp32", "int8"]
    assert report["runs"][0]["accuracy"]["drift"] is None
    drift = report["runs"][1]["accuracy"]["drift"]  # the graphs are one and the same here
    assert (drift["flips"], drift["mAP"]) == (0, 0)
    assert any(text.startswith("fp16 was not measured") for text in report["warnings"])
    assert "fp16 was not measured" in out
    assert "use --precision fp32 here" in " ".join(out.split())


def test_corrupt_pictures_are_told(run, people, tmp_path):
    (people / "0001_c1s1_000002_00.png").write_bytes(b"no picture")
    code, out, _ = run("--dataset", f"folder:{people}", "--scenario", "accuracy")
    assert code == 0
    assert "unreadable pictures left out: 1" in out
    assert "0001_c1s1_000002_00.png" in "".join(out.split())


def test_a_calibration_is_told_in_json_too(run, people, tmp_path, picture_file):
    for pid in (7, 8):
        for camid in (1, 2):
            picture_file(f"people/{pid:04}_c{camid}s1_000001_00.png", _tiny.picture(700 + camid))
    code, out, err = run(
        "--calibrate", people, "--out", tmp_path / "out", "--json", tmp_path / "a.json"
    )
    assert (code, err) == (0, "")
    assert "threshold far_1e-2" in out
    assert json.loads((tmp_path / "a.json").read_text())["identities"] == 8


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (
            ["--scenario", "accuracy"],
            2,
            "needs --dataset LAYOUT:PATH, where LAYOUT is market1501, cuhk03, folder, pku or pairs",
        ),
        (["--scenario", "latency", "--dataset", "folder:."], 2, "reads no dataset"),
        (["--galleries", "2"], 2, "give --html FILE"),
        (["--galleries", "2", "--html", "a.html"], 2, "give --dataset"),
        (["--galleries", "-1", "--html", "a", "--dataset", "folder:."], 2, "0...100"),
        (["--duration", "0"], 2, "--duration"),
        (["--duration", "nan"], 2, "--duration"),
        (["--batch", "0"], 2, "--batch"),
        (["--batch", "4096"], 2, "--batch"),
        (["--precision", "fp64"], 2, "--precision 'fp64': give some of auto"),
        (["--precision", "fp16"], 2, "use --precision fp32 here"),
        (["--precision", "fp32", "fp64"], 2, "'fp64': give some of auto"),
        (["--backend", "abacus"], 2, "no backend"),
        (["--out", "a"], 2, "--calibrate"),
        (["--calibrate", "a"], 2, "--out DIR"),
        (["--calibrate", "a", "--out", "b", "--html", "c"], 2, "--html alone"),
        (["--calibrate", "missing", "--out", "b"], 1, "no such folder"),
        (["--dataset", "folder:missing"], 1, "no such folder"),
        (["--compare", "missing.json"], 1, "cannot be read"),
        (["--json", "missing/a.json"], 1, "make it first"),
        (["--html", "."], 1, "is a folder"),
        (["--html", "pipe"], 1, "not a regular file"),
        (["--json", "a", "--html", "a"], 2, "two names"),
        (["--calibrate", "a", "--out", "b", "--precision", "int8", "fp16"], 2, "one precision"),
        (["--calibrate", "market1501:a", "--out", "b"], 1, "bounding_box_train"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do(
    run, arguments, code, advice, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert advice in err


def test_galleries_of_a_pairs_file_are_refused(run, people):
    (people / "p.csv").write_text("a.png,b.png,1\na.png,c.png,0\n")
    code, _, err = run(
        "--galleries", "1", "--html", people / "a.html", "--dataset", f"pairs:{people / 'p.csv'}"
    )
    assert code == 2
    assert "not pairs" in err


def test_names_that_no_page_can_hold_are_shown_escaped(run, people, tmp_path):
    """A file name that is no UTF-8, and what an earlier report may hold."""
    (people / os.fsdecode(b"0001_c1_\xff\x1b[31m<b>.png")).write_bytes(b"no picture")
    old = {"schema": "reid_edge.bench", "schema_version": 1, "machine": {"cpu": "\ud800\u202e<b>"}}
    (tmp_path / "old.json").write_text(json.dumps(old))
    code, out, err = run(
        "--dataset", f"folder:{people}", "--scenario", "accuracy", "--html", tmp_path / "a.html",
        "--json", tmp_path / "a.json", "--compare", tmp_path / "old.json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    page = (tmp_path / "a.html").read_text()
    for shown in (r"0001_c1_\udcff\x1b[31m&lt;b&gt;.png", r"\ud800\u202e&lt;b&gt;"):
        assert shown in page
    assert "\x1b[31m" not in out
    json.loads((tmp_path / "a.json").read_text())


def test_the_table_fits_a_terminal_of_80_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("--scenario", "throughput")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "of the engine alone" in out


@pytest.mark.parametrize("arguments", [["--json", "-"], ["--html", "-"], ["--dur", "1"]])
def test_no_report_is_printed_and_no_option_cut_short(run, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert arguments[0] in capsys.readouterr().err
