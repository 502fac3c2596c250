"""Options of `python -m reid_edge video` that are refused, and those that choose boxes."""

from __future__ import annotations

import pytest


def test_the_least_confidence(run, clip, mot, tmp_path):
    boxes_file = mot(extra="3,1,10,10,20,20,0.2\n")
    out = tmp_path / "o.txt"
    _, printed, _ = run(clip(), "--boxes", boxes_file, "--mot", out, "--min-confidence", "0.5")
    assert "24 boxes" in printed
    code, _, err = run(clip(), "--boxes", boxes_file, "--mot", out, "--min-confidence", "2")
    assert code == 1
    assert "--min-confidence" in err


def test_wrong_usage(run, clip, mot, tmp_path, concat_folder):
    video, truth = clip(), mot()
    for arguments, says in (
        ([], "nothing to write"),
        (["--out", video], "is the video"),
        (["--mot", truth], "is the boxes"),
        (["--out", tmp_path / "o.avi", "--json", tmp_path / "o.avi"], "is --out"),
        (["--out", tmp_path / "o.mkv", "--association", "iou"], "name it .mp4 or .avi"),
        (["--mot", tmp_path / "o.txt", "--fpir", "0.1"], "--fpir goes with --gallery"),
    ):
        code, _, err = run(video, "--boxes", truth, *arguments)
        assert code == 2
        assert says in err
    people = tmp_path / "people.db"
    people.write_bytes(b"a gallery")
    for end in ("-wal", "-shm", "-journal"):  # SQLite's own, in which the newest people may be
        arguments = ("--json", f"{people}{end}", "--gallery", people)
        code, _, err = run(video, "--boxes", truth, *arguments)
        assert code == 2
        assert "is the gallery" in err
    link = tmp_path / "link.avi"
    link.symlink_to(video)
    assert run(video, "--boxes", truth, "--out", link)[0] == 2
    code, _, err = run(video, "--boxes", truth, "--mot", tmp_path / "o.txt", model=concat_folder)
    assert code == 1  # nothing is wrong with the options: it is the model
    assert "no mean" in err
    assert not (tmp_path / "o.txt").exists()


@pytest.mark.parametrize("option", ["--out", "--mot", "--json"])
def test_nothing_is_written_to_standard_output(run, clip, mot, capsys, option):
    with pytest.raises(SystemExit, match="2"):
        run(clip(), "--boxes", mot(), option, "-")
    assert f"argument {option}: - is no file: give a file's name" in capsys.readouterr().err


def test_a_gallery_that_is_none_is_an_error_that_says_what_to_do(run, clip, mot, tmp_path):
    video, truth, missing, notes = clip(), mot(), tmp_path / "none.db", tmp_path / "notes.txt"
    notes.write_text("people whom I know\n" * 100)
    options = ("--boxes", truth, "--mot", tmp_path / "o.txt", "--gallery")
    code, _, err = run(video, *options, missing)
    assert (code, missing.exists()) == (1, False)
    assert "python -m reid_edge gallery FILE --add NAME PICTURE" in err
    code, _, err = run(video, *options, notes)
    assert code == 1
    assert err.endswith("give the path of a gallery\n")


def test_an_address_is_shown_as_it_was_given(run, mot, tmp_path):
    code, _, err = run("http://host/in.mp4", "--boxes", mot(), "--mot", tmp_path / "o.txt")
    assert code == 1
    assert "http://host/in.mp4: URLs are not read; download" in err
