"""`--compare OLD.json`: what changed, and whether it is more than noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What is compared in a run: its name, where it stands, and whether more is better.
_SPEED = (
    ("single stream, p50 ms", ("single_stream", "p50_ms"), False),
    ("single stream, p99 ms", ("single_stream", "p99_ms"), False),
    ("multi stream, p50 ms", ("multi_stream", "p50_ms"), False),
    ("multi stream, p99 ms", ("multi_stream", "p99_ms"), False),
    ("cold start to the first score, s", ("cold_start", "first_score_seconds"), False),
    ("resident after 32 pictures, MiB", ("cold_start", "resident_mib_32_pictures"), False),
)
_ACCURACY = (
    ("mAP", True),
    ("rank1", True),
    ("auc", True),
    ("eer", False),
    ("tpr_at_far_1e-2", True),
    ("tpr_at_far_1e-3", True),
    ("calibration_error", False),
    ("dir_at_fpir_1e-1", True),
    ("dir_at_fpir_1e-2", True),
)
# What two runs cannot tell apart, however well the rounds of each agree: shares of the figure.
_NOISE, _TAIL_NOISE = 0.03, 0.1
_SAME_ACCURACY = 0.001
_HUGE = 1e30


@dataclass(frozen=True)
class Change:
    """One figure then and now; `verdict` is `better`, `worse` or `same`."""

    run: str
    figure: str
    old: float
    new: float
    verdict: str

    @property
    def ratio(self) -> str:
        """Now by then, as text; nothing where then was 0."""
        return f"{self.new / self.old:.2f}" if self.old else ""

    @property
    def told(self) -> str:
        """The verdict in words."""
        return "within noise" if self.verdict == "same" else self.verdict


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Figures that both reports have, for runs of the same backend and precision.

    A speed within the spread of either report's rounds or within 3 % (10 % at the 99th
    percentile), or an accuracy within 0.001, cannot be told apart.
    """
    found = []
    before = {_name(run): run for run in _list(old, "runs")}
    for run in new["runs"]:
        earlier = before.get(_name(run))
        if earlier is None:
            continue
        for figure, was, now, more_is_better, noise in _figures(earlier, run):
            change = (now - was) if more_is_better else (was - now)
            verdict = "same" if abs(change) <= noise else "better" if change > 0 else "worse"
            found.append(Change(_name(run), figure, was, now, verdict))
    return found


def doubts(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why the two reports may not be comparable."""
    told = []
    for what, path in (
        ("another processor", ("machine", "cpu")),
        ("another number of processors", ("machine", "processors_allowed")),
        ("other packages", ("machine", "packages")),
        ("another model", ("model", "name")),
    ):
        if (then := _dig(old, path)) != (now := _dig(new, path)):
            told.append(f"{what} then ({str(then)[:120]}) than now ({str(now)[:120]})")
    before = {_name(run): run for run in _list(old, "runs")}
    names = [_name(run) for run in new["runs"]]
    if not before.keys() & set(names):
        told.append(f"no run in common: then {', '.join(before)[:200]}; now {', '.join(names)}")
    for run in new["runs"]:
        earlier = before.get(_name(run))
        if earlier is not None and earlier.get("graph_sha256") != run["graph_sha256"]:
            told.append(f"{_name(run)}: another graph then than now")
        both = all(_dig(one, ("accuracy",)) for one in (earlier, run))
        if both and _data(earlier) != _data(run):
            told.append(f"{_name(run)}: accuracy was measured on other data then")
    return told


def _figures(
    old: dict[str, Any], new: dict[str, Any]
) -> Iterator[tuple[str, float, float, bool, float]]:
    """Name, then, now, whether more is better, and what counts as noise."""
    for figure, path, better in _SPEED:
        was, now = _number(old, path), _number(new, path)
        if was is not None and now is not None:
            least = _TAIL_NOISE if path[1] == "p99_ms" else _NOISE
            spread = _noise(least, old.get(path[0]), new.get(path[0]))
            yield figure, was, now, better, spread * was
    earlier = {str(one.get("batch")): one for one in _list(old, "throughput")}
    for one in _list(new, "throughput"):
        then = earlier.get(str(one["batch"]))
        was = _number(then, ("images_per_second",))
        if was is not None:
            spread = _noise(_NOISE, then, one)
            name = f"images/s, batch {one['batch']}"
            yield name, was, one["images_per_second"], True, spread * was
    if _data(old) != _data(new):
        return
    for figure, better in _ACCURACY:
        was, now = (_number(one, ("accuracy", "figures", figure)) for one in (old, new))
        if was is not None and now is not None:
            yield figure, was, now, better, _SAME_ACCURACY


def _data(run: Any) -> list[Any]:
    """What accuracy was measured on: a folder of one name may hold other pictures now."""
    counts = ("dataset", "pictures", "skipped", "pairs_same", "pairs_different")
    return [_dig(run, ("accuracy", name)) for name in counts]


def _noise(least: float, *sections: Any) -> float:
    return max(least, *(_number(section, ("spread",)) or 0.0 for section in sections))


def _name(run: Any) -> str:
    return f"{_dig(run, ('backend',))} {_dig(run, ('precision',))}"[:80]


def _list(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects, whatever stands in an old file."""
    found = value.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _dig(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _number(value: Any, path: tuple[str, ...]) -> float | None:
    found = _dig(value, path)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    return float(found) if abs(found) < _HUGE else None  # a NaN is not below it, either
