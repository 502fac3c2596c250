"""What the averaged network is worth on a set, and its batch norms' last estimate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid_edge import metrics

from .arithmetic import autocast
from .augment import normalise
from .sets import Batches, PreparedSet


@torch.inference_mode()
def retrieval(
    network: nn.Module, data: PreparedSet, height: int, width: int, device: torch.device
) -> metrics.Retrieval:
    """Cross-camera retrieval among the people of a set, each picture against all others."""
    network.eval()
    images = data.resized(height, width)
    found = []
    for start in range(0, len(images), 64):
        block = images[start : start + 64].to(device).permute(0, 3, 1, 2).float()
        with autocast(device):
            found.append(network(normalise(block)).float())
    embeddings = functional.normalize(torch.cat(found)).cpu().numpy()
    pids, camids = data.pids, data.camids
    return metrics.retrieval(embeddings @ embeddings.T, pids, camids, pids, camids)


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
