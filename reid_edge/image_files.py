"""Picture files to RGB arrays, with a budget that is held before anything is decoded.

A file of a few kilobytes can announce billions of pixels.  So the size is read from the
header first (JPEG, PNG, BMP, WebP), and only then is the decoder let at it.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import numpy as np

from .errors import ImageFileError
from .images import MAX_PIXELS, Picture

MAX_FILE_BYTES = 256 << 20
_FORMATS = "JPEG, PNG, BMP or WebP"

# JPEG segments that announce the size: SOF0-SOF15 but for DHT, JPG and DAC.
_JPEG_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def read_image(path: str | Path) -> Picture:
    """Decode a picture file to RGB; alpha is dropped, EXIF orientation applied.

    Args:
        path: a JPEG, PNG, BMP or WebP file of at most 50 megapixels and 256 MiB.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ImageFileError: the file is missing, no picture, damaged, or over the budget.
    """
    import cv2

    data = _read(Path(path))
    width, height = _size(data, path)
    if width * height > MAX_PIXELS:
        raise ImageFileError(
            f"{path}: announces {width}x{height} pixels, over the limit of "
            f"{MAX_PIXELS // 10**6} megapixels; not decoded; shrink the picture first"
        )
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageFileError(f"{path}: cannot be decoded ({error.err})") from error
    if decoded is None:
        raise ImageFileError(f"{path}: damaged picture, cannot be decoded; fetch or save it again")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _read(path: Path) -> bytes:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageFileError(f"{path}: not a regular file; give a {_FORMATS} file")
            if status.st_size > MAX_FILE_BYTES:
                raise ImageFileError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB")
            return file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise ImageFileError(f"{path}: is a folder; give a {_FORMATS} file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageFileError(f"{path}: cannot be read ({reason}); check the path") from error


def _size(data: bytes, path: str | Path) -> tuple[int, int]:
    """Width and height that the header announces."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8"):
            width, height = _jpeg_size(data)
        elif data.startswith(b"BM"):
            width, height = _bmp_size(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
        else:
            raise ImageFileError(f"{path}: no picture that can be read here; give a {_FORMATS} file")
    except (struct.error, IndexError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise ImageFileError(f"{path}: damaged picture, its header has no size; fetch it again")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        while data[place] == 0xFF and data[place + 1] == 0xFF:  # fill bytes
            place += 1
        marker = data[place + 1]
        if data[place] != 0xFF or marker == 0xDA:  # pixels before any size
            return 0, 0
        place += 2
        if marker in _JPEG_BARE:
            continue
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, place + 3)
            return width, height
        place += max(2, struct.unpack_from(">H", data, place)[0])


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # OS/2 header
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height means top-down


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0
