"""Measurements of trained models: the receptive field of an autoregressive network, the quality of samples."""

from typing import Any

import torch

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
