"""How the commands begin, and how each ends: one line that says what to do, and an exit code."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ._text import visible
from .errors import OptionError, ReidEdgeError, UnknownModelError, UnsuitableModelError

# Input as pictures and datasets are, not usage: a model's folder is missing or damaged, and a
# script cannot care which.
_INPUT = (UnknownModelError, UnsuitableModelError)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_KEYWORD = re.compile(r"\b(backend|device|precision)='(\w+)'")
_MAX_BATCH = re.compile(r"^max_batch=(\S+): ")
_ARGUMENT = re.compile(r"^(fpir|top): (\S+); pass ")
_MODEL = re.compile(r"\bpass model='([\w.-]+)'")
_COMMAND = "python -m reid_edge gallery FILE"
_PHRASES = {
    "allow_unverified=True (--allow-unverified)": "--allow-unverified",
    "allow_unverified=True": "--allow-unverified",
    "identities() lists who is": f"{_COMMAND} lists who is",
    "add() someone first": f"enrol someone first: {_COMMAND} --add NAME PICTURE ...",
    "pass that bundle as model": "give that bundle as --model",
}


def prepare() -> None:
    """What every command does before its work, so that nothing but its own lines is printed."""
    # OpenCV reports damaged pictures on standard error by itself, beside our one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # escapes for what its encoding lacks
            stream.reconfigure(errors="backslashreplace")


def finish(run: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Run a command.

    Args:
        run: does the work and gives the exit code.
        interrupted: what to say after Ctrl-C.

    Returns:
        Its exit code; 2 after wrong usage, which is an option or a value that does not exist here
        or that does not go with another; 1 after every other error, as of pictures, datasets and
        models; 130 after Ctrl-C.
    """
    try:
        code = run()
        sys.stdout.flush()
    except ReidEdgeError as error:
        print(f"error: {visible(in_options(str(error)))}", file=sys.stderr)
        return 2 if isinstance(error, OptionError) and not isinstance(error, _INPUT) else 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _discard_output()
        return 1
    except OSError as error:  # what goes into files has errors of its own
        if error.errno not in _FULL or error.filename is not None:
            raise
        _discard_output()
        print(
            f"error: the output cannot be written ({error.strerror}); make room, or send it "
            "elsewhere",
            file=sys.stderr,
        )
        return 1
    return code


def _discard_output() -> None:
    """What is left in the buffer: Python would try to write it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Parser(argparse.ArgumentParser):
    """Takes no option by half of its name, which may be that of another one in later versions.

    Attributes:
        advice: what to say instead of a message of argparse's own.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.advice: dict[str, str] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, which leaves it to the program to refuse what a command does not know."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line, and exit with 2."""
        super().error(self.advice.get(message, message))


def output(text: str) -> Path:
    """A type of argparse: a file to write.

    Raises:
        ArgumentTypeError: -, which elsewhere means standard output.
    """
    if text == "-":
        raise argparse.ArgumentTypeError("- is no file: give a file's name")
    return Path(text)


def share(text: str) -> float:
    """A type of argparse: a share as a number; its range is for whoever takes it.

    Raises:
        ArgumentTypeError: no number, such as 1%.
    """
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number; give a share such as 0.01, which is 1 %"
        ) from None


def counted(count: int, one: str, several: str) -> str:
    """A number with its noun: 1 box, 2 boxes."""
    return f"{count:,} {one if count == 1 else several}"


def in_options(message: str) -> str:
    """A message of the library, with the options of a command where it names those of `ReId`."""
    message = _KEYWORD.sub(r"--\1 \2", message)
    message = _MAX_BATCH.sub(r"--max-batch \1: ", message)
    message = _MODEL.sub(r"add --model \1", message)
    message = _ARGUMENT.sub(r"--\1 \2: give ", message)
    for said, meant in _PHRASES.items():
        message = message.replace(said, meant)
    return message
