"""What a figure depends on besides the code: processor, clocks, power, versions.

Everything is read if it can be, and None if not: it differs between systems and containers.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx-cu13",
)
_GPU = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "power.limit", "memory.used")
_CPU0 = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def describe() -> dict[str, Any]:
    """The report's `machine` section."""
    return {
        "cpu": _cpu_name(),
        "architecture": platform.machine(),
        "processors": os.cpu_count(),
        "processors_allowed": allowed_processors(),
        "cpu_quota": _quota(Path("/sys/fs/cgroup/cpu.max")),
        "governor": _text(_CPU0 / "scaling_governor"),
        "mhz_now": _megahertz(_CPU0 / "scaling_cur_freq") or _cpuinfo_megahertz(),
        "mhz_max": _megahertz(_CPU0 / "cpuinfo_max_freq"),
        "board": _text(Path("/proc/device-tree/model")),
        "power_mode": _nvpmodel(),
        "gpus": gpus(),
        "load_average": _load(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(),
    }


def allowed_processors() -> int | None:
    """How many logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Of the packages that figures depend on, where installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def busy(described: dict[str, Any]) -> str | None:
    """A warning, if something else was already running."""
    load, processors = described["load_average"], described["processors"]
    if load is None or not processors or load < 0.5 * processors:
        return None
    return (
        f"the load average is {load:.1f} on {processors} processors: something else is running, "
        "and figures are lower than on a quiet machine"
    )


def gpus() -> list[dict[str, str]]:
    """NVIDIA GPUs as `nvidia-smi` tells them; Jetsons have none of it and give an empty list."""
    told = _command("nvidia-smi", f"--query-gpu={','.join(_GPU)}", "--format=csv,noheader")
    found = []
    for line in (told or "").splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(_GPU):
            found.append(dict(zip(_GPU, values, strict=True)))
    return found


def resident_mib() -> float | None:
    """Memory of this process that is in RAM now, in MiB."""
    kibibytes = _status("VmRSS:")
    return None if kibibytes is None else kibibytes / 1024


def thread_count() -> int | None:
    """Threads of this process now: the engine's, OpenCV's, NumPy's and our own."""
    return _status("Threads:")


def _status(name: str) -> int | None:
    for line in (_text(Path("/proc/self/status")) or "").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return None


def _cpu_name() -> str:
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpuinfo_megahertz() -> float | None:
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("cpu MHz"):
            return _number(line.partition(":")[2])
    return None


def _megahertz(path: Path) -> float | None:
    kilohertz = _number(_text(path) or "")
    return None if kilohertz is None else kilohertz / 1000


def _quota(path: Path) -> float | None:
    """Processors' worth of time that the container may use; None without a limit."""
    values = (_text(path) or "").split()
    if len(values) != 2 or values[0] == "max":
        return None
    share, period = _number(values[0]), _number(values[1])
    return share / period if share is not None and period else None


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _nvpmodel() -> str | None:
    told = _command("nvpmodel", "-q")
    for line in (told or "").splitlines():
        if "Power Mode" in line:
            return line.partition(":")[2].strip()
    return None


def _command(*words: str) -> str | None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout


def leading_number(text: str) -> float | None:
    """The number before a unit: `1234 MiB`; None for `[N/A]`, as Jetsons and MIG slices tell."""
    return _number((text.split() or [""])[0])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None
