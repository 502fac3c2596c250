"""What the student is asked for: the teacher's embedding, its neighbourhoods, and who it is.

All losses take unit-norm embeddings and give a scalar.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

NAMES = ("embedding", "similarity", "identity", "triplet", "circle")
"""What a recipe's `weights` may hold; what it leaves out has no weight."""

OF_TEACHER = ("embedding", "similarity")
"""Those that compare the student with its teacher."""


def embedding_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine between the student's and the teacher's embedding of the same view."""
    return 1 - (student * teacher).sum(1).mean()


def similarity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the two batch similarity matrices (Tung & Mori, ICCV 2019)."""
    return functional.mse_loss(student @ student.T, teacher @ teacher.T)


def batch_hard_triplet(embeddings: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    """Batch-hard triplet loss (Hermans et al., 2017) on the Euclidean distance."""
    distance = (2 - 2 * embeddings @ embeddings.T).clamp(min=1e-6).sqrt()
    same = labels[:, None] == labels[None]
    farthest = distance.masked_fill(~same, 0).amax(1)
    nearest = distance.masked_fill(same, 4).amin(1)
    return functional.relu(farthest - nearest + margin).mean()


def circle(embeddings: Tensor, labels: Tensor, margin: float = 0.25, scale: float = 64.0) -> Tensor:
    """Circle loss (Sun et al., CVPR 2020, equation 6) on cosines, mean over the batch.

    Each picture against all others; the farther a pair is from where it should be, the harder it
    is pulled together or pushed apart.

    Args:
        embeddings: float (n, d), of unit norm.
        labels: int64 (n,), whose picture each is.
        margin: m of the paper: cosines of one person are wanted above 1 - m, others' below m.
        scale: gamma of the paper; the loss is of its order.

    Returns:
        A scalar, 0 or more.
    """
    cosines = embeddings @ embeddings.T
    same = labels[:, None] == labels[None]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    pull = (1 + margin - cosines.detach()).clamp(min=0)
    push = (cosines.detach() + margin).clamp(min=0)
    positive = (-scale * pull * (cosines - (1 - margin))).masked_fill(~same | itself, -1e4)
    negative = (scale * push * (cosines - margin)).masked_fill(same, -1e4)
    return functional.softplus(positive.logsumexp(1) + negative.logsumexp(1)).mean()


class CosineClassifier(nn.Module):
    """Identity cross-entropy on scaled cosines (NormFace, Wang et al., 2017)."""

    def __init__(self, features: int, classes: int, scale: float = 20.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features) * features**-0.5)
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Label-smoothed cross-entropy of unit-norm embeddings, and the share of right answers."""
        cosines = embeddings @ functional.normalize(self.weight).T
        loss = functional.cross_entropy(self.scale * cosines, labels, label_smoothing=0.1)
        return loss, (cosines.detach().argmax(1) == labels).float().mean()


class TeacherHeads(nn.Module):
    """From the student's space into each teacher's, in training only.

    A student of another width than its teachers' cannot meet their embeddings themselves.
    """

    def __init__(self, features: int, teachers: int, size: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(features, size, bias=False) for _ in range(teachers))

    def forward(self, embeddings: Tensor) -> Tensor:
        """(n, features) to unit-norm (n, teachers * size), as `teacher.together` gives them."""
        parts = [functional.normalize(head(embeddings)) for head in self.heads]
        return torch.cat(parts, 1) / math.sqrt(len(parts))


def teacher_heads(features: int, teachers: int, size: int) -> nn.Module:
    """Heads if they are needed, else nothing in their place."""
    if features == teachers * size:
        return nn.Identity()
    return TeacherHeads(features, teachers, size)
