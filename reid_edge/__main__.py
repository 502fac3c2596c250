"""`python -m reid_edge`, and the script reid-edge."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one command and give its exit code; Ctrl-C is heard while the rest is imported, too."""
    try:
        from .cli import main as command

        return command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
