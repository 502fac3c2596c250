"""The contact sheet: who is enrolled, as one page that needs nothing else.

People who may be enrolled twice come first.  Names and cameras are strangers' text: all is escaped,
and the page's policy forbids scripts and the network.
"""

from __future__ import annotations

import base64
from html import escape

import numpy as np
from numpy.typing import NDArray

from .._command import counted
from ..errors import OptionError
from .command import period
from .gallery import Gallery
from .results import Enrolled

_PAIRS = 50  # most alike pairs that are shown
_CARDS = 2000  # identities that are shown
_FPIR = 0.01

_STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --paper: #fff; --rule: #d8dee4; --bar: #0969da;
  --alarm: #cf222e; --blank: #eaeef2; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117;
  --rule: #30363d; --bar: #4493f8; --alarm: #f85149; --blank: #21262d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.about { color: var(--soft); margin: .2rem 0; max-width: 60rem; }
ol, ul { list-style: none; padding: 0; }
.pairs li { display: flex; align-items: center; gap: .8rem; padding: .35rem 0;
  border-bottom: 1px solid var(--rule); }
.pairs b { flex: 1 1 0; min-width: 0; overflow-wrap: anywhere; font-weight: 600; }
.pairs .score { font-variant-numeric: tabular-nums; width: 4.5rem; text-align: right; }
.pairs .verdict { width: 8rem; color: var(--soft); } .alarm .verdict { color: var(--alarm); }
.bar { width: 10rem; height: .5rem; background: var(--blank); } .bar i { display: block;
  height: 100%; background: var(--bar); } .alarm .bar i { background: var(--alarm); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; }
.cards li { display: flex; gap: .8rem; border: 1px solid var(--rule); border-radius: .4rem;
  padding: .6rem; font-size: .85rem; overflow-wrap: anywhere; }
.cards b { font-size: 1rem; } .cards div { min-width: 0; }
.face { width: 48px; height: 96px; flex: none; background: var(--blank); border-radius: .2rem; }
.pairs .face { width: 24px; height: 48px; }
.face.none { background: none; color: var(--soft); font-size: .7rem; line-height: 1.2; }
@media (max-width: 40rem) { .bar { display: none; } .pairs .verdict { width: auto; } }
"""


def page(gallery: Gallery) -> str:
    """The whole page; it holds the thumbnails that the gallery keeps."""
    info, enrolled = gallery.info(), gallery.enrolled()
    nearest = {one: (other, score) for one, other, score in gallery.neighbours()}
    pairs = _pairs(nearest)
    shown = sorted(enrolled, key=lambda one: -nearest.get(one.identity, ("", -1.0))[1])[:_CARDS]
    # Of a large gallery no more than what is shown.
    names = {name for pair in pairs for name in pair} | {one.identity for one in shown}
    faces = {name: _image(pixels) for name, pixels in gallery.thumbnails(names).items()}
    title = f"Gallery: {counted(info['identities'], 'person', 'people')}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="about">{escape(str(info["path"] or "in memory"))}; '
        f"{counted(info['pictures'], 'picture', 'pictures')}; model {escape(info['model'])}, "
        f"embeddings {info['fingerprint'][:12]}</p>",
    ]
    if pairs:
        parts += _nearest(gallery, pairs, faces)
    parts.append("<h2>Everyone</h2>" if shown else '<p class="about">Nobody is enrolled.</p>')
    if len(shown) < len(enrolled):
        parts.append(
            f'<p class="about">{len(shown):,} of {len(enrolled):,}, the most alike first.</p>'
        )
    cards = "".join(_card(one, nearest.get(one.identity), faces) for one in shown)
    if cards:
        parts.append(f'<ul class="cards">{cards}</ul>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _pairs(nearest: dict[str, tuple[str, float]]) -> dict[tuple[str, str], float]:
    """The most alike pairs that are shown, with their scores: each once."""
    found: dict[tuple[str, str], float] = {}
    for one, (other, score) in nearest.items():
        if (other, one) not in found:  # each may be the other's nearest
            found[one, other] = score
        if len(found) == _PAIRS:
            break
    return found


def _nearest(
    gallery: Gallery, pairs: dict[tuple[str, str], float], faces: dict[str, str]
) -> list[str]:
    try:
        alarming = gallery.threshold(_FPIR)
    except OptionError:  # a model without false accept rates, and few people
        alarming = 1.0
    rows = []
    for (one, other), score in pairs.items():
        alarm = score > alarming
        rows.append(
            f'<li class="{"alarm" if alarm else "calm"}">{_face(one, faces)}<b>{escape(one)}</b>'
            f"{_face(other, faces)}<b>{escape(other)}</b>"
            f'<span class="bar"><i style="width:{100 * score:.1f}%"></i></span>'
            f'<span class="score">{score:.5f}</span>'
            f'<span class="verdict">{"one person?" if alarm else ""}</span></li>'
        )
    about = (
        '<p class="about">Each identity with the one that is most like it, by their most similar '
        "pictures. "
    )
    if alarming < 1:
        about += (
            f"Over {alarming:.5f}, which about {100 * _FPIR:g} % of strangers are meant to exceed, "
            "two may be one person under two names: merge them."
        )
    return ["<h2>Nearest pairs</h2>", about + "</p>", f'<ol class="pairs">{"".join(rows)}</ol>']


def _card(one: Enrolled, nearest: tuple[str, float] | None, faces: dict[str, str]) -> str:
    lines = [
        f"<b>{escape(one.identity)}</b>",
        counted(one.pictures, "picture", "pictures"),
        f"{'camera' if len(one.cameras) == 1 else 'cameras'} {escape(', '.join(one.cameras))}"
        if one.cameras
        else "no camera named",
    ]
    if period(one):
        lines.append(escape(period(one)))
    if nearest:
        lines.append(f"nearest: {escape(nearest[0])}, {nearest[1]:.5f}")
    return (
        f"<li>{_face(one.identity, faces, 'no picture kept')}<div>{'<br>'.join(lines)}</div></li>"
    )


def _face(name: str, faces: dict[str, str], absent: str = "") -> str:
    if name not in faces:  # its place is kept where others have one, so that all are in line
        return f'<span class="face none">{absent}</span>' if faces else ""
    return f'<img class="face" src="{faces[name]}" alt="{escape(name)}">'


def _image(pixels: NDArray[np.uint8]) -> str:
    import cv2

    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
