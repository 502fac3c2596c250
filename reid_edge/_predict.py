"""`python -m reid_edge predict`: pictures compared with the first one."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping

from ._show import about, model_line, print_json, print_table, say, table, text
from ._unreadable import embed_all
from .bundle import Threshold
from .errors import OptionError
from .reid import ReId


def run(arguments: argparse.Namespace, start: Callable[[], ReId]) -> int:
    """Run the command.

    Args:
        arguments: `pictures`, `threshold` and `json`.
        start: starts the model.

    Returns:
        The exit code, 0.

    Raises:
        InputError: pictures that cannot be scored; several are named at once.
        OptionError: a threshold that is none.
    """
    first, others = arguments.pictures[0], arguments.pictures[1:]
    with start() as reid:
        info = reid.info()
        threshold = _threshold(arguments.threshold, info["thresholds"])
        embeddings = embed_all(reid, arguments.pictures)
        scores = reid.score(embeddings[:1], embeddings[1:])
    rows = [
        {"picture": path, "score": round(float(score), 6), "same": bool(score > threshold)}
        for path, score in zip(others, scores, strict=True)
    ]
    if arguments.json:
        decided = {"reference": first, "threshold": threshold, "results": rows}
        print_json({**about(info), "thresholds": info["thresholds"], **decided})
        return 0
    shown = table("picture", "score", "verdict")
    for row in rows:
        shown.add_row(
            text(row["picture"]),
            f"{row['score']:.3f}",
            "[green]same person[/]" if row["same"] else "[red]different[/]",
        )
    print_table(shown, f"compared with {first}")
    over = f"; same person over {threshold:.6g}" if arguments.threshold else ""
    say(model_line(info) + over, "dim")
    if arguments.threshold is None and (hint := _stricter(reid.bundle.thresholds)):
        say(hint, "dim")
    return 0


def _stricter(thresholds: Mapping[str, Threshold]) -> str | None:
    """A line, where 0.5 surely takes more than 1 % of pairs of different people for the same."""
    found = thresholds.get("far_1e-2")
    if found is None or found.low <= 0.5:
        return None
    return (
        f"hint: 0.5 is lenient for this model; --threshold far_1e-2 ({found.score:.3f}) is stricter"
    )


def _threshold(given: str | None, named: dict[str, float]) -> float:
    """The score over which pictures show the same person: a number, or one of the model's own.

    Raises:
        OptionError: neither a score in 0...1, 1 exclusive, nor a name that this model has.
    """
    if given is None:
        return 0.5
    if given in named:
        return named[given]
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not 0 <= found < 1:
        names = f", or {', '.join(named)}" if named else "; this model has none of its own"
        raise OptionError(f"--threshold {given}: give a score from 0 to below 1{names}")
    return found
