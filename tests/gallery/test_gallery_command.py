"""`python -m reid_edge gallery`."""

from __future__ import annotations

import json
import re

import _tiny
import pytest
from gallery_files import rows

from reid_edge import Gallery, bundle, cli

# What makes it another model's input, and so another space of embeddings.
LINEAR = {"height": _tiny.HEIGHT, "width": _tiny.WIDTH, "resize": "linear"}


def test_enrol_list_and_identify(run, files):
    assert run("--add", "anna", *files[:2], "--camera", "door") == (
        0,
        "anna: 2 pictures enrolled\n",
        "",
    )
    assert run("--add", "[red]ben[/]", files[2])[0] == 0
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "2 enrolled with 3 pictures, model tiny" in out
    assert re.search(r"anna +│ 2 +│ door", out)
    assert "[red]ben[/]" in out
    code, out, err = run("--identify", files[2], files[0], "--json")
    found = json.loads(out)
    assert (code, err, found["fpir"]) == (0, "", 0.01)
    assert (found["model"], found["version"], found["backend"]) == ("tiny", "1", "openvino")
    assert [one["candidates"][0]["identity"] for one in found["results"]] == ["[red]ben[/]", "anna"]
    assert all(
        one["known"] == (one["candidates"][0]["score"] > found["threshold"])
        for one in found["results"]
    )
    assert "anna" in run("--identify", files[0])[1]


def test_someone_unknown_is_called_so(run, files):
    run("--add", "anna", files[0])
    found = json.loads(run("--identify", files[3], "--fpir", "0.000001", "--json")[1])
    assert found["results"][0]["identity"] is None
    assert "unknown" in run("--identify", files[3], "--fpir", "0.000001")[1]


def test_edits_and_export(run, files, path):
    run("--add", "anna", files[0]), run("--add", "ann", files[1]), run("--add", "ben", files[2])
    assert run("--merge", "anna", "ann")[:2] == (0, "anna: 1 picture taken over\n")
    assert run("--rename", "ben", "Benny")[:2] == (0, "ben is now Benny\n")
    assert run("--remove", "anna", "--json")[0] == 0
    assert run("--export", path.with_suffix(".json"))[0] == 0
    found = json.loads(path.with_suffix(".json").read_text())
    assert [one["identity"] for one in found["pictures"]] == ["Benny"]
    assert [one["identity"] for one in json.loads(run("--json")[1])["enrolled"]] == ["Benny"]


def test_errors_end_with_a_code_and_a_line(run, files, path):
    code, out, err = run()
    assert (code, out) == (1, "")
    assert "make one first" in err
    assert not path.exists()
    with pytest.raises(SystemExit, match="2"):
        run("--add", "anna")
    run("--add", "anna", files[0])
    code, _, err = run("--remove", "nobody\x1b[2J")
    assert (code, err.count("\n")) == (1, 1)
    assert "\x1b" not in err
    assert run("--identify", files[0], "--fpir", "2")[0] == 2
    assert run("--html", path.parent / "none" / "out.html")[0] == 1
    code, _, err = run("--html", path.parent)
    assert (code, "is a folder; give a file" in err) == (1, True)


@pytest.mark.parametrize(
    ("options", "action"),
    [
        (["--camera", "x"], "--add"),
        (["--thumbnails"], "--add"),
        (["--top", "5"], "--identify"),
        (["--fpir", "0.01"], "--identify"),
    ],
)
def test_options_that_would_be_ignored_are_refused(run, path, options, action):
    for asked in (options, [*options, "--remove", "anna"]):
        code, _, err = run(*asked)
        assert (code, f"{options[0]} goes with {action}" in err) == (2, True)
    assert not path.exists()


