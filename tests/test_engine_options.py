from __future__ import annotations

import pytest

from reid_edge import errors
from reid_edge.engine_options import BuildOptions, Profile


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, (Profile(1, 1, 1),)),
        (2, (Profile(1, 2, 2),)),
        (8, (Profile(1, 2, 8),)),
        (9, (Profile(1, 2, 8), Profile(8, 9, 9))),
        (64, (Profile(1, 2, 8), Profile(8, 64, 64))),
    ],
)
def test_the_profiles_serve_every_batch_size(most, expected):
    assert BuildOptions(max_batch=most).profiles() == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_batch": 0},
        {"max_batch": 1025},
        {"max_batch": 2.0},
        {"max_batch": True},
        {"max_batch": "8"},
        {"workspace": 10},
        {"level": 6},
        {"level": -1},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(errors.OptionError, match=next(iter(wrong))):
        BuildOptions(**wrong)
