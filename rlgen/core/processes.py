"""Data parallelism: the processes that `torchrun` starts train one model, each on its share of every minibatch.

All processes hold the same state and draw the same random numbers, of which each uses those of its share; gradients,
batch statistics and metrics are means over the processes. So the training is that of one process to rounding, and a
checkpoint does not depend on their number. The first process runs the training loop and has the run folder; the others
follow its commands. Gradients are averaged in one collective operation after the backward pass rather than by
`DistributedDataParallel`, which requires one call of `forward` per backward pass: models here call parts of a network.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from rlgen.core import signals
from rlgen.core.algorithm import Metrics
from rlgen.core.errors import Diverged, ProcessLost, UserError

STEP, LOAD, END = 1, 2, 3  # commands of the first process
WAITING = timedelta(days=7)  # longest evaluation of the first process, during which the others wait
T = TypeVar("T")


@dataclass
class Group:
    """The processes of a training."""

    rank: int
    count: int
    store: Any
    directory: str = ""  # of the run
    stepping: bool = False  # whether a step is in hand: only then are there collective operations
    split: bool = False  # whether its minibatch is shared out: otherwise every process computes all of it


_group: Group | None = None  # between `join` and `leave`


def joined() -> bool:
    """Whether this process trains together with others."""
    return _group is not None


def splitting() -> bool:
    """Whether the minibatch in hand is a share."""
    return _group is not None and _group.split


def join() -> Group:
    """Wait for the other processes and connect to them: gloo for tensors on the CPU, nccl for those on CUDA."""
    global _group
    if not dist.is_available():
        raise UserError("torchrun: this PyTorch is built without torch.distributed: train in one process")
    store, rank, count = next(rendezvous("env://", timeout=WAITING))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=WAITING)
    _group = Group(rank, count, store)
    return _group


def leave() -> None:
    """Disconnect from the other processes."""
    global _group
    _group = None
    dist.destroy_process_group()


def shared(step: Callable[[T], Metrics]) -> Callable[[T], Metrics]:
    """The step of an algorithm, taken by all processes at once; its metrics are means over the processes."""

    @functools.wraps(step)
    def together(algorithm: T) -> Metrics:
        group = _group
        if group is None:
            return step(algorithm)
        if group.rank == 0 and (number := exchange(STEP)):
            signals.receive(number)  # another process received it
        group.stepping = True
        try:
            metrics = dict(step(algorithm))
            if group.split:
                names = [name for name, value in metrics.items() if isinstance(value, Tensor)]
                values = [torch.as_tensor(metrics[name]).detach().to(torch.float32, copy=True) for name in names]
                average(values)
                metrics.update(zip(names, values, strict=True))
        except Diverged:  # in every process
            group.stepping = group.split = False
            raise
        group.stepping = group.split = False
        return metrics

    together.shared = True  # type: ignore[attr-defined]
    return together


def shares_steps(algorithm: type) -> bool:
    """Whether the steps of an algorithm are `shared`."""
    return hasattr(getattr(algorithm, "step", None), "shared")


def share(minibatch: T, axis: int = 0) -> T:
    """The rows of `minibatch` that this process computes: all of a last one that does not divide.

    A minibatch is a tensor, or a tuple of minibatches and None; its images lie along `axis`.
    """
    group = _group
    if group is None or not group.stepping or minibatch is None:
        return minibatch
    if isinstance(minibatch, tuple):
        return tuple(share(part, axis) for part in minibatch)  # type: ignore[return-value]
    assert isinstance(minibatch, Tensor)
    group.split = minibatch.shape[axis] % group.count == 0
    return minibatch.tensor_split(group.count, axis)[group.rank] if group.split else minibatch  # type: ignore[return-value]


def shares() -> int:
    """Number of shares of the minibatch in hand."""
    return _group.count if _group is not None and _group.split else 1


def total(count: int) -> int:
    """The number of images in the minibatch of which this process computes `count`."""
    return count * shares()


def rows(draw: Callable[[int], Tensor], count: int, axis: int = 0) -> Tensor:
    """`draw(n)` for the n images of the minibatch in hand, of which the `count` rows of this process are returned."""
    group = _group
    if group is None or not group.split:
        return draw(count)
    return draw(count * group.count).narrow(axis, count * group.rank, count)


def average(tensors: Sequence[Tensor]) -> None:
    """Replace every tensor by its mean over the processes, in one collective operation."""
    group = _group
    if group is None or not group.stepping:
        return
    device = next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), torch.device("cpu"))
    flat = torch.cat([tensor.detach().to(device, torch.float32).flatten() for tensor in tensors])
    _all_reduce(flat)
    parts = torch.split(flat.div_(group.count), [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.detach().copy_(part.view(tensor.shape))


def added(x: Tensor) -> Tensor:
    """The sum of `x` over the shares of the minibatch in hand, differentiable."""
    return _Sum.apply(x) if splitting() else x  # type: ignore[no-untyped-call]


def mean(x: Tensor) -> Tensor:
    """The mean of `x` over the shares of the minibatch in hand, differentiable."""
    return added(x) / shares() if splitting() else x


def gathered(x: Tensor) -> Tensor:
    """`x` of every share, (processes, *x.shape), differentiable."""
    group = present()
    own = torch.arange(group.count, device=x.device).view(-1, *[1] * x.dim()) == group.rank
    return added(torch.where(own, x, 0.0))


def selected(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` of the `x` of all shares, one after the other."""
    if not splitting():
        return x[index]
    place = index - present().rank * len(x)
    own = ((place >= 0) & (place < len(x))).view(-1, *[1] * (x.dim() - 1))
    return added(torch.where(own, x[place.clamp(0, len(x) - 1)], 0.0))


class _Sum(torch.autograd.Function):
    """The sum over the processes. Every process has the loss of its share, so gradients are summed alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.clone(memory_format=torch.contiguous_format)
        _all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Sum.apply(gradients[0])  # type: ignore[no-untyped-call]


def exchange(command: int, signal: int = 0) -> int:
    """The command of the first process; in the first, the number of a signal that another process received, or 0."""
    group, word = present(), torch.tensor([command, signal])
    _collect(lambda: dist.all_reduce(word, dist.ReduceOp.MAX))
    return int(word[1 if group.rank == 0 else 0])


def send(message: bytes) -> None:
    """Give `message` of the first process to the others."""
    data = torch.frombuffer(bytearray(message), dtype=torch.uint8)
    _collect(lambda: dist.broadcast(torch.tensor(len(data)), 0))
    _collect(lambda: dist.broadcast(data, 0))


def receive() -> bytes:
    """The message of the first process."""
    size = torch.tensor(0)
    _collect(lambda: dist.broadcast(size, 0))
    data = torch.empty(int(size), dtype=torch.uint8)
    _collect(lambda: dist.broadcast(data, 0))
    return data.numpy().tobytes()


def _all_reduce(x: Tensor) -> None:
    _collect(lambda: dist.all_reduce(x))


def _collect(operation: Callable[[], object]) -> None:
    """Run a collective operation. Raises ProcessLost where the connection to another process is lost."""
    try:
        operation()
    except RuntimeError:
        where = present().directory
        raise ProcessLost(
            "another process of this training was killed or has failed:"
            f" `rlgen resume {where}` continues from the last checkpoint, under torchrun with any number of processes"
        ) from None


def present() -> Group:
    """The processes of this training."""
    assert _group is not None, "not joined"
    return _group
