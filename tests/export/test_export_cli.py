"""`python -m export` as its user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import crop_files
import edge_files
import pytest

from export import writing
from export.__main__ import main
from export.convert import convert
from export.ranges import DEFAULT_METHOD
from export.wish import Wish
from reid_edge import bundle

INT8 = ("--precision", "int8", "--calibration", "x")
RTX = ("--engine", "tensorrt-rtx")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "final.safetensors"
    edge_files.save(path)
    return path


def call(*arguments):
    return main([str(argument) for argument in arguments])


def failed(capsys, said, *arguments, code=2):
    assert call(*arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_writes_a_bundle_and_says_what_is_next(weights, tmp_path, capsys):
    out = tmp_path / "new folder" / "edge"
    assert call("--weights", weights, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["bundle.json", "fp32.onnx"]
    assert bundle.load(out).name == "edge"
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"wrote {out / 'fp32.onnx'} (")
    assert printed[1].startswith(f"wrote {out / 'bundle.json'} (")
    assert printed[2] == f"next: python -m reid_edge predict --model '{out}' a.jpg b.jpg"


def test_files_are_readable_as_others_are(weights, tmp_path):
    (tmp_path / "plain").touch()
    call("--weights", weights, "--out", tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_name(weights, tmp_path, capsys):
    out = tmp_path / "out"
    assert call("--weights", weights, "--out", out, "--name", "mine-1.0") == 0
    assert bundle.load(out).name == "mine-1.0"
    capsys.readouterr()
    failed(capsys, "--name", "--weights", weights, "--out", tmp_path / "2", "--name", "a/b")


def test_a_weight_file_whose_name_is_not_utf8(weights, tmp_path):
    try:
        odd = weights.rename(tmp_path / os.fsdecode(b"caf\xe9.safetensors"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert call("--weights", odd, "--out", tmp_path / "out") == 0
    described = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert described["source"]["file"] == r"caf\udce9.safetensors"


def test_never_overwrites_unasked(weights, tmp_path, capsys):
    out = tmp_path / "out"
    call("--weights", weights, "--out", out)
    before = (out / "bundle.json").read_bytes()
    capsys.readouterr()
    failed(capsys, "--force", "--weights", weights, "--out", out, "--name", "other")
    assert (out / "bundle.json").read_bytes() == before
    assert call("--weights", weights, "--out", out, "--name", "other", "--force") == 0
    assert bundle.load(out).name == "other"


def test_graphs_of_an_older_bundle_go(weights, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.warns(RuntimeWarning, match="not verified"):
        convert(weights, out, wish=Wish(("fp16",)))
    (out / "README.md").write_text("mine")
    (out / "mine.onnx").write_bytes(b"mine")
    monkeypatch.setattr(writing.os, "replace", interrupted_at("bundle.json"))
    with pytest.raises(KeyboardInterrupt):
        convert(weights, out, force=True)
    assert (out / "fp16.onnx").is_file()  # the old bundle.json names it
    monkeypatch.undo()
    convert(weights, out, force=True)
    left = sorted(path.name for path in out.iterdir())
    assert left == ["README.md", "bundle.json", "fp32.onnx", "mine.onnx"]


def interrupted_at(name):
    def replace(source, target):
        if target.name == name:
            raise KeyboardInterrupt
        source.rename(target)

    return replace


def test_out_is_a_file(weights, tmp_path, capsys):
    failed(capsys, "is a file", "--weights", weights, "--out", weights)
    failed(capsys, "cannot be written", "--weights", weights, "--out", weights / "inside", code=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--precision", "int8"], "int8 needs pictures to calibrate on: give --calibration"),
        (["--precision", "fp32", "int8", "--gate", "x"], "int8 needs pictures to calibrate on"),
        (["--precision", "bf16"], "no precision 'bf16'"),
        (["--calibration", "x"], "--calibration and --gate are for --precision fp16 or int8"),
        (["--gate", "x"], "--calibration and --gate are for --precision fp16 or int8"),
        (["--precision", "fp16", "--keep", "x"], "--keep goes with --precision int8 only"),
        ([*INT8, "--calibration-method", "max"], "no calibration method 'max'"),
        ([*INT8, "--calibration-size", "0"], "--calibration-size must be at least 1"),
        ([*INT8, "--calibration-size", "few"], "invalid int value: 'few'"),
        ([*INT8, "--keep"], "expected at least one argument"),
        (["--engine-dir", "x"], "--engine-dir goes with --engine only"),
        (["--max-batch", "32"], "--max-batch goes with --engine only"),
        (["--target", "sm86"], "--target goes with --engine only"),
        ([*RTX, "--target", "sm86", "--max-batch", "0"], "--max-batch 0: give a whole number"),
        ([*RTX, "--target", "rtx86"], "no target 'rtx86'"),
        (["--engine", "tensorrt", "--target", "sm86"], "only tensorrt_rtx takes a targ"),
        (["--precision"], "expected at least one argument"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_wrong_options(weights, tmp_path, capsys, arguments, said):
    failed(capsys, said, "--weights", weights, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_required_options(capsys):
    failed(capsys, "--weights, --out")


def test_all_precisions(weights, tmp_path, capsys):
    crops = crop_files.write(tmp_path / "crops", people=4)
    out = tmp_path / "out"
    asked = ("--precision", "fp16", "int8", "--calibration", crops, "--calibration-size", 8)
    assert call("--weights", weights, "--out", out, *asked, "--gate", crops) == 0
    printed, err = capsys.readouterr()
    lines = printed.splitlines()
    graphs = ("fp32", "fp16", "int8", "int8_fp16")
    assert [Path(line.split()[1]).name for line in lines[:5]] == [
        *(f"{name}.onnx" for name in graphs),
        "bundle.json",
    ]
    assert [line.split(":")[0] for line in lines[5:8]] == [f"gate of {name}" for name in graphs[1:]]
    assert "passed on 24 pictures of crops (unlabelled, 8 of them calibrated on)" in lines[6]
    assert "in emulated arithmetic: flips" in lines[6]
    assert lines[8].startswith("next: ")
    assert err == ""


def test_a_failed_gate_is_a_warning(weights, tmp_path, capsys):
    crops = crop_files.write(tmp_path / "crops", people=4)
    out = tmp_path / "out"
    # Half of all activations are clipped.
    asked = ("--precision", "int8", "--calibration", crops, "--calibration-method", "percentile-50")
    assert call("--weights", weights, "--out", out, *asked) == 0
    printed, err = capsys.readouterr()
    assert "gate of int8: FAILED on 24 pictures" in printed
    few, *failed = err.splitlines()
    assert few.startswith("warning: calibrating on 24 pictures, as crops has no more")
    assert [line.split(" is written but ")[0] for line in failed] == [
        "warning: int8",
        "warning: int8_fp16",
    ]
    assert dict(bundle.load(out).gates) == {"int8": False, "int8_fp16": False}


def test_no_pictures_to_calibrate_on(weights, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    for place, said in (("empty", "no pictures"), ("absent", "no such folder")):
        asked = ("--precision", "int8", "--calibration", tmp_path / place)
        failed(capsys, said, "--weights", weights, "--out", out, *asked, code=1)
    assert not out.exists()


def test_missing_weights(tmp_path, capsys):
    missing = tmp_path / "x.h5"
    failed(capsys, "no such file", "--weights", missing, "--out", tmp_path / "out", code=1)


def test_errors_are_one_printable_line(tmp_path, capsys):
    described = edge_files.metadata()
    described["bundle"]["\x1b[2J\n"] = 1
    edge_files.save(tmp_path / "x.safetensors", described=described)
    out = tmp_path / "o"
    weights = tmp_path / "x.safetensors"
    failed(capsys, "is unknown", "--weights", weights, "--out", out, code=1)
    failed(capsys, r"\x1b[2J\n", "--weights", "\x1b[2J\n", "--out", out, code=1)


def test_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    for word in (
        "--weights FILE",
        "--out DIR",
        "--name",
        "--precision",
        "--calibration PICTURES",
        "--calibration-size N",
        "--calibration-method METHOD",
        DEFAULT_METHOD,
        "--gate PICTURES",
        "--keep",
        "--force",
    ):
        assert word in printed


def test_interrupted(weights, tmp_path, capsys, monkeypatch):
    def interrupt(path, content):
        path.write_bytes(content[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_write_through", interrupt)
    assert call("--weights", weights, "--out", tmp_path / "out") == 130
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_nothing(weights, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    call("--weights", weights, "--out", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(path, content):
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_through", full)
    capsys.readouterr()
    failed(capsys, "No space left", "--weights", weights, "--out", out, "--force", code=1)
    failed(capsys, "No space left", "--weights", weights, "--out", tmp_path / "new", code=1)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "export", "--weights", "absent.h5", "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: absent.h5: no such file")
