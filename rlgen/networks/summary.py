"""The table of a network: shapes, parameters, multiply-adds (MACs), receptive fields and memory, layer by layer."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.networks import arithmetic
from rlgen.networks.arithmetic import Shape
from rlgen.networks.tracing import Trace

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Layer:
    """A layer in a forward pass of one image; shapes without the batch."""

    name: str  # path in the network
    kind: str  # type, with window and stride
    definition: str  # filters, windows, stride, padding, units, biases
    input: Shape
    output: Shape
    size_arithmetic: str  # of a side of the output
    parameters: int  # of its own; 0 where an earlier layer has the same ones
    parameter_arithmetic: str
    trainable: int  # of these
    macs: int  # multiply-adds
    mac_arithmetic: str
    receptive_field: Shape | None  # height and width in pixels of the image; None where the input is no image
    local: bool  # whether a value depends on a window of the image, not on a whole map
    activations: int  # floats of its output; 0 where they may replace the input


@dataclass(frozen=True)
class Summary:
    """The layers of a network in the order in which they run, and totals."""

    name: str
    input: Shape
    layers: list[Layer]
    parameters: int  # of the whole network
    trainable: int
    unused: dict[str, int] = field(default_factory=dict)  # parts that a prediction does not use -> parameters

    @property
    def frozen(self) -> int:
        """Parameters that training does not change."""
        return self.parameters - self.trainable

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward pass of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activations(self) -> int:
        """Floats of the image and of the outputs of all layers."""
        return math.prod(self.input) + sum(layer.activations for layer in self.layers)

    @property
    def receptive_field(self) -> Shape | None:
        """Pixels (height, width) of the image that a value of the last map depends on; None without a map."""
        return max(
            (layer.receptive_field for layer in self.layers if layer.local and layer.receptive_field), default=None
        )

    def values(self) -> dict[str, Any]:
        """The table as JSON-ready values."""
        totals = ("parameters", "trainable", "frozen", "unused", "macs", "activations", "receptive_field")
        return {
            "name": self.name,
            "input": self.input,
            **{name: getattr(self, name) for name in totals},
            "activation_bytes": FLOAT * self.activations,
            "layers": [asdict(layer) for layer in self.layers],
        }


def summarize(network: nn.Module, *inputs: Tensor, name: str = "") -> Summary:
    """The table of `network` by a forward pass of `inputs` (1, ...), the first of which may be an image (1, C, H, W).

    Nothing is computed, and the network stays as it is. The pass is that of a prediction, in evaluation mode. Modules
    without parts are layers, and so are modules with parts that have weights or products of their own.
    """
    network = copy.deepcopy(network).to("meta").eval()
    inputs = tuple(x.to("meta") for x in inputs)
    trace = Trace(inputs[0] if inputs[0].dim() > 3 else None)
    recorder = _Recorder(network, trace)
    with recorder, torch.no_grad(), trace:
        network(*inputs)
    weights = list(network.parameters())  # without repetition
    return Summary(
        name or type(network).__name__,
        tuple(inputs[0].shape[1:]),
        recorder.layers,
        sum(p.numel() for p in weights),
        sum(p.numel() for p in weights if p.requires_grad),
        _unused(network, recorder.counted),
    )


class _Recorder:
    """Hooks that append a layer to `layers` at the end of each of its calls."""

    def __init__(self, network: nn.Module, trace: Trace) -> None:
        self.trace, self.layers = trace, list[Layer]()
        self.names = dict(_parts(network, ""))
        self.counted: set[nn.Parameter] = set()
        self.macs: list[int] = []  # of the calls that are not over, each without those of the calls within it
        self.before = 0  # multiply-adds up to the last begin or end of a call

    def __enter__(self) -> None:
        self.hooks = [module.register_forward_pre_hook(self._begin) for module in self.names]
        self.hooks += [module.register_forward_hook(self._end) for module in self.names]

    def __exit__(self, *error: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _begin(self, module: nn.Module, args: Any) -> None:
        self._charge()
        self.macs.append(0)

    def _end(self, module: nn.Module, args: Any, out: Any) -> None:
        self._charge()
        macs, leaf = self.macs.pop(), _is_leaf(module)
        own = [p for p in module.parameters(recurse=leaf) if p not in self.counted]
        out = out[0] if isinstance(out, tuple | list) else out
        x = next((x for x in args if isinstance(x, Tensor)), None)
        if isinstance(out, Tensor) and (leaf or macs or own):
            self.counted.update(own)
            self.layers.append(self._layer(module, x, out, macs, own))

    def _charge(self) -> None:
        """Count the products since the last hook as those of the innermost module that runs."""
        if self.macs:
            self.macs[-1] += self.trace.macs - self.before
        self.before = self.trace.macs

    def _layer(self, module: nn.Module, x: Tensor | None, out: Tensor, macs: int, own: Sequence[nn.Parameter]) -> Layer:
        before = () if x is None else tuple(x.shape[1:])
        after = tuple(out.shape[1:])
        windows = self.trace.of(out)
        # A nonlinearity or a view needs no memory beside that of its input; a normalisation does, for the gradient.
        elementwise = before == after and windows == self.trace.of(x) and "Norm" not in type(module).__name__
        extra = _is_leaf(module) and (own or not (elementwise or _is_view(x, out)))
        return Layer(
            name=self.names[module],
            kind=arithmetic.kind(module),
            definition=arithmetic.definition(module, own, after),
            input=before,
            output=after,
            size_arithmetic=arithmetic.size(module, before, after),
            parameters=sum(p.numel() for p in own),
            parameter_arithmetic=arithmetic.parameters(module, own),
            trainable=sum(p.numel() for p in own if p.requires_grad),
            macs=macs,
            mac_arithmetic=arithmetic.macs(module, before, after, macs),
            receptive_field=None if windows is None else tuple(w.field for w in windows),
            local=windows is not None and not any(w.whole for w in windows),
            activations=out.numel() if extra else 0,
        )


def _parts(module: nn.Module, path: str) -> Iterator[tuple[nn.Module, str]]:
    """The module and all within it, layers whole, each with its path."""
    yield module, path or type(module).__name__
    if not _is_leaf(module):
        for name, part in module.named_children():
            yield from _parts(part, f"{path}.{name}" if path else name)


def _is_leaf(module: nn.Module) -> bool:
    """Whether it is a layer: without parts, but for those that compute its weights."""
    return {name for name, _ in module.named_children()} <= {"parametrizations"}


def _unused(network: nn.Module, counted: set[nn.Parameter]) -> dict[str, int]:
    """The largest modules none of whose parameters the forward pass used -> their number of parameters."""
    found: dict[str, int] = {}
    for name, module in network.named_modules():
        weights = list(module.parameters())
        if weights and not counted & set(weights) and not any(name.startswith(f"{other}.") for other in found):
            found[name] = sum(p.numel() for p in weights)
    return found


def _is_view(x: Tensor | None, out: Tensor) -> bool:
    return x is not None and x.untyped_storage()._cdata == out.untyped_storage()._cdata
