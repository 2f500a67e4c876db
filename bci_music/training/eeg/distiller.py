"""Multi-view self-distillation: a student that sees little of a window learns the scores of a teacher that sees more.

After the description in the seed paper (arXiv 2606.04040) of a DINO-style objective (Caron et al., ICCV 2021).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from bci_music.models import parallel
from bci_music.models.network import AnyEncoder


class PrototypeHead(nn.Module):
    """CLS to scores of the prototypes: three layers, unit length, weight-normed rows of length 1."""

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        self.prototypes = weight_norm(nn.Linear(bottleneck, prototypes, bias=False))
        length = self.prototypes.parametrizations.weight.original0  # type: ignore[union-attr, index]
        length.data.fill_(1.0)
        length.requires_grad_(False)

    def forward(self, cls: Tensor) -> Tensor:
        """Scores (B, prototypes) of CLS features (B, D)."""
        return self.prototypes(functional.normalize(self.layers(cls), dim=1))


class Distiller(nn.Module):
    """Student, teacher and centre.

    Parameters
    ----------
    encoder : ChannelEncoder or LatentQueryEncoder
        The student, which learns in place.
    teacher : ChannelEncoder or LatentQueryEncoder, optional
        Where the teacher starts; a copy of the student by default (the released code starts it at random).
    """

    def __init__(
        self, encoder: AnyEncoder, *, hidden: int, bottleneck: int, prototypes: int, centre_momentum: float,
        teacher: AnyEncoder | None = None,
    ):
        super().__init__()
        self.student = encoder
        self.student_head = PrototypeHead(encoder.config.dim, hidden, bottleneck, prototypes)
        self.teacher = copy.deepcopy(encoder) if teacher is None else teacher
        if teacher is None:
            self.teacher_head = copy.deepcopy(self.student_head)
        else:
            self.teacher_head = PrototypeHead(encoder.config.dim, hidden, bottleneck, prototypes)
        for part in (self.teacher, self.teacher_head):
            part.requires_grad_(False)
        self.centre_momentum = centre_momentum
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(prototypes))

    @property
    def pretrained(self) -> AnyEncoder:
        """The encoder that alignment goes on with."""
        return self.teacher

    @torch.no_grad()
    def teacher_scores(self, views: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], Tensor]:
        """Teacher's scores of each view (x, keep), and its CLS features of the first view."""
        self.teacher.eval()
        features = [self.teacher(x, keep=keep).cls for x, keep in views]
        return [self.teacher_head(f).float() for f in features], features[0].float()

    def student_scores(self, views: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Student's scores of each view (x, keep)."""
        return [self.student_head(self.student(x, keep=keep).cls).float() for x, keep in views]

    def loss(
        self, from_teacher: list[Tensor], from_student: list[Tensor], teacher_temp: float, student_temp: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy over all pairs of a teacher's and a student's view, and what tells whether it collapses."""
        targets = [functional.softmax((t - self.centre) / teacher_temp, dim=1) for t in from_teacher]
        terms = [
            -(t * functional.log_softmax(s / student_temp, dim=1)).sum(1).mean() for t in targets for s in from_student
        ]
        loss = torch.stack(terms).mean()
        everything = parallel.gather(torch.cat(targets))
        return loss, {
            "distil": float(parallel.mean(loss.detach())),
            "entropy": float(_entropy(everything).mean()),  # of single windows: log K when nothing is told apart
            "usage": float(_entropy(everything.mean(0))),  # of the mean: 0 when one prototype takes all
        }

    @torch.no_grad()
    def recentre(self, from_teacher: list[Tensor]) -> None:
        """Let the centre follow the teacher's mean over all processes."""
        mean = parallel.mean(torch.cat(from_teacher).mean(0))
        self.centre.lerp_(mean, 1.0 - self.centre_momentum)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Let the teacher follow the student."""
        for old, new in ((self.teacher, self.student), (self.teacher_head, self.student_head)):
            for kept, newest in zip(old.parameters(), new.parameters(), strict=True):
                kept.lerp_(newest, 1.0 - momentum)


@torch.no_grad()
def collapse_metrics(features: Tensor) -> dict[str, float]:
    """Spread of unit features (B, D) and their effective rank, exp of the entropy of the singular values' shares.

    Both fall towards 0 and 1 when all windows become one (Roy & Vetterli 2007 for the rank).
    """
    rows = functional.normalize(parallel.gather(features), dim=1)
    centred = rows - rows.mean(0)
    share = torch.linalg.svdvals(centred.double())
    share = share / share.sum().clamp_min(1e-12)
    return {"std": float(rows.std(0).mean() * math.sqrt(rows.shape[1])), "rank": float(_entropy(share).exp())}


def _entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp_min(1e-12).log()).sum(-1)
