import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from reid_edge.backends import _processor
from training.arithmetic import autocast


@pytest.mark.parametrize("able", [True, False])
def test_a_cpu_computes_in_bf16_only_if_it_has_it(monkeypatch, able):
    monkeypatch.setattr(_processor, "has_bf16", lambda: able)
    ones = torch.ones(2, 2)
    with autocast(torch.device("cpu")):
        product = ones @ ones
    assert product.dtype == (torch.bfloat16 if able else torch.float32)
