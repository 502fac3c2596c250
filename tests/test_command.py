from __future__ import annotations

import pytest

from reid_edge._command import in_options

GALLERY = "python -m reid_edge gallery FILE"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("use precision='fp32' here", "use --precision fp32 here"),
        (
            "use backend='tensorrt', or precision='fp16'",
            "use --backend tensorrt, or --precision fp16",
        ),
        ("pass device='cpu'", "pass --device cpu"),
        ("run it with allow_unverified=True", "run it with --allow-unverified"),
        ("allow_unverified=True (--allow-unverified)", "--allow-unverified"),
        ("no precision 'fp65': give auto", "no precision 'fp65': give auto"),
        ("model='x'", "model='x'"),
        ("max_batch=0: give a whole number", "--max-batch 0: give a whole number"),
        ("of edge; pass model='edge-free', or", "of edge; add --model edge-free, or"),
        ("fpir: 3.0; pass a number in 0...1", "--fpir 3.0: give a number in 0...1"),
        ("top: cannot be read; check the path", "top: cannot be read; check the path"),
        (
            "nobody; add() someone first",
            f"nobody; enrol someone first: {GALLERY} --add NAME PICTURE ...",
        ),
        ("identities() lists who is", f"{GALLERY} lists who is"),
    ],
)
def test_advice_is_given_in_the_command_line_s_own_words(message, expected):
    assert in_options(message) == expected
