"""Metrics of steps as the rows of a log: means over steps, six significant digits, lists of several seeds.

A metric is a number, numbers (S,) of S seeds, or totals (2, S): sums over items and their counts.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def stack(values: list[Tensor | float]) -> Tensor:
    """The values as one float64 tensor on the CPU; those on a device are copied in one transfer."""
    remote = [value for value in values if isinstance(value, Tensor) and value.device.type != "cpu"]
    copies = iter(torch.stack(remote).cpu() if remote else ())
    local = (next(copies) if isinstance(value, Tensor) and value.device.type != "cpu" else value for value in values)
    return torch.stack([torch.as_tensor(value, dtype=torch.float64) for value in local])


def reduce_steps(values: Tensor) -> Tensor:
    """The mean over steps, (steps,) -> () or (steps, S) -> (S,); of totals their sum, (steps, 2, S) -> (2, S)."""
    return values.sum(0) if values.ndim == 3 else values.mean(0)


def rounded(number: float) -> float:
    """To six significant digits; integers are unchanged."""
    return number if isinstance(number, int) else float(f"{number:.6g}")


def numbers(value: Tensor | float) -> float | list[float | None] | None:
    """A number, or one per seed of several, to six significant digits; None where totals have no items."""
    values = stack([value])[0]
    means, counts = (values[0] / values[1], values[1]) if values.ndim == 2 else (values, torch.ones_like(values))
    pairs = zip(means.reshape(-1).tolist(), counts.reshape(-1).tolist(), strict=True)
    found = [rounded(mean) if count else None for mean, count in pairs]
    if len(found) == 1 or not any(counts.reshape(-1).tolist()):
        return found[0]
    return found


def present(value: float | list[float | None]) -> list[float]:
    """The numbers of a metric in a row, without the seeds that have none."""
    return [number for number in (value if isinstance(value, list) else [value]) if number is not None]


def broken_seeds(values: Iterable[float | list[float | None]]) -> list[int]:
    """The seeds with a number that is not finite among the metrics of a row; of single numbers none is known."""
    lists = [value for value in values if isinstance(value, list)]
    return sorted({i for each in lists for i, x in enumerate(each) if x is not None and not math.isfinite(x)})
