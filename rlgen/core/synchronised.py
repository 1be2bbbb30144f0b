"""Batch normalisation over a minibatch that several processes share: Peng et al. 2018, arXiv:1711.07240.

PyTorch's SyncBatchNorm is for CUDA alone.
"""

import torch
from torch import Tensor

from rlgen.core import processes


def batch_norm(
    x: Tensor, running_mean: Tensor, running_variance: Tensor, gain: Tensor | None, bias: Tensor | None,
    momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """`F.batch_norm` in training, (B, C, ...) -> the same shape, with the statistics of the shares of all processes.

    mean = E[meanᵣ] and variance = E[varianceᵣ + (meanᵣ - mean)²] over shares r of equal size.
    """
    axes, shape = [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
    own = torch.stack(torch.var_mean(x.float(), axes, correction=0))  # (2, C)
    variances, means = processes.gathered(own).unbind(1)  # (processes, C)
    mean = means.mean(0)
    variance = variances.mean(0) + (means - mean).square().mean(0)
    count = processes.total(x.numel() // x.shape[1])
    with torch.no_grad():
        running_mean.lerp_(mean, momentum)
        running_variance.lerp_(variance * (count / max(1, count - 1)), momentum)
    scale = (variance + eps).rsqrt() if gain is None else (variance + eps).rsqrt() * gain
    shift = -mean * scale if bias is None else bias - mean * scale
    return torch.addcmul(shift.view(shape), x.float(), scale.view(shape)).to(x.dtype)
