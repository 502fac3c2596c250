"""Picture files made to harm: the decoder must not be reached, or must be survived."""

from __future__ import annotations

import itertools
import os
import struct

import _headers
import _tiny
import cv2
import numpy as np
import pytest

from reid_edge import cli, read_image
from reid_edge.errors import ImageFileError


@pytest.fixture
def no_decoder(monkeypatch):
    def reached(*arguments):
        pytest.fail("the decoder was reached")

    monkeypatch.setattr(cv2, "imdecode", reached)


SEGMENT = _headers.jpeg_segment
BOMBS = {
    "png": _headers.png(60_000, 60_000),
    "png, sides beyond 31 bits": _headers.png(2**32 - 1, 2**32 - 1),
    "png, one long row": _headers.png(2**31 - 1, 1),
    "png, the header comes second": _headers.png(8, 8, b"gAMA")[:-12]
    + _headers.png(60_000, 60_000)[8:],
    "png, a chunk of 4 GiB": _headers.png(8, 8)[:-12] + b"\xff\xff\xff\xf0IDAT" + bytes(99),
    "png, no end": _headers.png(8, 8)[:-12],
    "jpeg": _headers.jpeg(65_535, 65_535),
    "jpeg, progressive": _headers.jpeg(65_535, 65_535, marker=0xC2),
    "jpeg, behind a thumbnail": _headers.jpeg(
        65_535, 65_535, SEGMENT(0xE1, b"Exif\0\0" + _headers.jpeg(8, 8))
    ),
    "jpeg, behind fill bytes": _headers.jpeg(65_535, 65_535, b"\xff" * 50),
    "jpeg, a small size follows": _headers.jpeg(65_535, 65_535) + _headers.jpeg_size(8, 8),
    # Decoders skip the stuffing and find the large size; walking on as if it were a segment
    # would jump over it, to the small one.
    "jpeg, hidden behind stuffing": _headers.jpeg(
        8, 8, b"\xff\x00\x00\x20" + _headers.jpeg_size(65_535, 65_535) + bytes(11)
    ),
    "jpeg, cut off": _headers.jpeg(8, 8)[:-2],  # some decoders would fill it up with grey
    "jpeg, no size before the pixels": b"\xff\xd8" + SEGMENT(0xDA, bytes(10)) + b"\xff\xd9",
    "jpeg, the height comes later": _headers.jpeg(65_535, 0),
    "bmp": _headers.bmp(60_000, 60_000),
    "bmp, upside down": _headers.bmp(60_000, -60_000),
    "bmp, least height": _headers.bmp(8, -(2**31)),
    "bmp, os/2": _headers.bmp_os2(65_535, 65_535),
    "webp": _headers.webp_extended(1 << 24, 1 << 24),
    "webp, lossless": _headers.webp_lossless(1 << 14, 1 << 14),
    "webp, lossy": _headers.webp_lossy((1 << 14) - 1, (1 << 14) - 1),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_the_decoder(no_decoder, tmp_path, content):
    path = tmp_path / "bomb"
    path.write_bytes(content)
    with pytest.raises(ImageFileError):
        read_image(path)


def test_a_bomb_on_the_command_line_is_one_line_and_code_1(
    no_decoder, tmp_path, tiny_folder, capsys
):
    path = tmp_path / "bomb.png"
    path.write_bytes(BOMBS["png"])
    assert cli.main(["predict", str(path), str(path), "--model", str(tiny_folder)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "announces 60000x60000 pixels, over the limit of 50 megapixels" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xd0", b"\xff\xfe\0\2"], ids=repr)
def test_an_endless_jpeg_header_is_given_up(no_decoder, tmp_path, filling):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8" + filling * 4_000_000 + _headers.jpeg(8, 8)[2:])
    with pytest.raises(ImageFileError, match="damaged picture"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageFileError, match="not a regular file; give a JPEG"):
        read_image(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero here")
def test_a_device_behind_a_link_is_not_read(tmp_path):
    (tmp_path / "a.jpg").symlink_to("/dev/zero")
    with pytest.raises(ImageFileError, match="not a regular file"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("loops", [["a", "a"], ["a", "b", "a"]])
def test_links_in_a_circle_are_an_error(tmp_path, loops):
    for one, other in itertools.pairwise(loops):
        (tmp_path / one).symlink_to(tmp_path / other)
    with pytest.raises(ImageFileError, match="check the path"):
        read_image(tmp_path / "a")


@pytest.fixture(scope="module")
def good():
    noise = np.random.default_rng(0).integers(0, 256, (40, 24, 3), np.uint8)
    files = {}
    for suffix in (".jpg", ".png", ".bmp", ".webp"):
        files[suffix] = cv2.imencode(suffix, noise)[1].tobytes()
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    files["progressive"] = cv2.imencode(".jpg", noise, options)[1].tobytes()
    return files


KINDS = pytest.mark.parametrize("kind", [".jpg", "progressive", ".png", ".bmp", ".webp"])


@KINDS
def test_a_file_that_is_cut_off_anywhere_is_refused(good, kind, tmp_path):
    content = good[kind]
    path = tmp_path / "a"
    end = len(content) - 1
    for length in {*range(0, end, max(1, end // 60)), end}:
        path.write_bytes(content[:length])
        with pytest.raises(ImageFileError):
            read_image(path)


def flipped(content, rng):
    content = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        content[rng.integers(len(content))] = rng.integers(256)
    return bytes(content)


def spliced(content, rng):
    start, end = sorted(rng.integers(0, len(content), 2))
    return content[:start] + rng.bytes(int(rng.integers(0, 40))) + content[end:]


def early(content, rng):
    return flipped(content[:64], rng) + content[64:]


@KINDS
@pytest.mark.parametrize("damage", [flipped, spliced, early])
def test_random_damage_gives_a_picture_or_an_error_of_ours(good, kind, damage, tmp_path):
    rng = np.random.default_rng(1)
    outcomes = set()
    for turn in range(60):
        path = tmp_path / f"{turn}"
        path.write_bytes(damage(good[kind], rng))
        try:
            found = read_image(path)
        except ImageFileError:
            outcomes.add("refused")
        else:
            assert (found.dtype, found.ndim, found.shape[2]) == (np.uint8, 3, 3)
            outcomes.add("picture")
    assert "refused" in outcomes or damage is flipped


def test_random_bytes_behind_every_signature_are_errors_of_ours(tmp_path):
    rng = np.random.default_rng(2)
    path = tmp_path / "a"
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\x99\0\0\0WEBPVP8X"):
        for _ in range(60):
            path.write_bytes(start + rng.bytes(int(rng.integers(0, 200))))
            with pytest.raises(ImageFileError):
                read_image(path)


def test_an_orientation_that_does_not_exist_is_ignored(good, tmp_path):
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x112, 3, 1, 999, 0) + b"\0" * 4
    jpeg = good[".jpg"]
    (tmp_path / "a").write_bytes(jpeg[:2] + SEGMENT(0xE1, b"Exif\0\0" + tiff) + jpeg[2:])
    assert read_image(tmp_path / "a").shape == (40, 24, 3)


def test_a_sparse_batch_of_a_million_items_is_embedded_once(counting):
    model, counter = counting
    batch = np.broadcast_to(_tiny.picture(0, 4, 4), (1_000_000, 4, 4, 3))[:20_000]
    assert model.predict(_tiny.picture(1), batch).shape == (20_000,)
    assert counter.passes == 2
