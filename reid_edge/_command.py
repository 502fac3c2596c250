"""How every command of the project ends: one line that says what to do, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ._text import visible
from .errors import OptionError, ReidEdgeError


def finish(run: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Run a command.

    Args:
        run: does the work and gives the exit code.
        interrupted: what to say after Ctrl-C.

    Returns:
        Its exit code; 1 after an error, 2 after wrong usage (options that do not exist here
        included), 130 after Ctrl-C.
    """
    try:
        code = run()
        sys.stdout.flush()
    except ReidEdgeError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
