"""Receptive fields and multiply-adds of the operations of a forward pass on the meta device.

Along a path through windows of F pixels and stride S, the receptive field r and the step j between neighbours grow by
r += (F - 1)·j, j *= S; a sum or a concatenation has the largest of its inputs. Araujo et al. 2019,
doi:10.23915/distill.00021.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten: Any = torch.ops.aten
POOLS = (
    aten.max_pool2d,
    aten.max_pool2d_with_indices,
    aten.avg_pool2d,
    aten.max_pool3d_with_indices,
    aten.avg_pool3d,
)
ADAPTIVE = (aten._adaptive_avg_pool2d, aten.adaptive_max_pool2d)
REDUCTIONS = (aten.mean, aten.sum, aten.amax)
PRODUCTS = {aten.mm: 0, aten.bmm: 0, aten.addmm: 1, aten.baddbmm: 1}  # position of the left factor


@dataclass(frozen=True)
class Window:
    """The pixels of the image that a value of a map depends on, along one axis."""

    field: int  # pixels
    step: Fraction  # pixels between the windows of neighbours in the map
    size: int  # of the map
    whole: bool = False  # whether it is that of a whole map

    def slide(self, kernel: int, stride: Fraction, size: int) -> "Window":
        """The window of a map of `size`, each of whose values depends on `kernel` neighbours of this one."""
        field = math.ceil(self.field + (kernel - 1) * self.step)
        return replace(self, field=field, step=self.step * stride, size=size)

    def over_all(self) -> "Window":
        """The window of a value that depends on the whole map."""
        return replace(self.slide(self.size, Fraction(self.size), 1), whole=True)


Windows = tuple[Window, Window]  # of rows and of columns


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, multiply-adds of all operations are counted, and windows are followed from `image` (..., C, H, W)."""

    def __init__(self, image: Tensor | None) -> None:
        """Without an `image` no windows are followed."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.kept: list[Tensor] = []  # so that no other tensor gets the storage of one that is known
        self.windows: dict[int, Windows] = {}  # of the tensors of a storage: views share it
        if image is not None:
            height, width = (Window(1, Fraction(1), size) for size in image.shape[-2:])
            self._keep(image, (height, width))

    def of(self, x: Any) -> Windows | None:
        """The windows of a value of `x`; None where it does not depend on the image."""
        return self.windows.get(_storage(x)) if isinstance(x, Tensor) else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operation = func.overloadpacket
        self.macs += _macs(operation, args, out)
        inputs = [found for x in tree_leaves((args, kwargs)) if (found := self.of(x)) is not None]
        if inputs:
            windows = _moved(operation, args, out, _joined(inputs))
            for x in tree_leaves(out):
                if isinstance(x, Tensor):
                    self._keep(x, windows)
        return out

    def _keep(self, x: Tensor, windows: Windows) -> None:
        self.kept.append(x)
        self.windows[_storage(x)] = windows


def _moved(operation: Any, args: Any, out: Any, windows: Windows) -> Windows:
    """The windows after an operation, of which `windows` are those before it."""
    rows, columns = windows
    if operation is aten.convolution:
        kernel, stride, dilation, transposed = args[1].shape[2:], args[3], args[5], args[6]
        if len(kernel) == 1:  # over a row of the map, as in recurrent layers, which run through all rows
            return rows.over_all(), columns.over_all()
        return _slid(windows, kernel, stride, dilation, out.shape[-2:], transposed)
    if operation in POOLS:
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        out = out[0] if isinstance(out, tuple) else out
        return _slid(windows, kernel, stride, [1], out.shape[-2:])
    if operation in ADAPTIVE:
        out = out[0] if isinstance(out, tuple) else out
        if tuple(out.shape[-2:]) == (1, 1):
            return rows.over_all(), columns.over_all()
        height, width = (
            w.slide(-(-w.size // n) + (w.size % n > 0), Fraction(w.size, n), n)
            for w, n in zip(windows, out.shape[-2:], strict=True)
        )
        return height, width
    if operation in PRODUCTS or (operation in REDUCTIONS and _reduces_the_map(args, windows)):
        return rows.over_all(), columns.over_all()
    return windows


def _slid(
    windows: Windows, kernel: Any, stride: Any, dilation: Any, size: Iterable[int], transposed: bool = False
) -> Windows:
    """Windows after a convolution or pooling; lists of one number stand for both axes, longer ones end with them."""
    axes = zip(windows, _last_two(kernel), _last_two(stride), _last_two(dilation), size, strict=True)
    rows, columns = (
        w.slide(-(-f // s) if transposed else d * (f - 1) + 1, Fraction(1, s) if transposed else Fraction(s), n)
        for w, f, s, d, n in axes
    )
    return rows, columns


def _last_two(values: Any) -> list[int]:
    return [int(values[0])] * 2 if len(values) == 1 else [int(v) for v in values[-2:]]


def _reduces_the_map(args: Any, windows: Windows) -> bool:
    """Whether the dimensions of a sum or mean include those of the map."""
    x, dims = args[0], args[1] if len(args) > 1 else None
    if x.dim() < 3 or x.shape[-2:] != (windows[0].size, windows[1].size):
        return False
    return not dims or {d % x.dim() for d in dims} >= {x.dim() - 1, x.dim() - 2}


def _joined(inputs: list[Windows]) -> Windows:
    """The largest window of all inputs."""
    rows, columns = (
        replace(axis[0], **{name: max(getattr(w, name) for w in axis) for name in ("field", "step", "whole")})
        for axis in zip(*inputs, strict=True)
    )
    return rows, columns


def _macs(operation: Any, args: Any, out: Any) -> int:
    """Multiply-adds of a convolution or a matrix product; 0 for anything else."""
    if operation is aten.convolution:
        x, weight = args[0], args[1]
        return int((x if args[6] else out).numel() * weight[0].numel())
    if operation in PRODUCTS:
        return int(out.numel() * args[PRODUCTS[operation]].shape[-1])
    return 0


def _storage(x: Tensor) -> int:
    return int(x.untyped_storage()._cdata)
