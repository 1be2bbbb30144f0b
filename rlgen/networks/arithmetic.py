"""The arithmetic of a layer with its numbers filled in: output size, parameters, multiply-adds."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

Shape = tuple[int, ...]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
POWERS = {2: "²", 3: "³"}


def kind(module: nn.Module) -> str:
    """The type of a layer with its window and stride: `Conv2d 11x11/4`, `MaxPool2d 3x3/2`, `Linear`."""
    name = type(module).__name__
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED, *POOLS)):
        kernel, stride, groups = _axes(module, "kernel_size"), _axes(module, "stride"), getattr(module, "groups", 1)
        moved = "" if set(stride) == {1} else f"/{_side(stride)}"
        return f"{name} {product(kernel, 'x')}{moved}{f', {groups} groups' if groups > 1 else ''}"
    return name


def definition(module: nn.Module, own: Iterable[Tensor], after: Shape) -> str:
    """What a layer is, without its counts: filters, windows, stride, padding, units, biases."""
    biased = ", bias" if getattr(module, "bias", None) is not None else ", no bias"
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        groups = f", {module.groups} groups" if module.groups > 1 else ""
        return f"{module.out_channels:,} filters of {_window(module)}{groups}{biased}"
    if isinstance(module, POOLS):
        return f"windows of {_window(module)}" + (", rounded up" if getattr(module, "ceil_mode", False) else "")
    if isinstance(module, nn.Linear):
        return f"{module.out_features:,} units{biased}"
    shapes = [product(p.shape, "x") for p in own]
    return f"weights of {' and '.join(shapes)}" if shapes else f"{after[0]:,} outputs" if len(after) == 1 else ""


def size(module: nn.Module, before: Shape, after: Shape) -> str:
    """How a side of the output (C, H, W) follows from the input; empty for a layer without such a rule."""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED, *POOLS)):
        rule = _grown if isinstance(module, TRANSPOSED) else _slid
        dims = len(_axes(module, "kernel_size"))
        lines = [rule(module, axis, before[axis - dims], after[axis - dims]) for axis in range(dims)]
        return ", ".join(dict.fromkeys(lines))
    if len(after) == len(before) > 1 and set(after[1:]) == {1} and after[0] == before[0] and before != after:
        return f"one value per map of {product(before[1:], 'x')}"
    if len(after) == 1 and len(before) > 1 and math.prod(before) == after[0]:
        return f"{product(before)} = {after[0]:,}"
    return ""


def parameters(module: nn.Module, own: Iterable[Tensor]) -> str:
    """Its `own` parameters as products of sizes: `11²·3·96 + 96 = 34,944`; empty for one number or none."""
    shapes = sorted((tuple(p.shape) for p in own), key=len, reverse=True)  # weights before biases
    total = sum(map(math.prod, shapes))
    if not shapes:
        return ""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)) and len(shapes[0]) > 2:
        out, into, *kernel = shapes[0]  # `into` per group
        terms = [f"{_power(kernel)}·{into:,}·{out:,}", *(product(s) for s in shapes[1:])]
    elif isinstance(module, nn.Linear) and len(shapes[0]) == 2:
        out, into = shapes[0]
        terms = [f"{into:,}·{out:,}", *(product(s) for s in shapes[1:])]
    elif len(shapes) > 1 and len(set(shapes)) == 1:
        terms = [f"{len(shapes)}·{product(shapes[0])}"]
    else:
        terms = [product(s) for s in shapes]
    return f"{' + '.join(terms)} = {total:,}" if len(terms) > 1 or "·" in terms[0] else ""


def macs(module: nn.Module, before: Shape, after: Shape, count: int) -> str:
    """The multiply-adds of one image: weights times positions; empty for a layer without multiply-adds of that form."""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)) and module.weight.dim() == 2 + len(module.kernel_size):
        out, into, *kernel = module.weight.shape
        where = (before if isinstance(module, TRANSPOSED) else after)[-len(kernel) :]
        if math.prod(module.weight.shape) * math.prod(where) == count:
            return f"{_power(kernel)}·{into:,}·{out:,}·{_power(where)} = {count:,}"
    if isinstance(module, nn.Linear) and module.weight.dim() == 2 and module.weight.numel() == count:
        return f"{module.in_features:,}·{module.out_features:,} = {count:,}"
    return ""


def product(factors: Sequence[int], sign: str = "·") -> str:
    """`96·55·55`"""
    return sign.join(f"{n:,}" for n in factors)


def _window(module: Any) -> str:
    """`11x11, stride 4, padding 2`"""
    kernel, stride, padding = (_axes(module, name) for name in ("kernel_size", "stride", "padding"))
    dilation = _axes(module, "dilation")
    further = f", dilation {_side(dilation)}" if set(dilation) != {1} else ""
    return f"{product(kernel, 'x')}, stride {_side(stride)}, padding {_side(padding)}{further}"


def _side(values: Sequence[Any]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _slid(module: Any, axis: int, n: int, out: int) -> str:
    """⌊(N + 2P - F)/S⌋ + 1; empty where the padding is not the same on both sides."""
    f, s, d = (_axes(module, name)[axis] for name in ("kernel_size", "stride", "dilation"))
    wide = d * (f - 1) + 1
    p = _padding(module, axis, wide)
    span = n + 2 * p - wide
    up = getattr(module, "ceil_mode", False)
    if out != (math.ceil(span / s) if up else span // s) + 1:
        return ""
    numerator = f"{n} + 2·{p} - {f if d == 1 else f'({d}·({f} - 1) + 1)'}"
    if s == 1:
        return f"{numerator} + 1 = {out}"
    left, right = ("(", ")") if span % s == 0 else ("⌈(", ")") if up else ("⌊(", ")")
    close = "" if span % s == 0 else "⌉" if up else "⌋"
    return f"{left}{numerator}{right}/{s}{close} + 1 = {out}"


def _grown(module: Any, axis: int, n: int, out: int) -> str:
    """(N - 1)·S - 2P + F, and the rows added to the output."""
    f, s, p, added, d = (
        _axes(module, name)[axis] for name in ("kernel_size", "stride", "padding", "output_padding", "dilation")
    )
    wide = d * (f - 1) + 1
    if out != (n - 1) * s - 2 * p + wide + added:
        return ""
    return f"({n} - 1)·{s} - 2·{p} + {wide}{f' + {added}' if added else ''} = {out}"


def _axes(module: Any, name: str) -> tuple[Any, ...]:
    """A setting of a convolution or pooling per axis."""
    value = getattr(module, name, 1)
    return (value,) * _dims(module) if isinstance(value, int | str) else tuple(value)


def _dims(module: nn.Module) -> int:
    """Number of axes of the maps that a convolution or pooling takes."""
    for dims in (1, 2, 3):
        names = [f"Conv{dims}d", f"ConvTranspose{dims}d", f"MaxPool{dims}d", f"AvgPool{dims}d"]
        if isinstance(module, tuple(getattr(nn, name) for name in names)):
            return dims
    raise TypeError(f"{type(module).__name__} is no convolution or pooling")


def _padding(module: Any, axis: int, wide: int) -> int:
    if isinstance(module.padding, str):
        return (wide - 1) // 2 if module.padding == "same" else 0
    return int(_axes(module, "padding")[axis])


def _power(sizes: Sequence[int]) -> str:
    """`11²` for 11x11, `1·7` for 1x7, `1` for 1x1."""
    if len(set(sizes)) > 1:
        return product(sizes)
    return f"{sizes[0]:,}{POWERS.get(len(sizes), '')}" if sizes[0] != 1 else "1"
