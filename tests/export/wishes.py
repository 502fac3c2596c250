"""What the tests of precisions ask for, and what bundle.json then says."""

from __future__ import annotations

import json

from export.precisions import Wish


def wish(crops, **changes):
    return Wish(
        **{
            "precisions": ("fp16", "int8"),
            "calibration": f"folder:{crops}",
            "calibration_size": 16,
            **changes,
        }
    )


def described(folder):
    return json.loads((folder / "bundle.json").read_text())
