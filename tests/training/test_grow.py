from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training.grow import can_grow, grow
from training.model import Architecture, build

SMALL = Architecture(8, (4, 4, 8), (1, 2, 1), 2, 32)


def trained_like(architecture):
    """A network whose batch norms have statistics and parameters of their own."""
    torch.manual_seed(1)
    network = build(architecture)
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(std=0.2)
        elif name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(
    "sizes",
    [
        {"growth": (8, 6, 12)},
        {"stem": 12},
        {"bottleneck": 3},
        {"layers": (2, 3, 4)},
        {"stem": 12, "growth": (5, 6, 9), "layers": (2, 2, 3), "bottleneck": 4},
    ],
)
def test_a_grown_network_computes_the_same_and_learns_with_all_channels(sizes):
    large = replace(SMALL, **sizes)
    before, after = trained_like(SMALL), build(large)
    assert can_grow(SMALL, large)
    grow(after, SMALL, before.state_dict())
    x = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(after.eval()(x), before(x), rtol=1e-4, atol=1e-5)
    # The first channel is an old one, so it reads new ones with zeros.
    fresh = {
        name: value[0].flatten(1).abs().sum(1) == 0 if value.ndim == 4 else value[0] == 0
        for name, value in after.named_parameters()
        if value.ndim > 1
    }
    # Zeros that are read get a gradient from channels that make something; after the first step
    # those channels get one as well.  A few may be dead behind their ReLU.
    optimiser = torch.optim.SGD(after.parameters(), 0.1)
    after.train()
    for _ in range(2):
        optimiser.zero_grad()
        after(x).square().sum().backward()
        optimiser.step()
    for name, value in after.named_parameters():
        if value.ndim > 1:
            learning = value.grad.flatten(1).abs().sum(1).gt(0)
            shared = before.state_dict().get(name, value[:0])
            assert learning.float().mean() > 0.7, name
            assert len(shared) == len(value) or learning[len(shared) :].any(), name
            inputs = value.grad.transpose(0, 1).flatten(1).abs().sum(1).gt(0)
            assert inputs.float().mean() > 0.7, name
            assert not fresh[name].any() or inputs[fresh[name]].any(), name


def test_sizes_that_cannot_grow_are_refused():
    smaller = replace(SMALL, stem=4)
    with pytest.raises(ValueError, match="cannot grow"):
        grow(build(smaller), SMALL, build(SMALL).state_dict())


def test_a_network_may_grow_into_its_own_sizes():
    assert can_grow(SMALL, SMALL)


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL, stem=4),
        replace(SMALL, growth=(4, 4, 4)),
        replace(SMALL, growth=(4, 4, 8, 8), layers=(1, 2, 1, 1)),
        replace(SMALL, layers=(1, 1, 1)),
        replace(SMALL, layers=(1, 2, 1, 1)),
        replace(SMALL, bottleneck=1),
        replace(SMALL, embedding=64),
        replace(SMALL, network="densenet"),
    ],
)
def test_what_cannot_grow(other):
    assert not can_grow(SMALL, other)
