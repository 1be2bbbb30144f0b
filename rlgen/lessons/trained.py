"""Measurements of trained algorithms: receptive fields, samples, weights, bias and variance over runs."""

from collections.abc import Sequence
from typing import Any

import torch

NEAR = 0.01  # of the largest weight of a matrix: a weight below it counts as 0
IMAGES = 16  # over which the dependence of a pixel on another is the mean


def receptive_field(algorithm: Any, row: int = -2, column: int = -1) -> dict[str, Any]:
    """What the prediction of one pixel depends on, by the gradient of its outputs in the input pixels.

    field: (H, W) with 0 for later pixels, 1 for earlier pixels without influence, 2 for those with influence, 3 for
    the pixel itself. missed: share of the earlier pixels without influence. `row` and `column` count from the end if
    negative; by default -1 is the middle column.
    """
    _, height, width = algorithm.shape
    row, column = row % height, width // 2 if column < 0 else column
    x = algorithm.test_set.images[:IMAGES].to(algorithm.device).float().div(255).requires_grad_()
    y = torch.zeros(len(x), dtype=torch.long, device=x.device) if algorithm.num_classes else None
    outputs = algorithm.network(x, y)[:, :, row, column]  # (B, C · K)
    weights = torch.linspace(0.5, 1.5, outputs.shape[1], device=x.device)  # outputs of a softmax sum to 0 in gradient
    (gradient,) = torch.autograd.grad((outputs * weights).sum(), x)
    influence = gradient.abs().sum((0, 1)).cpu() > 0  # (H, W)
    earlier = torch.arange(height * width).view(height, width) < row * width + column
    field = torch.where(earlier, 1 + influence.int(), 0)
    field[row, column] = 3
    return {
        "field": field,
        "missed": float((earlier & ~influence).sum() / earlier.sum()),
        "later": float((influence & ~earlier).sum()),  # 0: a prediction never depends on the pixel itself or later ones
    }


def samples(algorithm: Any, count: int = 2_000) -> dict[str, float]:
    """Quality of so many samples: `rlgen eval` has the same numbers."""
    from rlgen.generative.quality import metrics

    found = metrics.evaluate(algorithm, min(count, len(algorithm.test_set)), 0)
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def weights(algorithm: Any) -> dict[str, float]:
    """small: share of the weights of matrices and kernels below a hundredth of the largest; norm: their norm."""
    matrices = [p.detach() for p in algorithm.ema.parameters() if p.ndim > 1]
    small = sum(int((p.abs() < NEAR * p.abs().max()).sum()) for p in matrices)
    return {
        "small": small / sum(p.numel() for p in matrices),
        "norm": float(torch.stack([p.square().sum() for p in matrices]).sum().sqrt()),
    }


def spread(algorithms: Sequence[Any]) -> list[dict[str, float]]:
    """Bias and variance of the probabilities on test images over S runs, for each run. Geman et al. 1992.

    error: squared error |p - y|² of a run, mean over images. variance: S / (S - 1) · |p - p̄|², whose mean over runs is
    the variance without bias. bias: their difference, whose mean is the squared error of the mean of infinitely many
    runs, the noise of the labels included.
    """
    test = algorithms[0].test_set
    y = torch.nn.functional.one_hot(test.labels, len(algorithms[0].classes)).double()
    p = torch.stack([torch.from_numpy(each.predict(test.images)).double() for each in algorithms])  # (S, N, K)
    error = (p - y).square().sum(-1).mean(1)  # (S,)
    variance = (p - p.mean(0)).square().sum(-1).mean(1) * len(p) / max(1, len(p) - 1)
    rows = zip(error.tolist(), variance.tolist(), strict=True)
    return [{"error": e, "variance": v, "bias": e - v} for e, v in rows]
