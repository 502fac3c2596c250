"""Picture files to RGB arrays, with a budget that is held before anything is decoded.

A file of a few kilobytes can announce billions of pixels.  So the size is read from the
header first (JPEG, PNG, BMP, WebP), and only then is the decoder let at it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ._files import NotRegularError, TooLargeError, is_address, read_regular
from .errors import ImageBudgetError, ImageFileError
from .images import MAX_PIXELS, Picture

MAX_FILE_BYTES = 256 << 20
_FORMATS = "JPEG, PNG, BMP or WebP"

# JPEG segments that announce the size: SOF0-SOF15 but for DHT, JPG and DAC.
_JPEG_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_MAX_CHUNKS = 100_000
_JPEG_MAX_SEGMENTS = 10_000  # and fill bytes; real files have a few dozen
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def read_image(path: str | Path) -> Picture:
    """Decode a picture file to RGB; alpha is dropped, EXIF orientation applied.

    Args:
        path: a JPEG, PNG, BMP or WebP file of at most 50 megapixels and 256 MiB.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ImageFileError: no path; or the file is missing, no picture or damaged.
        ImageBudgetError: it announces more than that; it is not decoded.
    """
    import cv2

    try:
        file = Path(path)
    except TypeError:
        raise ImageFileError(
            f"{type(path).__name__} is no path; give that of a {_FORMATS} file as str or Path"
        ) from None
    if is_address(path):
        raise ImageFileError(f"{path}: URLs are not fetched; download the picture, give the file")
    data = _read(file)
    width, height = _size(data, path)
    if width * height > MAX_PIXELS:
        raise ImageBudgetError(
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
        return read_regular(path, MAX_FILE_BYTES)
    except IsADirectoryError:
        raise ImageFileError(f"{path}: is a folder; give a {_FORMATS} file") from None
    except NotRegularError:
        raise ImageFileError(f"{path}: not a regular file; give a {_FORMATS} file") from None
    except TooLargeError:
        raise ImageBudgetError(
            f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB; shrink the picture first"
        ) from None
    except OSError as error:
        raise ImageFileError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from error


def _size(data: bytes, path: str | Path) -> tuple[int, int]:
    """Width and height that the header announces."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = _png_size(data)
        elif data.startswith(b"\xff\xd8"):
            width, height = _jpeg_size(data)
        elif data.startswith(b"BM"):
            width, height = _bmp_size(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
        else:
            raise ImageFileError(
                f"{path}: no picture that can be read here; give a {_FORMATS} file"
            )
    except (struct.error, IndexError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise ImageFileError(f"{path}: damaged picture, cut off or without a size; fetch it again")
    return width, height


def _png_size(data: bytes) -> tuple[int, int]:
    # Decoders may search on where the first chunk is no header, and some versions of OpenCV
    # take memory for a chunk of 4 GiB because its length says so: all lengths are checked.
    if data[12:16] != b"IHDR":
        return 0, 0
    place = 8
    for _ in range(_PNG_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if kind == b"IEND" and place <= len(data):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
    return 0, 0


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    for _ in range(_JPEG_MAX_SEGMENTS):
        marker = data[place + 1]
        # Stuffing (0x00) ends nothing: decoders search on from there and would see other
        # segments than this loop does.  0xDA is pixels before any size.
        if data[place] != 0xFF or marker in (0x00, 0xDA):
            return 0, 0
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        place += 2
        if marker in _JPEG_BARE:
            continue
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, place + 3)
            # Some versions of OpenCV decode what is there of a file that is cut off, and leave
            # the rest grey.  Pixel data cannot hold the end marker.
            return (width, height) if data.find(b"\xff\xd9", place) > 0 else (0, 0)
        place += max(2, struct.unpack_from(">H", data, place)[0])
    return 0, 0


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
