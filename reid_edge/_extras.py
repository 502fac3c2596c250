"""How a message names an extra: in words that are right with and without a checkout."""

from __future__ import annotations


def install(extra: str) -> str:
    """The command that installs an extra, such as `cuda`.

    A checkout's own name is `.`: the package's would be looked for in an index.
    """
    return f"pip install 'reid-edge[{extra}]' (from a checkout: pip install '.[{extra}]')"