def test_the_usage_shows_an_order_that_works(run, files, path, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["gallery", "--help"])
    told = capsys.readouterr().out
    usage, _, options = told.partition("\n\n")
    shown = [line.removeprefix("usage:").split("gallery ")[1] for line in usage.splitlines()]
    assert all(line.removeprefix("[-h] ").startswith("FILE ") for line in shown)
    common = {"help", "model", "backend", "precision", "device", "json", "max-batch"}
    every = set(re.findall(r"--([a-z-]+)", options)) - common - {"allow-unverified"}
    assert every == set(re.findall(r"--([a-z]+)", usage))
    # In that order, and not in the one that argparse would show.
    assert run("--add", "anna", files[0])[0] == 0
    for action in (["--add", "anna"], ["--identify"]):
        capsys.readouterr()
        with pytest.raises(SystemExit, match="2"):
            cli.main(["gallery", *action, str(files[0]), str(path)])
        assert "the gallery's FILE goes first: behind --add and" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["1%", "one", ""])
def test_a_share_that_is_no_number_is_told_as_one(run, files, capsys, given):
    with pytest.raises(SystemExit, match="2"):
        run("--identify", files[0], "--fpir", given)
    assert f"{given!r} is no number; give a share such as 0.01, which is 1 %" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("more", [[], ["--thumbnails"]])
