"""The command line as a script meets it: exit codes, standard output, standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import _tiny
import cv2
import pytest

import reid_edge
from reid_edge import cli


@pytest.fixture
def files(picture_file):
    return [picture_file(f"{seed}.png", _tiny.picture(seed)) for seed in range(4)]


@pytest.mark.parametrize(
    "name",
    [
        "[red]bold[/red].png",
        "[/].png",
        "[link=file:x]y[/link].png",
        ":smile:.png",
        "100%.png",
        "{x}.png",
        "back\\slash\\.png",
        "日本 é.png",
    ],
)
def test_odd_file_names_are_shown_as_they_are(run, files, name, monkeypatch):
    path = files[0].parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files[0].read_bytes())
    monkeypatch.chdir(files[0].parent)
    code, out, _ = run("predict", name, name)
    assert code == 0
    assert f"compared with {name}" in out
    assert f"│ {name}" in out


def test_names_that_would_steer_a_terminal_are_escaped(run, files):
    path = files[0].with_name("a\x1b[2J\nb.png")
    path.write_bytes(files[0].read_bytes())
    code, out, _ = run("predict", path, path)
    assert code == 0
    assert "\x1b" not in out
    code, out, err = run("predict", path, path.with_name("absent\x1b[2J\nc.png"))
    assert (code, out) == (1, "")
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_names_that_are_no_unicode_are_shown_escaped(run, files):
    path = files[0].with_name("a\udcffb.png")
    path.write_bytes(files[0].read_bytes())
    code, out, _ = run("predict", path, path)
    assert code == 0
    assert "\\udcff" in out
    assert json.loads(run("predict", path, path, "--json")[1])["reference"] == str(path)


def test_a_bundle_cannot_write_mark_up_or_control_codes_either(run, tmp_path):
    folder = _tiny.write(tmp_path / "tiny", name="[bold]\x1b[31m:smile:", version="\udcff")
    code, out, _ = run("info", model=folder)
    assert code == 0
    assert "[bold]\\x1b[31m:smile:" in out


def test_info_shows_what_runs(run):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    for words in ("tiny", "Apache-2.0", "openvino", "CPU (", "fp32", "32 x 16", "far_1e-2: 0.8"):
        assert words in out
    found = json.loads(run("info", "--json")[1])
    assert found["reid_edge"] == reid_edge.__version__
    assert found["input_size"] == [32, 16]
    assert found["precision"] == "fp32"


@pytest.mark.parametrize(
    ("code", "arguments", "advice"),
    [
        (1, ["predict", "absent.jpg", "absent.jpg"], "absent.jpg: cannot be read"),
        (1, ["evaluate", "duke:x"], "market1501, cuhk03, folder or pku"),
        (2, ["info", "--backend", "tpu"], "give auto, openvino, onnxruntime"),
        (2, ["info", "--precision", "int4"], "give auto, fp32, fp16, int8"),
        (2, ["info", "--precision", "int8"], "no int8 graph; it has: fp32"),
        (2, ["info", "--device", "tpu"], "give cpu, cuda or cuda:N"),
    ],
)
def test_an_error_is_one_line_on_standard_error_and_code_1_or_2(run, code, arguments, advice):
    found, out, err = run(*arguments, "--json")
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert advice in err


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ([], "Compare pictures"),
        (["predict"], "PICTURE"),
        (["predict", "a.jpg"], "give at least two pictures"),
        (["frobnicate"], "invalid choice"),
        (["bench"], "python -m reid_edge.bench\n"),
        (["bench", "--scenario", "latency"], "python -m reid_edge.bench\n"),
        (["info", "--frobnicate"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_code_2(capsys, arguments, advice):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert advice in captured.err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["predict", "a", "b", "--treshold", "0.4"], "reid_edge predict [-h]"),
        (["predict", "a", "b", "--thres", "0.4"], "reid_edge predict [-h]"),
        (["build", "--max", "8"], "reid_edge build [-h]"),
        (["--vers", "info"], "reid_edge [-h]"),
    ],
)
def test_an_option_that_is_unknown_or_cut_short_shows_its_command_s_usage(
    capsys, monkeypatch, arguments, shown
):
    monkeypatch.setattr("sys.argv", ["/x/reid_edge/__main__.py"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    told = capsys.readouterr().err
    assert told.startswith(f"usage: python -m {shown}")
    assert "error: unrecognized arguments: --" in told


def test_the_help_of_build_offers_what_it_takes(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["build", "--help"])
    told = capsys.readouterr().out
    assert "tensorrt_rtx" in told
    for refused in ("openvino", "onnxruntime", "cpu"):
        assert refused not in told


# The last two start no model.
TAKES_IT = pytest.mark.parametrize(
    "command",
    [
        "info",
        "predict a.png b.png",
        "build",
        "gallery people.db",
        "video a.mp4 --boxes boxes.txt --mot out.txt --association iou",
    ],
)


@TAKES_IT
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_largest_batch_is_refused_by_backends_that_would_ignore_it(run, command, backend):
    code, out, err = run(*command.split(), "--backend", backend, "--max-batch", "64")
    assert (code, out) == (2, "")
    assert f"--backend {backend} builds none; leave one of the two out" in err


@TAKES_IT
@pytest.mark.parametrize("size", ["-4", "0", "1025"])
def test_a_largest_batch_out_of_range_is_refused(run, command, size):
    assert run(*command.split(), "--max-batch", size) == (
        2,
        "",
        f"error: --max-batch {size}: give a whole number, 1 to 1024\n",
    )


def test_a_largest_batch_that_is_not_used_is_told(run):
    code, out, err = run("info", "--max-batch", "64", "--device", "cpu")
    assert (code, "openvino" in out) == (0, True)
    assert err == (
        "warning: --max-batch 64 is not used: it is of TensorRT engines, and openvino runs here\n"
    )


COMMANDS = ("predict", "info", "evaluate", "gallery", "build", "video")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)]
)
def test_help_and_version_are_code_0(capsys, arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 0
    assert "reid_edge" in capsys.readouterr().out


def test_an_interrupt_is_code_130_without_a_traceback(run, files, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(reid_edge.reid, "read_image", interrupted)
    assert run("predict", *files) == (130, "", "interrupted\n")


def test_an_interrupt_while_it_is_being_imported_is_code_130_too():
    code = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "reid_edge.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sys.argv = ["reid-edge", "info"]
runpy.run_module("reid_edge", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(reid_edge.__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_names_that_the_output_has_no_character_for_are_escaped(tiny_folder, picture_file):
    path = picture_file("日本.png", _tiny.picture(1))
    done = subprocess.run(
        [sys.executable, "-m", "reid_edge", "predict", "--model", tiny_folder, path, path],
        cwd=Path(reid_edge.__file__).parent.parent,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5" in done.stdout.replace("\n", "")


def test_the_command_works_from_outside_and_ends_with_its_one_line(
    tiny_folder, files, picture_file
):
    cut = picture_file("two  blanks.bmp", _tiny.picture(1))
    cut.write_bytes(cut.read_bytes()[:-200])  # OpenCV has words of its own for this
    root = str(Path(reid_edge.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    environment.pop("OPENCV_LOG_LEVEL", None)

    def run(*arguments):
        command = [sys.executable, "-m", "reid_edge", "predict", *arguments, "--json"]
        return subprocess.run(
            [*command, "--model", tiny_folder], capture_output=True, text=True, env=environment
        )

    done = run(files[0], files[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["results"]) == 1
    done = run(files[0], cut)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(f"error: {cut}: damaged picture")
    if int(cv2.__version__.split(".")[0]) >= 5:  # older ones cannot be silenced
        assert done.stderr.count("\n") == 1


def test_nothing_is_folded_where_there_is_no_terminal(run, files, tmp_path, monkeypatch):
    long = tmp_path / ("a" * 100) / ("b" * 100)
    long.mkdir(parents=True)
    path = long / "picture.png"
    path.write_bytes(files[0].read_bytes())
    model = _tiny.write(long / "model", description="Random words, " * 20)
    monkeypatch.delenv("COLUMNS")
    code, out, err = run("predict", path, path)
    assert (code, err) == (0, "")
    assert f"compared with {path}\n" in out
    assert f"│ {path} │" in out
    assert f"│ {model} " in run("info", model=model)[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
@pytest.mark.parametrize("arguments", [["info"], ["info", "--json"]])
def test_a_full_disk_behind_the_output_is_one_line(tiny_folder, arguments):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "reid_edge", *arguments, "--model", tiny_folder],
            cwd=Path(reid_edge.__file__).parent.parent,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "error: the output cannot be written (No space left on device); make room, or send it "
        "elsewhere\n"
    )


@pytest.mark.parametrize(
    ("program", "named"),
    [("/usr/bin/reid-edge", "reid-edge"), ("/x/reid_edge/__main__.py", "python -m reid_edge")],
)
def test_the_usage_names_what_was_called(monkeypatch, capsys, program, named):
    monkeypatch.setattr("sys.argv", [program])
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: {named} [-h]")
