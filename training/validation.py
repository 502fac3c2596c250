"""What the averaged network is worth on a set, and its batch norms' last estimate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid_edge import metrics

from .arithmetic import autocast
from .augment import normalise
from .model import Architecture, Network, build
from .saved import read_checkpoint
from .sets import Batches, PreparedSet

BATCH_SIZE = 64  # little beside what a training step holds, and large enough for a GPU


def averaged(checkpoint: Path, device: torch.device) -> tuple[Network, int]:
    """The averaged network of a run, a soup or a light checkpoint, and the step it stands at.

    Raises:
        SystemExit: there is no such file.
    """
    state = read_checkpoint(checkpoint, device)
    network = build(Architecture.from_json(state["architecture"]))
    network.to(device)
    weights = {name.removeprefix("module."): value for name, value in state["average"].items()}
    del weights["n_averaged"]
    network.load_state_dict(weights)
    return network, int(state["step"])


@torch.inference_mode()
def retrieval(
    network: nn.Module, data: PreparedSet, height: int, width: int, device: torch.device
) -> metrics.Retrieval:
    """Cross-camera retrieval among the people of a set, each picture against all others."""
    found = embeddings(network, data.resized(height, width), device)
    rows = torch.cat(list(found)).cpu().numpy()
    pids, camids = data.pids, data.camids
    return metrics.retrieval(rows @ rows.T, pids, camids, pids, camids)


@torch.inference_mode()
def embeddings(network: nn.Module, images: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Unit-norm embeddings on the device, in parts, of unchanged uint8 (n, h, w, 3)."""
    network.eval()
    for pictures in torch.split(images, BATCH_SIZE):
        x = normalise(pictures.to(device).permute(0, 3, 1, 2).float())
        with autocast(device):
            found = network(x)
        yield functional.normalize(found.float())


@torch.inference_mode()
def settle(
    network: nn.Module,
    data: PreparedSet,
    batches: Batches,
    count: int,
    size: tuple[int, int],
    device: torch.device,
) -> None:
    """Estimate the batch norms anew on unchanged pictures: what the network will be shown."""
    norms = [m for m in network.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    network.train()
    for _ in range(count):
        rows, _views = batches.draw()
        pictures = torch.from_numpy(data.images[rows]).to(device)
        x = shrink(pictures.permute(0, 3, 1, 2).float(), *size)
        with autocast(device):
            network(normalise(x))
    network.eval()


def shrink(pictures: Tensor, height: int, width: int) -> Tensor:
    """The student's size, by the mean over areas as the runtime does it."""
    if pictures.shape[2:] == (height, width):
        return pictures
    return functional.interpolate(pictures, (height, width), mode="area")
