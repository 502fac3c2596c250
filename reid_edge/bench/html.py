"""The report as one page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from .._text import visible
from .compare import Change
from .galleries import Candidate, Sheet
from .plots import Axis, Series, bars, histogram, lines
from .stages import GPU_STAGES, STAGES
from .table import accuracy_rows, machine_line, measures_speed, speed_rows

Runs = list[dict[str, Any]]

_STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --paper: #fff; --rule: #d8dee4; --right: #1a7f37;
  --wrong: #cf222e; --series-0: #0969da; --series-1: #d4690f; --series-2: #1a7f37;
  --series-3: #8250df; --series-4: #bf3989; --series-5: #6e7781; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117;
  --rule: #30363d; --right: #3fb950; --wrong: #f85149; --series-0: #4493f8; --series-1: #f0883e;
  --series-2: #3fb950; --series-3: #ab7df8; --series-4: #db61a2; --series-5: #9198a1; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.about { color: var(--soft); margin: .2rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
  gap: 1.5rem; margin-top: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; }
.keys { list-style: none; margin: .2rem 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .2rem 1rem; font-size: .85rem; }
.keys i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
.guide { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; }
.warning { border-left: 4px solid var(--series-1); padding: .2rem .8rem; margin: .4rem 0; }
.better, .right { color: var(--right); } .worse, .wrong { color: var(--wrong); }
.sheet { display: flex; gap: .5rem; overflow-x: auto; padding: .5rem 0; }
.sheet div { font-size: .75rem; text-align: center; white-space: nowrap; }
.sheet img { height: 128px; border: 4px solid var(--soft); display: block; margin: 0 auto .2rem; }
.sheet .right img { border-color: var(--right); } .sheet .wrong img { border-color: var(--wrong); }
"""