def test_a_first_enrolment_that_fails_leaves_nothing_behind(
    run, files, path, tmp_path, capsys, more
):
    """Else the file would be bound to this model, and another one refused."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    before = sorted(tmp_path.iterdir())
    for asked in (
        ["anna", files[0], tmp_path / "mistyped.png"],
        ["anna", bad],
        [" anna", files[0]],
        ["anna", files[0], "--camera", "x\ny"],
    ):
        assert run("--add", *asked, *more)[0] in (1, 2)
        assert sorted(tmp_path.iterdir()) == before
    other = _tiny.write(tmp_path / "other", input=LINEAR)
    arguments = ["gallery", str(path), "--add", "anna", str(files[0]), *more]
    assert cli.main([*arguments, "--model", str(other)]) == 0


@pytest.fixture
def nothing_is_decoded(monkeypatch):
    """Of thousands of pictures, that would be minutes before a refusal."""
    for module in ("reid_edge.reid", "reid_edge.gallery.command", "reid_edge._unreadable"):
        monkeypatch.setattr(f"{module}.read_image", lambda path: pytest.fail(f"{path} was read"))


@pytest.mark.parametrize("more", [[], ["--thumbnails"]])
def test_a_gallery_that_cannot_be_used_is_refused_before_a_picture_is_read(
    run, files, path, tmp_path, capsys, more, nothing_is_decoded
):
    other = _tiny.write(tmp_path / "other", input=LINEAR)
    Gallery(path, other).close()
    folder, text, link = tmp_path / "folder", tmp_path / "text.db", tmp_path / "link.db"
    folder.mkdir()
    text.write_text("no gallery" * 100)
    link.symlink_to(tmp_path / "none" / "people.db")
    (tmp_path / "lost.db-wal").write_bytes(b"pictures")
    before = sorted(tmp_path.rglob("*"))
    for file, says in (
        (path, "holds embeddings of another model"),
        (folder, "folder: is no file; give the path of a gallery"),
        (text, "is no gallery"),
        (link, "link.db: cannot be opened"),
        (tmp_path / "none" / "people.db", "none is no folder; give a path in a folder that exists"),
        (text / "people.db", "text.db is no folder; give a path in a folder that exists"),
        (tmp_path / "lost.db", "the log of a gallery is, lost.db-wal"),
    ):
        code, out, err = run("--add", "anna", *files, *more, file=file)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert says in err
        assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_refused_before_a_picture_is_read(
    run, files, path, monkeypatch, nothing_is_decoded
):
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever runs the tests may write anywhere
    code, _, err = run("--add", "anna", *files)
    assert (code, "nothing may be written in" in err) == (1, True)
    assert not path.exists()


def test_a_model_with_a_pair_head_is_refused_before_a_picture_is_read(
    files, path, concat_folder, capsys, nothing_is_decoded
):
    arguments = ["gallery", str(path), "--add", "anna", str(files[0])]
    assert cli.main([*arguments, "--model", str(concat_folder)]) == 1
    assert "use a model with a cosine head" in capsys.readouterr().err
    assert not path.exists()


def test_an_empty_file_becomes_a_gallery_with_its_first_pictures_only(run, files, path, tmp_path):
    path.touch()
    assert run("--add", "anna", files[0], tmp_path / "mistyped.png")[0] == 1
    for arguments in ([], ["--identify", files[0]], ["--html", path.with_suffix(".html")]):
        code, _, err = run(*arguments)
        assert code == 1
        assert "there is no such gallery; make one first" in err
    assert path.stat().st_size == 0
    assert run("--add", "anna", files[0])[0] == 0
    assert "1 enrolled" in run()[1]


def test_an_enrolment_that_fails_leaves_the_gallery_as_it_was(run, files, path, tmp_path):
    run("--add", "anna", files[0])
    code, _, err = run("--add", "ben", files[1], tmp_path / "one.png", tmp_path / "two.png")
    assert (code, "2 pictures cannot be used" in err, "two.png" in err) == (1, True, True)
    assert "1 enrolled" in run()[1]
    code, _, err = run("--identify", files[1], tmp_path / "one.png", tmp_path / "two.png")
    assert (code, "2 pictures cannot be used" in err, "two.png" in err) == (1, True, True)


def test_advice_is_in_the_words_of_the_command_line(run, files):
    run("--add", "anna", files[0]), run("--add", "ben", files[1])
    for asked, says in (
        (["--remove", "nobody"], "python -m reid_edge gallery FILE lists who is"),
        (["--rename", "anna", "ben"], "merge 'anna' into 'ben'"),
        (["--identify", files[0], "--fpir", "3"], "--fpir 3.0: give a number"),
        (["--identify", files[0], "--top", "0"], "--top 0: give a whole number"),
    ):
        err = run(*asked)[2]
        assert says in err
        assert "()" not in err
    run("--remove", "anna"), run("--remove", "ben")
    assert run()[1] == "nobody is enrolled; model tiny\n"
    assert "gallery FILE --add NAME PICTURE" in run("--identify", files[0])[2]


@pytest.fixture
def of_edge_free(path, monkeypatch):
    with Gallery(path, "edge-free") as people:
        for name, row in zip(("anna", "ann", "ben"), rows(3, size=256), strict=True):
            people.add(name, row)

    def plain(*arguments):
        return cli.main(["gallery", str(path), *map(str, arguments)])

    return plain


def test_what_embeds_nothing_needs_no_model_s_name(of_edge_free, path, capsys, monkeypatch):
    assert of_edge_free("--json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "edge-free"
    for asked in (
        ["--rename", "ben", "Benny"],
        ["--merge", "anna", "ann"],
        ["--export", path.with_suffix(".npz")],
        ["--html", path.with_suffix(".html")],
        ["--remove", "Benny"],
    ):
        assert of_edge_free(*asked) == 0, capsys.readouterr().err
    monkeypatch.setattr(bundle, "shipped", lambda: ["edge-free"])  # as a product may have it
    capsys.readouterr()
    assert of_edge_free() == 0
    assert capsys.readouterr().out.startswith("1 enrolled with 2 pictures, model edge-free\n")


def test_the_right_model_in_the_box_is_named_as_an_option(of_edge_free, files, capsys):
    for asked in (["--identify", files[0]], ["--add", "cleo", files[0]], ["--model", "edge"]):
        assert of_edge_free(*asked) == 1
        told = capsys.readouterr().err
        assert "another model, 'edge-free'" in told
        assert "; add --model edge-free, or enrol" in told


def test_a_gallery_of_no_model_in_the_box_asks_for_its_bundle(run, files, path, capsys):
    run("--add", "anna", files[0])
    assert cli.main(["gallery", str(path)]) == 1
    assert "; give that bundle as --model, or enrol" in capsys.readouterr().err


def test_the_share_is_given_as_what_was_asked_for(run, files):
    run("--add", "anna", files[0])
    assert "meant so that about 1 % of strangers" in " ".join(
        run("--identify", files[0])[1].split()
    )
