from __future__ import annotations

import struct

import _headers
import _tiny
import cv2
import numpy as np
import pytest

from reid_edge import image_files, read_image
from reid_edge.errors import ImageFileError

LOSSLESS = [".png", ".bmp", ".webp"]


def coded(picture, suffix, options=()):
    done, data = cv2.imencode(suffix, picture, list(options))
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_files_come_back_as_rgb(picture_file, suffix):
    picture = _tiny.picture(0, 40, 22)
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    path = picture_file(f"a{suffix}", picture)
    path.write_bytes(coded(picture[:, :, ::-1], suffix, options))
    found = read_image(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, picture)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_files_come_back_as_rgb_nearly(picture_file, suffix):
    picture = np.zeros((40, 24, 3), np.uint8)
    picture[:] = (200, 30, 90)
    found = read_image(str(picture_file(f"a{suffix}", picture)))
    assert found.shape == picture.shape
    assert np.abs(found.astype(int) - picture).max() <= 5


def test_a_progressive_jpeg_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(coded(_tiny.picture(0), ".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]))
    assert read_image(path).shape == (48, 24, 3)


def test_the_suffix_does_not_matter(picture_file):
    path = picture_file("a.png", _tiny.picture(0))
    assert np.array_equal(read_image(path.rename(path.with_suffix(".jpg"))), _tiny.picture(0))


def test_alpha_is_dropped_without_darkening(tmp_path):
    picture = _tiny.picture(0)
    alpha = np.tile(np.arange(24, dtype=np.uint8)[None, :, None], (48, 1, 1))
    path = tmp_path / "a.png"
    path.write_bytes(coded(np.concatenate([picture[:, :, ::-1], alpha], 2), ".png"))
    assert np.array_equal(read_image(path), picture)


def test_greyscale_and_sixteen_bit_files_become_rgb_of_eight_bits(tmp_path):
    grey = _tiny.picture(0)[:, :, 0]
    for data in (coded(grey, ".png"), coded(grey.astype(np.uint16) * 257, ".png")):
        (tmp_path / "a.png").write_bytes(data)
        assert np.array_equal(read_image(tmp_path / "a.png"), np.repeat(grey[:, :, None], 3, 2))


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda picture: picture),
        (3, lambda picture: picture[::-1, ::-1]),
        (6, lambda picture: np.rot90(picture, -1)),
        (8, lambda picture: np.rot90(picture)),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, upright):
    picture = np.zeros((32, 16, 3), np.uint8)
    picture[:8] = 255
    jpeg = coded(picture, ".jpg")
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + b"\0" * 4
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + _headers.jpeg_segment(0xE1, b"Exif\0\0" + tiff) + jpeg[2:])
    found = read_image(path)
    assert found.shape == upright(picture).shape
    assert np.abs(found.astype(int) - upright(picture)).max() <= 5


def test_fill_bytes_and_long_comments_before_the_size_are_skipped(tmp_path):
    jpeg = coded(_tiny.picture(0), ".jpg")
    comment = _headers.jpeg_segment(0xFE, b"\xff\xc0" * 30_000)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + b"\xff" * 9 + comment + jpeg[2:] + b"a trailer of some camera")
    assert read_image(path).shape == (48, 24, 3)


@pytest.mark.parametrize(
    ("make", "width", "height"),
    [
        (_headers.png, 70_000, 80_000),
        (_headers.jpeg, 300, 65_500),
        (_headers.bmp, 300, -70_000),
        (_headers.bmp_os2, 300, 65_000),
        (_headers.webp_extended, 1 << 24, 1),
        (_headers.webp_lossless, 1 << 14, 5),
        (_headers.webp_lossy, 5, (1 << 14) - 1),
    ],
)
def test_the_announced_size_is_read_from_every_kind_of_header(make, width, height):
    assert image_files._size(make(width, height), "a") == (width, abs(height))


@pytest.mark.parametrize("marker", [0xC1, 0xC2, 0xC9, 0xCA])
def test_the_size_is_found_in_every_kind_of_jpeg(marker):
    tables = _headers.jpeg_segment(0xC4, bytes(20)) + _headers.jpeg_segment(0xCC, bytes(4))
    assert image_files._size(_headers.jpeg(7, 9, tables, marker), "a") == (7, 9)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "give a JPEG, PNG, BMP or WebP file"),
        (b"plain words, no picture", "give a JPEG, PNG, BMP or WebP file"),
        (b"GIF89a" + bytes(40), "give a JPEG, PNG, BMP or WebP file"),
        (b"RIFF\0\0\0\0WAVE" + bytes(40), "give a JPEG, PNG, BMP or WebP file"),
        (b"\x89PNG\r\n\x1a\n", "damaged picture.*fetch it again"),
        (b"\xff\xd8\xff", "damaged picture.*fetch it again"),
        (b"BM", "damaged picture.*fetch it again"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "damaged picture.*fetch it again"),
        (b"RIFF\0\0\0\0WEBPWHAT" + bytes(40), "damaged picture.*fetch it again"),
        (_headers.png(0, 8), "damaged picture.*fetch it again"),
        (_headers.bmp(-8, 8), "damaged picture.*fetch it again"),
        (_headers.png(8, 8), "damaged picture.*fetch or save it again"),
        (_headers.png(9_000, 9_000), "9000x9000 pixels, over.*50 megapixels.*shrink the picture"),
    ],
)
def test_a_file_that_is_no_picture_gets_an_error_with_the_fix(tmp_path, content, advice):
    path = tmp_path / "a file.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=advice) as raised:
        read_image(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_path_that_leads_nowhere_says_so(tmp_path):
    with pytest.raises(ImageFileError, match=r"No such file.*check the path"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageFileError, match="is a folder; give a JPEG"):
        read_image(tmp_path)
    with pytest.raises(ImageFileError, match=r"null byte.*check the path"):
        read_image("a\0b.jpg")


def test_an_address_is_not_fetched_and_shown_as_it_was_given():
    with pytest.raises(ImageFileError, match=r"http://host/a\.jpg: URLs are not fetched; download"):
        read_image("http://host/a.jpg")


def test_a_file_over_the_byte_limit_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(image_files.MAX_FILE_BYTES + 1)  # sparse: takes no space
    with pytest.raises(ImageFileError, match="larger than 256 MiB; shrink"):
        read_image(path)


def test_an_error_of_the_decoder_is_one_of_ours(picture_file, monkeypatch):
    def fails(*arguments):
        error = cv2.error("long")
        error.err = "no memory left"
        raise error

    path = picture_file("a.png", _tiny.picture(0))
    monkeypatch.setattr(cv2, "imdecode", fails)
    with pytest.raises(ImageFileError, match=r"cannot be decoded \(no memory left\)"):
        read_image(path)


@pytest.mark.parametrize("path", [123, None, b"a.png", ["a.png"], _tiny.picture(0)])
def test_what_is_no_path_is_an_error_of_our_own(path, tiny):
    with pytest.raises(ImageFileError, match=f"{type(path).__name__} is no path; give"):
        read_image(path)
    with pytest.raises(ImageFileError, match="is no path; give"):
        tiny.embed_files([path])
