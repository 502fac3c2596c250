"""The report on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._show import print_table, say, table, text
from ..evaluation import LABELS
from .compare import Change
from .stages import GPU_STAGES, STAGES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ACCURACY = {
    **LABELS,
    "dir_at_fpir_1e-1": "open set: DIR at FPIR 10 %",
    "dir_at_fpir_1e-2": "open set: DIR at FPIR 1 %",
    "fpir_asked_1e-1": "open set: FPIR where 10 % is asked",
    "fpir_asked_1e-2": "open set: FPIR where 1 % is asked",
}

_ENOUGH = 100  # calls, for a 99th percentile


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report: one column a run."""
    model, machine, runs = report["model"], report["machine"], report["runs"]
    say(f"model {model['name']} {model['version']} ({model['licence']})", out=console)
    say(machine_line(machine), "dim", console)
    titles = [f"{run['backend']} {run['precision']}" for run in runs]
    speed = [row for row in speed_rows(runs) if any(row[1])]
    if speed:
        title = "speed" if measures_speed(runs) else "graphs"
        print_table(_table(titles, speed), title, console)
    if any("accuracy" in run for run in runs):
        data = next(run["accuracy"]["dataset"] for run in runs if "accuracy" in run)
        print_table(_table(titles, accuracy_rows(runs)), f"accuracy on {data}", console)
    for warning in report["warnings"]:
        say(f"warning: {warning}", "yellow", console)


def show_changes(changes: list[Change], doubts: list[str], console: Console) -> None:
    """Print what `compare` found."""
    styles = {"better": "green", "worse": "red", "same": "dim"}
    shown = _table(["then", "now", "ratio", "change"], [])
    for one in changes:
        shown.add_row(
            text(f"{one.run}: {one.figure}"),
            f"{one.old:.4g}",
            f"{one.new:.4g}",
            one.ratio,
            f"[{styles[one.verdict]}]{one.told}[/]",
        )
    if changes:
        print_table(shown, "compared with the earlier report", console)
    else:
        say("nothing to compare: the earlier report has no figure of these runs", out=console)
    for doubt in doubts:
        say(f"warning: {doubt}", "yellow", console)


def show_calibration(section: dict[str, Any], console: Console) -> None:
    """Print what `recalibrate` found."""
    now, before = section["head"], section["head_before"]
    rows = [
        ("pictures", [f"{section['pictures']:,} of {section['pictures_found']:,}"]),
        ("left out, unreadable", [f"{section['skipped']:,}"]),
        ("people", [f"{section['identities']:,}"]),
        (
            "pairs of one, of two people",
            [f"{section['pairs_same']:,}, {section['pairs_different']:,}"],
        ),
        ("scale", [f"{now['scale']:.3f} (was {before['scale']:.3f})"]),
        ("bias", [f"{now['bias']:.3f} (was {before['bias']:.3f})"]),
        ("calibration error, people not fitted on", [f"{section['calibration_error']:.4f}"]),
    ]
    for name, found in section["thresholds"].items():
        told = f"{found['score']:.4f} (95 %: {found['low']:.4f} to {found['high']:.4f})"
        rows.append((f"threshold {name}", [told]))
    print_table(_table([""], rows), f"calibrated on {section['data']}", console)
    for warning in section["warnings"]:
        say(f"warning: {warning}", "yellow", console)
    for reason in section["skipped_first"]:
        say(f"left out: {reason}", "yellow", console)
    say(f"new bundle: {section['bundle']}", out=console)


