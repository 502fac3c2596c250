"""One rule for all commands: 1 for what they are given to read, 2 for how they are called."""

from __future__ import annotations

import _tiny
import pytest

from export.__main__ import main as export
from reid_edge import cli
from reid_edge.bench.__main__ import main as bench


@pytest.fixture
def call(tmp_path, capsys, monkeypatch, concat_folder, picture_file):
    """Run a command beside a picture, boxes, an empty folder and the old library's model."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "old").symlink_to(concat_folder)
    (tmp_path / "boxes.txt").write_text("1,-1,0,0,9,9,1\n")
    for name in ("a.png", "b.png"):
        picture_file(name, _tiny.picture(1))
    monkeypatch.chdir(tmp_path)

    def call(line):
        program, *arguments = line.split()
        found = {"bench": bench, "export": export}.get(program)
        try:
            code = cli.main([program, *arguments]) if found is None else found(arguments)
        except SystemExit as left:  # argparse's own
            code = left.code
        captured = capsys.readouterr()
        assert captured.out == ""
        return code, captured.err

    return call


STARTS_IT = (
    "info",
    "predict a.png b.png",
    "gallery new.db --add anna a.png",
    "build --backend tensorrt",
    "bench --scenario latency",
    "bench --calibrate empty --out out",
)


@pytest.mark.parametrize("model", ["absent", "empty", "a.png"])
@pytest.mark.parametrize("command", [*STARTS_IT, "evaluate folder:empty", "gallery a.png"])
def test_a_model_that_is_not_there_or_no_model_is_code_1(call, command, model):
    code, err = call(f"{command} --model {model}")
    assert (code, err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "command",
    [
        "gallery new.db --add anna a.png",
        "bench --calibrate empty --out out --precision fp32",
    ],
)
def test_a_model_that_cannot_do_it_is_code_1(call, command):
    code, err = call(f"{command} --model old")
    assert (code, "head" in err) == (1, True)


@pytest.mark.parametrize("dataset", ["folder:absent", "folder:empty", "duke:empty", "empty"])
@pytest.mark.parametrize("command", ["evaluate", "bench --dataset"])
def test_a_dataset_that_cannot_be_used_is_code_1(call, command, dataset):
    code, err = call(f"{command} {dataset}")
    assert (code, err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("export --weights absent --out out", "absent: no such file"),
        ("export --weights empty --out out", "empty: is a folder without a bundle.json"),
        ("predict a.png absent.png", "absent.png: cannot be read"),
        ("gallery absent.db", "absent.db: there is no such gallery"),
        ("gallery new.db --add anna absent.png", "absent.png: cannot be read"),
        ("video absent.mp4 --boxes boxes.txt --mot out.txt", "absent.mp4: cannot be read"),
        ("video a.png --boxes absent.txt --mot out.txt", "absent.txt: cannot be read"),
        ("bench --calibrate empty --out out", "empty: no pictures"),
        ("bench --compare absent.json", "absent.json: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_code_1(call, command, says):
    code, err = call(command)
    assert (code, f"error: {says}" in err) == (1, True), err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        *((f"{command} --precision fp65", "precision 'fp65': give ") for command in STARTS_IT),
        ("info --backend abacus", "no backend 'abacus'"),
        ("bench --backend abacus", "no backend 'abacus'"),
        ("info --device tpu", "no device 'tpu'"),
        ("info --frobnicate", "unrecognized arguments: --frobnicate"),
        ("predict a.png", "give at least two pictures"),
        ("predict a.png b.png --threshold high", "--threshold high: give a score"),
        ("evaluate", "arguments are required: LAYOUT:PATH"),
        ("gallery new.db --top 3", "--top goes with --identify"),
        ("video a.png --boxes boxes.txt", "give --out, --mot or --json"),
        ("build --target sm86", "only tensorrt_rtx takes a target"),
        ("bench --scenario accuracy", "--scenario accuracy needs --dataset"),
        ("export --weights old", "arguments are required: --out"),
        ("export --weights old --out out --precision int8", "int8 needs pictures to calibrate on"),
        ("export --weights old --out out --precision fp65", "no precision 'fp65'; "),
    ],
)
def test_an_option_that_does_not_exist_or_go_with_another_is_code_2(call, command, says):
    code, err = call(command)
    assert (code, "error: " in err, says in err) == (2, True, True), err
