"""Picture files that are nothing but a header: they announce a size and hold no pixels."""

from __future__ import annotations

import struct
import zlib


def png_chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def png(width: int, height: int, kind: bytes = b"IHDR") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(kind, header) + png_chunk(b"IEND", b"")


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_size(width: int, height: int, marker: int = 0xC0) -> bytes:
    components = bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    return jpeg_segment(marker, struct.pack(">BHHB", 8, height, width, 3) + components)


def jpeg(width: int, height: int, before: bytes = b"", marker: int = 0xC0) -> bytes:
    app0 = jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    return b"\xff\xd8" + app0 + before + jpeg_size(width, height, marker) + b"\xff\xd9"


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def bmp_os2(width: int, height: int) -> bytes:
    return (
        b"BM" + struct.pack("<IHHI", 26, 0, 0, 26) + struct.pack("<IHHHH", 12, width, height, 1, 24)
    )


def _riff(kind: bytes, content: bytes) -> bytes:
    chunk = b"WEBP" + kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(chunk)) + chunk


def webp_extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(b"VP8X", b"\0\0\0\0" + sides)


def webp_lossless(width: int, height: int) -> bytes:
    return _riff(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def webp_lossy(width: int, height: int) -> bytes:
    return _riff(b"VP8 ", b"\x50\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height))
