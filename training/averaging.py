"""The exponential average of a network's weights, all at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averaging:
    """Keeps `average` an exponential average of `network`, batch norms' statistics included.

    As `AveragedModel.update_parameters`, but for the norms' counters of batches, which nobody
    reads and which it would average one by one.
    """

    def __init__(self, average: AveragedModel, network: nn.Module) -> None:
        self._count = average.n_averaged
        self._averaged, self._current = _floats(average.module), _floats(network)

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Take the network's present state in; the first time it is the average."""
        start = int(self._count) == 0  # on the CPU, wherever the network is
        update = get_ema_multi_avg_fn(0.0 if start else decay)  # type: ignore[no-untyped-call]
        update(self._averaged, self._current, None)
        self._count += 1


def _floats(network: nn.Module) -> list[Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
