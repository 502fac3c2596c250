"""What the CPU can do, told from what the kernel reports."""

from __future__ import annotations

import functools
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}
_BF16 = {"avx512_bf16", "amx_bf16"}


@functools.cache
def has_fast_int8(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the CPU multiplies 8-bit integers into 32-bit sums: VNNI or AMX."""
    return not _INT8.isdisjoint(_flags(cpuinfo))


@functools.cache
def has_amx_int8(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the CPU multiplies tiles of 8-bit integers: AMX."""
    return "amx_int8" in _flags(cpuinfo)


@functools.cache
def has_avx2(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the CPU multiplies 8-bit integers at all fast, into 16-bit sums that saturate."""
    return "avx2" in _flags(cpuinfo)


@functools.cache
def has_bf16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the CPU multiplies BF16 numbers; others would emulate it, slowly."""
    return not _BF16.isdisjoint(_flags(cpuinfo))


def _flags(cpuinfo: Path) -> list[str]:
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return line.split()
    except OSError:
        pass
    return []
