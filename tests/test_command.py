from __future__ import annotations

import pytest

from reid_edge._command import in_options


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
    ],
)
def test_advice_is_given_in_the_command_line_s_own_words(message, expected):
    assert in_options(message) == expected
