"""What the CPU can do, told from what the kernel reports."""

from __future__ import annotations

import functools
from pathlib import Path

_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}


@functools.cache
def has_fast_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies 8-bit integers into 32-bit sums: VNNI or AMX.

    Without them engines use 16-bit sums that saturate, slower and with other results than those
    that the accuracy gate was measured with.  Other processors have not been measured.
    """
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return not _INT8.isdisjoint(line.split())
    except OSError:
        pass
    return False
