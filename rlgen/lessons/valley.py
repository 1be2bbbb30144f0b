"""The path of an optimiser in the two-dimensional valley f(x, y) = (a x² + b y²) / 2, step by step. Polyak 1964."""

import math
from collections.abc import Callable
from typing import Any

import torch

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "gd": torch.optim.SGD,
    "momentum": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
    "nesterov": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True),
    "adagrad": torch.optim.Adagrad,
    "rmsprop": lambda p, lr: torch.optim.RMSprop(p, lr, alpha=0.9),
    "adam": torch.optim.Adam,
}
FAR = 1e6  # distance from the minimum at which a path ends


def descend(
    seed: int,
    optimizer: str = "gd",
    lr: float = 0.1,
    steps: int = 100,
    a: float = 1.0,
    b: float = 20.0,
    x: float = -8.6,
    y: float = 1.3,
    angle: float = 0.0,
) -> dict[str, Any]:
    """The path x and y (P,), the loss f (P,), and the steps after which f stays below a thousandth of its start.

    `angle` turns the valley, in degrees. Double precision, full gradient, no noise: the path is the same for every
    seed. The number of steps is infinite where f is above at the end.
    """
    curvature = torch.tensor([a, b], dtype=torch.float64)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)  # from the axes of the valley to the weights
    place = torch.nn.Parameter(turn @ torch.tensor([x, y], dtype=torch.float64))
    method = OPTIMIZERS[optimizer]([place], lr=lr)
    path = [place.detach().clone()]
    for _ in range(steps):
        method.zero_grad()
        (curvature * (turn.T @ place).square()).sum().div(2).backward()  # type: ignore[no-untyped-call]
        method.step()
        path.append(place.detach().clone())
        if not path[-1].abs().max() < FAR:
            break
    points = torch.stack(path)
    loss = (curvature * (points @ turn).square()).sum(1) / 2
    above = (~(loss <= loss[0] / 1000)).nonzero()
    last = int(above[-1])
    return {"x": points[:, 0], "y": points[:, 1], "loss": loss, "steps": last + 1 if last < len(loss) - 1 else math.inf}
