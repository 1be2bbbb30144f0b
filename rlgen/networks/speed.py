"""Training speed of a network on this machine, measured over a few steps."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core import device

WORK = 2e11  # floating-point operations of a step, at most
MEMORY = 3e8  # bytes of the activations of a step, at most
SECONDS = 1.0  # of the measurement, the first step aside
STEPS = 20  # at most


@dataclass(frozen=True)
class Speed:
    """Images per second of forward and backward passes."""

    images_per_second: float
    batch: int  # images per step
    steps: int  # that were timed
    threads: int

    def minutes(self, images: int) -> float:
        """Minutes for so many images."""
        return images / self.images_per_second / 60


def batch_size(macs: int, activations: int, largest: int = 128) -> int:
    """Images of a step of bounded work and memory; a training step takes about 6 operations per multiply-add."""
    return max(2, min(largest, int(WORK / (6 * max(macs, 1))), int(MEMORY / (4 * max(activations, 1)))))


def measure(network: nn.Module, shape: tuple[int, ...], batch: int) -> Speed:
    """The speed of `network`, (B, *shape) -> logits (B, K), at random images of this shape, without an optimiser.

    It is put in training mode. Where the processor has bfloat16, it is used, as in training.
    """
    half = device.half(torch.device("cpu"))
    x = torch.randn(batch, *shape)
    network.train()

    def step() -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits: Tensor = network(x)
        F.cross_entropy(logits.float(), torch.zeros(batch, dtype=torch.long)).backward()  # type: ignore[no-untyped-call]

    step()  # the first one allocates
    steps, began = 0, time.perf_counter()
    while steps < STEPS and time.perf_counter() - began < SECONDS:
        step()
        steps += 1
    elapsed = time.perf_counter() - began
    return Speed(batch * steps / elapsed, batch, steps, torch.get_num_threads())