def page(
    report: dict[str, Any],
    sheets: Sequence[Sheet] = (),
    changes: Sequence[Change] = (),
    doubts: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        report: as docs/bench.md describes it.
        sheets: ranked galleries; the page then holds their pictures.
        changes, doubts: what `compare` found.
    """
    model, runs = report["model"], report["runs"]
    title = f"reid_edge: {model['name']} {model['version']}"
    titles = [_name(run) for run in runs]
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="about">{_text(machine_line(report["machine"]))}</p>',
        f'<p class="about">reid_edge {_text(report["reid_edge"])}, measured '
        f"{_text(report['created'])}; weights: {_text(model['licence'])}</p>",
        *(f'<p class="warning">{_text(text)}</p>' for text in (*report["warnings"], *doubts)),
    ]
    if any(any(cells) for _, cells in speed_rows(runs)):
        parts += [
            f"<h2>{'Speed' if measures_speed(runs) else 'Graphs'}</h2>",
            _table(titles, speed_rows(runs)),
            _plots(runs, _SPEED),
        ]
    if any("accuracy" in run for run in runs):
        data = next(run["accuracy"]["dataset"] for run in runs if "accuracy" in run)
        parts.append(f"<h2>Accuracy on {_text(data)}</h2>")
        parts += [_table(titles, accuracy_rows(runs)), _plots(runs, _ACCURACY)]
    if changes:
        parts += ["<h2>Compared with the earlier report</h2>", _changes(changes)]
    if sheets:
        parts.append("<h2>Ranked galleries</h2>")
        parts.append(
            f'<p class="about">The query, then its first candidates by {_text(titles[-1])}; '
            "green: the same person, red: another one.</p>"
        )
        parts += [_sheet(one) for one in sheets]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Nothing may be fetched, whatever a file name or a dataset's name holds.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _latency(runs: Runs) -> str:
    found = [
        (_name(run), run["single_stream"]["histogram"]["edges_ms"], _counts(run))
        for run in runs
        if "single_stream" in run
    ]
    return histogram("Latency of one pair", "milliseconds", found) if found else ""


def _counts(run: dict[str, Any]) -> list[int]:
    counts: list[int] = run["single_stream"]["histogram"]["counts"]
    return counts


def _throughput(runs: Runs) -> str:
    series = [
        Series(
            _name(run),
            [
                (one["batch"], one["images_per_second"])
                for one in sorted(run["throughput"], key=lambda one: int(one["batch"]))
            ],
        )
        for run in runs
        if run.get("throughput")
    ]
    if not series:
        return ""
    most = max(y for one in series for _, y in one.points)
    last = max(x for one in series for x, _ in one.points)
    x, y = Axis("pictures a call", 0.0, 1.05 * last), Axis("images/s", 0.0, 1.1 * most)
    return lines("Throughput by batch", series, x, y, dots=True)


def _stages(runs: Runs) -> str:
    rows = [
        (run["precision"], [(name, run["stages"]["ms_per_picture"][name]) for name in STAGES])
        for run in runs
        if "stages" in run
    ]
    return bars("From file to score, by stage", "ms a picture", rows) if rows else ""


def _gpu_stages(runs: Runs) -> str:
    told = [(run["precision"], run.get("stages", {}).get("gpu_ms_per_picture")) for run in runs]
    rows = [(name, [(one, found[one]) for one in GPU_STAGES]) for name, found in told if found]
    return bars("On the GPU, one batch by itself", "ms a picture", rows) if rows else ""


def _curves(runs: Runs, name: str) -> list[tuple[str, Any]]:
    found = [(_name(run), run["accuracy"]["curves"][name]) for run in runs if "accuracy" in run]
    return [(label, curve) for label, curve in found if curve]


def _roc(runs: Runs) -> str:
    series = [
        Series(name, list(zip(curve["far"], curve["tpr"], strict=True)))
        for name, curve in _curves(runs, "roc")
    ]
    x, y = (
        Axis("false accept rate", 1e-4, 1.0, logarithmic=True),
        Axis("true positive rate", 0.0, 1.0),
    )
    return lines("ROC", series, x, y) if series else ""


def _cmc(runs: Runs) -> str:
    series = [Series(name, list(enumerate(curve[:20], 1))) for name, curve in _curves(runs, "cmc")]
    if not series:
        return ""
    lowest = min(y for one in series for _, y in one.points)
    low = max(0.0, math.floor(10 * lowest - 1) / 10)
    x, y = Axis("rank", 1.0, 20.0), Axis("share of queries found", low, 1.0)
    return lines("CMC", series, x, y, dots=True)


def _calibration(runs: Runs) -> str:
    series = [
        Series(name, list(zip(curve["confidence"], curve["share"], strict=True)))
        for name, curve in _curves(runs, "calibration")
    ]
    x, y = Axis("score", 0.0, 1.0), Axis("share of one person", 0.0, 1.0)
    return lines("Calibration", series, x, y, dots=True, diagonal=True) if series else ""


_SPEED: tuple[Callable[[Runs], str], ...] = (_latency, _throughput, _stages, _gpu_stages)
_ACCURACY: tuple[Callable[[Runs], str], ...] = (_roc, _cmc, _calibration)


def _plots(runs: Runs, plots: Sequence[Callable[[Runs], str]]) -> str:
    return f'<div class="plots">{"".join(plot(runs) for plot in plots)}</div>'


def _table(titles: list[str], rows: list[tuple[str, list[str]]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in titles)
    body = "".join(
        f"<tr><td>{_text(label)}</td>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
        for label, cells in rows
    )
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _changes(changes: Sequence[Change]) -> str:
    rows = "".join(
        f"<tr><td>{_text(one.run)}: {_text(one.figure)}</td><td>{one.old:.4g}</td>"
        f"<td>{one.new:.4g}</td><td>{one.ratio}</td>"
        f'<td class="{one.verdict}">{one.told}</td></tr>'
        for one in changes
    )
    head = "<tr><th></th><th>then</th><th>now</th><th>ratio</th><th>change</th></tr>"
    return f'<div class="scroll"><table>{head}{rows}</table></div>'


def _sheet(one: Sheet) -> str:
    return f'<div class="sheet">{"".join(map(_candidate, [one.query, *one.ranked]))}</div>'


def _candidate(one: Candidate) -> str:
    kind = "query" if one.right is None else "right" if one.right else "wrong"
    score = "query" if one.score is None else f"{one.score:.3f}"
    return (
        f'<div class="{kind}"><img src="{one.image}" alt="{kind}">'
        f"{score}<br>{_text(one.title)}</div>"
    )


def _name(run: dict[str, Any]) -> str:
    return f"{run['backend']} {run['precision']}"


def _text(text: str) -> str:
    """Text from outside: neither mark-up, nor what no UTF-8 file can hold, nor invisible."""
    return escape(visible(text))