def machine_line(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    parts = [
        machine["cpu"],
        machine["board"],
        f"{machine['processors_allowed']} of {machine['processors']} processors",
        machine["mhz_now"] and f"{machine['mhz_now']:.0f} MHz",
        machine["governor"] and f"governor {machine['governor']}",
        machine["power_mode"] and f"power mode {machine['power_mode']}",
        *(gpu["name"] for gpu in machine["gpus"]),
        *(f"{name} {version}" for name, version in machine["packages"].items()),
    ]
    return ", ".join(part for part in parts if part)


def measures_speed(runs: list[dict[str, Any]]) -> bool:
    """Whether there is a speed among the sections."""
    return any(run.keys() & {"single_stream", "throughput", "stages"} for run in runs)


def speed_rows(runs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Label, and one cell a run."""

    def cells(section: str, form: Any) -> list[str]:
        return [form(run[section]) if section in run else "" for run in runs]

    rows = [
        (
            "one pair, ms: p50 / p90 / p99",
            cells("single_stream", lambda s: _percentiles(s) + _mark(s)),
        ),
        ("8 crops, ms: p50 / p99", cells("multi_stream", _frame)),
    ]
    batches = dict.fromkeys(one["batch"] for run in runs for one in run.get("throughput", []))
    for batch in batches:
        found = [
            next((one for one in run.get("throughput", []) if one["batch"] == batch), None)
            for run in runs
        ]
        rows.append((f"images/s, batch {batch}", [_images(one) for one in found]))
        rows.append(("  of the engine alone", [_engine_images(one) for one in found]))
    for name in STAGES:
        rows.append(
            (
                f"{name}, ms a picture",
                cells("stages", lambda s, name=name: f"{s['ms_per_picture'][name]:.3f}"),
            )
        )
    rows += [
        ("H2D / compute / D2H, ms a picture", [_gpu_stages(run) for run in runs]),
        (
            "outside the engine: of files / of pictures",
            cells(
                "stages",
                lambda s: (
                    f"{100 * s['share_outside_engine']:.1f} % / "
                    f"{100 * s['share_outside_engine_decoded']:.1f} %"
                ),
            ),
        ),
        (
            "cold start, s: import / model / to first score",
            cells(
                "cold_start",
                lambda s: (
                    f"{s['import_seconds']:.2f} / {s['model_seconds']:.2f} / "
                    f"{s['first_score_seconds']:.2f}"
                ),
            ),
        ),
        (
            "memory, MiB: first score / 32 pictures",
            cells(
                "cold_start",
                lambda s: (
                    f"{_whole(s['resident_mib_first_score'])} / "
                    f"{_whole(s['resident_mib_32_pictures'])}"
                ),
            ),
        ),
        (
            "GPU memory, MiB",
            [_whole(run["gpu_memory_mib"]) if run["gpu_memory_mib"] else "" for run in runs],
        ),
        (
            "engine build, s",
            [
                f"{run['engine']['build_seconds']:.1f}"
                if run["engine"] and run["engine"]["build_seconds"] is not None
                else ""
                for run in runs
            ],
        ),
        ("graph SHA-256", [run["graph_sha256"][:12] for run in runs]),
    ]
    return [row for row in rows if any(row[1])]


def accuracy_rows(runs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Label, and one cell a run."""
    sections = [run.get("accuracy") for run in runs]
    rows = [
        (label, [f"{s['figures'][key]:.4f}" if s and key in s["figures"] else "" for s in sections])
        for key, label in _ACCURACY.items()
    ]
    drifts = [s["drift"] if s else None for s in sections]
    rows += [
        ("against FP32: mAP", [f"{d['mAP']:+.5f}" if d and "mAP" in d else "" for d in drifts]),
        (
            "against FP32: decisions flipped",
            [f"{100 * d['flips']:.3f} %" if d else "" for d in drifts],
        ),
        (
            "against FP32: largest change of a score",
            [f"{d['max_abs_score']:.4f}" if d else "" for d in drifts],
        ),
        (
            "open set: people enrolled, queries of strangers",
            [_open_set(s["figures"]) if s else "" for s in sections],
        ),
        (
            "pictures: used, left out",
            [f"{s['pictures'] - s['skipped']:,}, {s['skipped']:,}" if s else "" for s in sections],
        ),
        (
            "pairs of one, of two people",
            [f"{s['pairs_same']:,}, {s['pairs_different']:,}" if s else "" for s in sections],
        ),
    ]
    return [row for row in rows if any(row[1])]


def _open_set(figures: dict[str, float]) -> str:
    """How many the open-set figures rest on."""
    return f"{figures['enrolled']:,}, {figures['strangers']:,}" if "enrolled" in figures else ""


def _percentiles(section: dict[str, Any]) -> str:
    return " / ".join(f"{section[f'p{percent}_ms']:.2f}" for percent in (50, 90, 99))


def _frame(section: dict[str, Any]) -> str:
    return f"{section['p50_ms']:.2f} / {section['p99_ms']:.2f}{_mark(section)}"


def _gpu_stages(run: dict[str, Any]) -> str:
    found = run.get("stages", {}).get("gpu_ms_per_picture")
    return " / ".join(f"{found[name]:.3f}" for name in GPU_STAGES) if found else ""


def _images(section: dict[str, Any] | None) -> str:
    if section is None:
        return ""
    spread = f"{50 * section['spread']:.0f} %"
    return f"{section['images_per_second']:.1f} ± {spread}{_mark(section)}"


def _engine_images(section: dict[str, Any] | None) -> str:
    return "" if section is None else f"{section['engine_images_per_second']:.1f}"


def _mark(section: dict[str, Any]) -> str:
    """What a reader must know of a figure: a 99th percentile needs a hundred calls."""
    told = [] if section["stable"] else ["unstable"]
    if "p99_ms" in section and section["calls"] < _ENOUGH:
        told.append(f"{section['calls']} calls")
    return f" ({', '.join(told)})" if told else ""


def _whole(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def _table(titles: list[str], rows: list[tuple[str, list[str]]]) -> Table:
    made = table("")
    for name in titles:
        made.add_column(text(name), overflow="fold", justify="right")
    for label, cells in rows:
        made.add_row(text(label), *map(text, cells))
    return made
