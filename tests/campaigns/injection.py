"""What makes a training diverge: a huge learning rate, or NaN in a batch, in the weights, in those of one seed."""

import hashlib
import math
import signal

import torch

from rlgen.core import checkpoint
from rlgen.core.optim.optimization import optimizations

HUGE = 1e30


class Injection:
    """Breaks an algorithm from the step that passes a time on: once, or in every training that passes it."""

    def __init__(self, session, kind, at, once):
        self.algorithm, self.kind, self.at, self.once = session.algorithm, kind, at, once
        self.directory = session.run.directory
        self.stop: int | None = None  # time of a SIGTERM after the first break
        self.done = 0  # how often it has broken
        self.armed = False  # whether the next forward pass with gradients is poisoned
        self.before: dict[str, str] = {}  # digest of each checkpoint at the time of the first
        step = self.algorithm.step

        def broken_step():
            if self.stop is not None and self.done and self.algorithm.time >= self.stop:
                signal.raise_signal(signal.SIGTERM)
            if self.algorithm.time >= self.at and not (self.once and self.done) and not self.pending():
                self.inject()
            return step()

        self.last = -1
        self.algorithm.step = broken_step
        if kind == "batch":
            self.hook()

    def pending(self):
        """Whether it is broken already since the last rollback."""
        again = self.algorithm.time < self.last or self.last < 0
        return not again and self.done > 0

    def inject(self):
        if not self.done:
            self.before = digests(self.directory)
        self.done += 1
        self.last = self.algorithm.time + 1
        if self.kind == "batch":
            self.armed = True
        elif hasattr(self.algorithm, "q") and not optimizations(self.algorithm):  # a table
            self.algorithm.q[-1] = math.nan
        else:
            with torch.no_grad():
                for weight in next(iter(optimizations(self.algorithm).values())).weights:
                    (weight[1] if self.kind == "seed" else weight[(0,) * weight.dim()]).fill_(math.nan)

    def hook(self):
        """Poison the input of the first layer with weights that is called with gradients."""

        def poison(module, inputs):
            if not self.armed or not torch.is_grad_enabled():
                return None
            if not any(torch.is_tensor(x) and x.is_floating_point() for x in inputs):
                return None
            self.armed = False
            return tuple(x * math.nan if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs)

        for optimization in optimizations(self.algorithm).values():
            for module in optimization.modules:
                for part in module.modules():
                    if next(part.parameters(recurse=False), None) is not None:
                        part.register_forward_pre_hook(poison)


def digests(directory):
    """The digest of the files of every checkpoint of a run."""
    return {
        folder.name: hashlib.sha256(b"".join(p.read_bytes() for p in sorted(folder.iterdir()))).hexdigest()
        for folder in checkpoint.newest_first(directory / "checkpoints")
    }
