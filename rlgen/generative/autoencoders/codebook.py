"""The codebook of a VQ-VAE, updated by moving averages. van den Oord et al. 2017, arXiv:1711.00937, appendix A.1.

Re-initialisation of unused codes: Dhariwal et al. 2020, arXiv:2005.00341.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core import processes

MIN_COUNT = 0.5  # uses of a code per minibatch, moving average, below which it is re-initialised


class Codebook(nn.Module):
    """K codes of D dimensions, each the moving average of the encoder outputs assigned to it; without gradients."""

    codes: Tensor  # (K, D)
    sums: Tensor  # (K, D): moving average of the sum of a minibatch's encoder outputs assigned to each code
    counts: Tensor  # (K,): moving average of their number

    def __init__(self, size: int, dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.randn(size, dim))
        self.register_buffer("sums", torch.zeros(size, dim))
        self.register_buffer("counts", torch.zeros(size))

    def nearest(self, z: Tensor) -> Tensor:
        """Indices of the nearest codes: encoder outputs (B, D, H, W) -> (B, H, W)."""
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            points = z.movedim(1, -1)
            return (self.codes.square().sum(1) - 2 * points @ self.codes.T).argmin(-1)  # |z - e|² - |z|²

    def lookup(self, k: Tensor) -> Tensor:
        """Codes by index: (B, H, W) -> (B, D, H, W)."""
        return F.embedding(k, self.codes).movedim(-1, 1)

    @torch.no_grad()
    def update(self, z: Tensor, k: Tensor, stream: torch.Generator) -> None:
        """Move codes towards the encoder outputs z (B, D, H, W) assigned to them by k (B, H, W).

        N ← λ N + (1 - λ) n, m ← λ m + (1 - λ) Σ z, e = m / N, with λ the decay. Codes with N below `MIN_COUNT` become
        encoder outputs selected by `stream`.
        """
        points, assigned = z.movedim(1, -1).flatten(0, 2), F.one_hot(k.flatten(), len(self.codes)).to(z)
        self.counts.lerp_(processes.added(assigned.sum(0)), 1 - self.decay)
        self.sums.lerp_(processes.added(assigned.T @ points), 1 - self.decay)
        unused = self.counts < MIN_COUNT
        number = processes.total(len(points))
        selected = torch.randint(number, (len(self.codes),), generator=stream).to(points.device)
        self.counts.masked_fill_(unused, 1)
        self.sums.copy_(torch.where(unused[:, None], processes.selected(points, selected), self.sums))
        self.codes.copy_(self.sums / self.counts[:, None])


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of the code frequencies (K,): the effective number of codes in use."""
    share = counts.float() / counts.sum()
    return (-torch.xlogy(share, share).sum()).exp()
