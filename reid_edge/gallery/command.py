"""`python -m reid_edge gallery`: who is enrolled, and what is done with them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import bundle as bundles
from .._command import Parser, counted, output, share
from .._files import write_whole
from .._show import about
from .._unreadable import embed_all
from ..errors import GalleryFileError, GalleryModelError, GalleryWriteError, OptionError
from ..image_files import read_image
from ..reid import ReId
from .gallery import Gallery
from .results import Enrolled, Identification

_TOP, _FPIR = 5, 0.01  # where --top and --fpir are not given
# Which options say more about which action; anywhere else they would be ignored.
_GOES_WITH = {
    "camera": "add",
    "thumbnails": "add",
    "top": "identify",
    "fpir": "identify",
}

ABOUT = "Keep people under names in a file, and say who a picture shows, or that it is a stranger."


@dataclass(frozen=True)
class Answer:
    """What a command found: for programs, and as a table for people."""

    record: dict[str, Any]
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


# argparse's own has FILE at its end, where --add and --identify would take it for a picture.
_USAGE = """%(prog)s [-h] FILE [option ...]
       %(prog)s FILE --add NAME PICTURE ... [--camera CAMERA] [--thumbnails]
       %(prog)s FILE --identify PICTURE ... [--top N] [--fpir SHARE]
       %(prog)s FILE --remove NAME | --rename OLD NEW | --merge INTO OTHER
       %(prog)s FILE --export OUT | --html OUT"""


def add_arguments(parser: Parser) -> None:
    """The options of the command, beside those of every command."""
    parser.usage = _USAGE
    parser.advice["the following arguments are required: FILE"] = (
        "the gallery's FILE goes first: behind --add and --identify it is taken for a picture"
    )
    parser.add_argument("gallery", metavar="FILE", help="the gallery, given first; --add makes it")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--add", nargs="+", metavar=("NAME", "PICTURE"), action=_Add, help="enrol pictures of NAME"
    )
    action.add_argument("--identify", nargs="+", metavar="PICTURE", help="say who is shown")
    action.add_argument("--remove", metavar="NAME", help="forget NAME")
    action.add_argument("--rename", nargs=2, metavar=("OLD", "NEW"), help="call OLD NEW")
    action.add_argument(
        "--merge", nargs=2, metavar=("INTO", "OTHER"), help="take OTHER for INTO: they are one"
    )
    action.add_argument("--export", metavar="OUT", help="write OUT.npz or OUT.json: data only")
    action.add_argument(
        "--html",
        type=output,
        metavar="OUT",
        help="write a page: who is enrolled, likely duplicates first",
    )
    parser.add_argument("--camera", help="with --add: the camera that took the pictures")
    parser.add_argument(
        "--thumbnails", action="store_true", help="with --add: keep small copies, for --html"
    )
    parser.add_argument(
        "--top", type=int, metavar="N", help=f"with --identify: candidates ({_TOP})"
    )
    parser.add_argument(
        "--fpir",
        type=share,
        metavar="SHARE",
        help=f"with --identify: the share of strangers that may be called known ({_FPIR})",
    )


def run(arguments: argparse.Namespace, start: Callable[[], ReId]) -> Answer:
    """Do what was asked for.

    Args:
        arguments: of `add_arguments`, and `model`.
        start: starts the model; called only where pictures are embedded.

    Raises:
        OptionError: options that do not go together.
        GalleryError, InputError: what was asked for cannot be done.
    """
    _check_options(arguments)
    path = Path(arguments.gallery)
    if not arguments.add:
        check_exists(path)
    if arguments.add:
        return _add(path, start, arguments)
    if arguments.identify:
        with start() as reid, Gallery(path, reid) as gallery:
            return _identify(gallery, reid, arguments)
    with _opened(path, arguments.model) as gallery:
        return _without_pictures(gallery, arguments)


def _opened(path: Path, model: str | None) -> Gallery:
    """A gallery that nothing is embedded for: where no model is named, that of any in the box."""
    if model is not None:
        return Gallery(path, model)
    try:  # any of them, for the default one may have been left out; the error says which is right
        return Gallery(path, next(iter(bundles.shipped()), None))
    except GalleryModelError as error:
        if error.shipped is None:
            raise
        return Gallery(path, error.shipped)


def check_exists(path: Path) -> None:
    """Refuse a gallery that is not there, or empty: opening it would make one that knows nobody.

    Raises:
        GalleryFileError: there is no such file; it says how to make one.
    """
    # Without errors of their own: opening tells what is wrong with the path.
    if not os.path.exists(path) or (os.path.isfile(path) and not os.path.getsize(path)):
        raise GalleryFileError(
            f"{path}: there is no such gallery; make one first: "
            "python -m reid_edge gallery FILE --add NAME PICTURE ..."
        )


def _check_options(arguments: argparse.Namespace) -> None:
    for name, action in _GOES_WITH.items():
        given = getattr(arguments, name) not in (None, False)
        if given and not getattr(arguments, action):
            raise OptionError(f"--{name} goes with --{action}; give both, or leave it out")


def _add(path: Path, start: Callable[[], ReId], arguments: argparse.Namespace) -> Answer:
    """Enrol someone.

    A gallery that is there is opened before a picture is read: it may be another model's.  One
    that is not is made when all pictures are embedded: making it binds it to the model, and it
    could not be deleted again, for another process may have begun to use it.
    """
    from . import inputs, space
    from .connection import is_new

    name, *files = arguments.add
    inputs.name(name)
    inputs.cameras(arguments.camera, 1)
    with start() as reid, ExitStack() as stack:
        gallery = None
        if is_new(path):
            space.head(reid.bundle)  # as opening would say
        else:
            gallery = stack.enter_context(Gallery(path, reid))
        rows = embed_all(reid, files)
        # Decoded a second time, one by one, so that memory stays bounded.
        small = [
            inputs.thumbnails(read_image(file), 1)[0] if arguments.thumbnails else None
            for file in files
        ]
        if gallery is None:
            gallery = stack.enter_context(Gallery(path, reid))
        ids = gallery._keep(name, rows, arguments.camera, None, small)
    return Answer(
        {"gallery": arguments.gallery, "identity": name, "pictures": ids},
        f"{name}: {counted(len(ids), 'picture', 'pictures')} enrolled",
    )


def _identify(gallery: Gallery, reid: ReId, arguments: argparse.Namespace) -> Answer:
    top = _TOP if arguments.top is None else arguments.top
    fpir = _FPIR if arguments.fpir is None else arguments.fpir
    found = gallery.identify(embed_all(reid, arguments.identify), top, fpir)
    record = {
        **about(reid.info()),
        "gallery": arguments.gallery,
        "fpir": fpir,
        "threshold": found[0].threshold,
        "results": [
            {"picture": file, **_record(one)}
            for file, one in zip(arguments.identify, found, strict=True)
        ],
    }
    rows = tuple(
        (
            file,
            one.identity or "unknown",
            ", ".join(f"{c.identity} {c.score:.5f}" for c in one.candidates),
        )
        for file, one in zip(arguments.identify, found, strict=True)
    )
    title = (
        f"known over {found[0].threshold:.5f}, meant so that about {100 * fpir:g} % of strangers "
        "are taken for someone enrolled"
    )
    return Answer(record, title, ("picture", "identity", "candidates"), rows)


def _record(one: Identification) -> dict[str, Any]:
    return {
        "known": one.known,
        "identity": one.identity,
        "candidates": [vars(candidate) for candidate in one.candidates],
    }


def _without_pictures(gallery: Gallery, arguments: argparse.Namespace) -> Answer:
    if arguments.remove is not None:
        count = gallery.remove(arguments.remove)
        return _done(
            arguments, f"{arguments.remove}: {counted(count, 'picture', 'pictures')} removed"
        )
    if arguments.rename:
        gallery.rename(*arguments.rename)
        return _done(arguments, f"{arguments.rename[0]} is now {arguments.rename[1]}")
    if arguments.merge:
        count = gallery.merge(*arguments.merge)
        return _done(
            arguments, f"{arguments.merge[0]}: {counted(count, 'picture', 'pictures')} taken over"
        )
    if arguments.export is not None:
        gallery.export(arguments.export)
        return _done(arguments, f"wrote {arguments.export}")
    if arguments.html is not None:
        _write_page(gallery, gallery._not_itself(arguments.html))
        bare = "" if gallery.thumbnails() else "; without pictures: enrol with --thumbnails"
        return _done(arguments, f"wrote {arguments.html}{bare}")
    return _list(gallery, arguments)


def _list(gallery: Gallery, arguments: argparse.Namespace) -> Answer:
    enrolled = gallery.enrolled()
    info = gallery.info()
    record = {**info, "path": arguments.gallery, "enrolled": [vars(one) for one in enrolled]}
    if not enrolled:
        return Answer(record, f"nobody is enrolled; model {info['model']}")
    pictures = counted(info["pictures"], "picture", "pictures")
    title = f"{info['identities']:,} enrolled with {pictures}, model {info['model']}"
    rows = tuple(
        (one.identity, f"{one.pictures}", ", ".join(one.cameras), period(one)) for one in enrolled
    )
    return Answer(record, title, ("identity", "pictures", "cameras", "seen"), rows)


def period(one: Enrolled) -> str:
    """When someone was seen, in UTC; as numbers what is no time of the Unix epoch."""
    if one.first is None or one.last is None:
        return ""
    first, last = _moment(one.first), _moment(one.last)
    return first if first == last else f"{first} – {last}"


def _moment(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"{time:g}"


def _write_page(gallery: Gallery, out: Path) -> None:
    from .sheet import page

    if out.is_dir():
        raise GalleryWriteError(f"{out}: is a folder; give a file")
    try:
        write_whole(out, page(gallery).encode(), 0o600)
    except OSError as error:
        raise GalleryWriteError(
            f"{out}: cannot be written ({error.strerror}); give a path in a folder that exists"
        ) from error


def _done(arguments: argparse.Namespace, told: str) -> Answer:
    return Answer({"gallery": arguments.gallery, "done": told}, told)


class _Add(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        if len(values) < 2:
            parser.error("--add: give a name, and one picture or more")
        setattr(namespace, self.dest, values)
