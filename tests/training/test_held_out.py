from pathlib import Path

import pytest

from reid_edge.datasets import Sample
from training import held_out


@pytest.mark.parametrize("source", ["market1501", "synthetic"])
def test_one_hundred_people_are_held_out(source):
    assert len(held_out.held_out_pids(source)) == 100


def test_the_split_shares_no_person_and_loses_no_picture():
    samples = [
        Sample(Path(f"{pid}_{camid}"), pid, camid) for pid in range(1501) for camid in (1, 2)
    ]
    train, kept = held_out.split(samples)
    assert {s.pid for s in train}.isdisjoint({s.pid for s in kept})
    assert sorted(train + kept, key=str) == sorted(samples, key=str)
    assert len(kept) == 200
