"""What the tests of precisions ask for, what bundle.json then says, and how to change it."""

from __future__ import annotations

import hashlib
import json

import onnx

from export import emulation
from export.wish import Wish
from reid_edge.backends import _processor
from reid_edge.backends.openvino import is_right_with_signs


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


def runnable(content):
    """A graph and what to run it with; INT8 is emulated where OpenVINO would be wrong."""
    stored = {each.name: each for each in onnx.load_from_string(content).graph.initializer}
    unsigned = "zero" in stored and stored["zero"].data_type == onnx.TensorProto.UINT8
    plain = _processor.has_fast_int8() or _processor.has_avx2()
    if not (plain if unsigned else is_right_with_signs()):
        content = emulation.emulate(content)
    return content, "f32"


def recorded(folder, content):
    """Make these bytes the FP32 graph of a bundle, as if they had always been."""
    (folder / "fp32.onnx").write_bytes(content)
    fields = described(folder)
    digest = hashlib.sha256(content).hexdigest()
    fields["graphs"]["fp32"].update(sha256=digest, bytes=len(content))
    (folder / "bundle.json").write_text(json.dumps(fields))
    return folder
