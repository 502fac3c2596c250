"""The contact sheet of `python -m reid_edge gallery --html`."""

from __future__ import annotations

import re

import _tiny
import pytest
from gallery_files import rows

from reid_edge import Gallery
from reid_edge.gallery import sheet
from reid_edge.gallery.sheet import page


def test_a_page_without_pictures_says_how_to_keep_them(run, files, path):
    run("--add", "anna", files[0])
    assert "enrol with --thumbnails" in run("--html", path.with_suffix(".html"))[1]


def test_cards_without_a_picture_or_with_one_camera(rated):
    with Gallery(None, rated) as gallery:
        gallery.add("anna", _tiny.picture(0), camera="door")
        assert "no picture kept" not in page(gallery)  # where nobody has one
        gallery.add("ben", _tiny.picture(1), camera="gate", keep_thumbnails=True)
        gallery.add("ben", _tiny.picture(1), camera="yard")
        text = page(gallery)
    assert text.count("no picture kept") == 1
    assert "<br>camera door" in text
    assert "<br>cameras gate, yard" in text


def test_the_page_escapes_all_and_asks_nobody(run, files, path):
    evil = "<script>alert(1)</script>'\"&"
    run("--add", evil, files[0], "--thumbnails", "--camera", "<img src=x>")
    run("--add", "anna", files[0], files[1], "--thumbnails")
    out = path.with_suffix(".html")
    assert run("--html", out)[:2] == (0, f"wrote {out}\n")
    text = out.read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    assert text.count('src="data:image/jpeg;base64,') == 4  # a pair, and two cards
    # The same picture under two names: that is what the page is for.
    assert "one person?" in text
    assert text.index("Nearest pairs") < text.index("Everyone")


def test_the_page_never_takes_the_gallery_s_place(run, files, path):
    run("--add", "anna", files[0])
    before = path.read_bytes()
    link = path.with_name("link.html")
    link.symlink_to(path)
    for out in (path, f"{path.parent}/./people.db", link):
        code, _, err = run("--html", out)
        assert (code, "the gallery itself" in err) == (2, True)
    assert path.read_bytes() == before
    assert link.is_symlink()
    assert run("--html", "")[0] == 1
    assert run("--export", "")[0] == 2


def test_a_page_is_not_printed(run, capsys, path):
    with pytest.raises(SystemExit, match="2"):
        run("--html", "-")
    assert "- is no file: give a file's name" in capsys.readouterr().err


def test_the_page_loads_the_pictures_that_it_shows(rated, monkeypatch):
    monkeypatch.setattr(sheet, "_CARDS", 2)
    monkeypatch.setattr(sheet, "_PAIRS", 1)
    with Gallery(None, rated) as gallery:
        for number in range(6):
            gallery.add(f"{number}", _tiny.picture(number), keep_thumbnails=True)
        asked = []
        thumbnails = gallery.thumbnails
        monkeypatch.setattr(
            gallery, "thumbnails", lambda names: asked.append(set(names)) or thumbnails(names)
        )
        text = page(gallery)
    assert 2 <= len(asked[0]) <= 4
    assert text.count('src="data:image/jpeg;base64,') == 4


def test_the_page_of_no_one_and_of_one(tiny_folder):
    with Gallery(None, tiny_folder) as gallery:
        text = page(gallery)
        assert "0 people" in text
        assert "Nobody is enrolled" in text
        assert "Everyone" not in text
        gallery.add("anna", rows(1), time=1e300)
        text = page(gallery)
        assert "anna" in text
        assert "1e+300" in text
        assert "1 person<" in text
        assert "Nearest pairs" not in text


def test_the_most_alike_pair_comes_first_and_once(tiny_folder):
    with Gallery(None, tiny_folder) as gallery:
        for number, row in enumerate(rows(12)):
            gallery.add(f"person {number}", row)
        text = page(gallery)
        one, other, score = gallery.neighbours()[0]
    first = re.search(r'<ol class="pairs"><li.*?</li>', text)[0]
    assert one in first
    assert other in first
    assert f"{score:.5f}" in first
    pairs = re.findall(r"<b>(person \d+)</b><b>(person \d+)</b>", text)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) > 5
