"""Messages that name an extra are right in a checkout, too, and name one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import reid_edge
from reid_edge._extras import install

ROOT = Path(reid_edge.__file__).parent.parent


def test_an_extra_is_named_for_a_checkout_and_for_the_package():
    assert install("rtx") == "pip install 'reid-edge[rtx]' (from a checkout: pip install '.[rtx]')"


def test_every_extra_that_is_named_exists_and_is_named_in_one_way():
    extras = re.search(
        r"\[project\.optional-dependencies\](.*?)\n\[", (ROOT / "pyproject.toml").read_text(), re.S
    )[1]
    known = set(re.findall(r"^([a-z-]+) = \[", extras, re.M))
    named = set()
    for folder in ("reid_edge", "export", "benchmarks", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert path.name == "_extras.py" or "'reid-edge[" not in text, path
            named |= set(re.findall(r"""\binstall(?:_extra)?\(["']([a-z-]+)["']\)""", text))
            for several in re.findall(r"'\.\[([a-z,-]+)\]'", text):
                named |= set(several.split(","))
    assert {"cuda", "tensorrt", "rtx", "export", "train"} <= named
    assert named <= known
