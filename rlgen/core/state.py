"""Exact resume: the attributes named in `state` are saved and restored."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rlgen.core.restoring import check_type

State = dict[str, Any]


class Stateful:
    """An object that lists its changing attributes in `state`.

    class Counter(Stateful):
        state = ("count",)

    An attribute may be a number, a string, a tensor, an array, a random generator, another Stateful, a module, an
    optimiser, or a list or dict of plain values and tensors.
    """

    state: ClassVar[tuple[str, ...]] = ()
    experience: ClassVar[tuple[str, ...]] = ()  # those that only training needs: without them a state is for acting
    learned: ClassVar[tuple[str, ...]] = ()  # those that evaluations and predictions depend on; of a part, () is all

    def state_dict(self) -> State:
        """The current values of the attributes in `state`; tensors and arrays are not copied."""
        return {name: _save(getattr(self, name)) for name in self.state}

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`; where it lacks `experience`, all else, which suffices for acting.

        Raises KeyError where names differ, ValueError where shapes do.
        """
        if set(saved) not in (set(self.state), set(self.state) - set(self.experience)):
            raise KeyError(f"{type(self).__name__} has the state {sorted(self.state)}, the checkpoint {sorted(saved)}")
        for name, value in saved.items():
            setattr(self, name, _load(getattr(self, name), value))

    def learned_dict(self) -> State:
        """The current values of the attributes in `learned`; tensors and arrays are not copied."""
        parts = ((name, getattr(self, name)) for name in self.learned)
        return {name: part.learned_dict() if _partly(part) else _save(part) for name, part in parts}

    def load_learned(self, saved: State) -> None:
        """Restore the result of `learned_dict`; everything else stays. Raises as `load_state_dict` does."""
        if set(saved) != set(self.learned):
            raise KeyError(
                f"{type(self).__name__} has the weights {sorted(self.learned)}, the portrait {sorted(saved)}"
            )
        for name, value in saved.items():
            if _partly(part := getattr(self, name)):
                part.load_learned(value)
            else:
                setattr(self, name, _load(part, value))


def _partly(value: Any) -> bool:
    """Whether a part of its state suffices for evaluations."""
    return isinstance(value, Stateful) and bool(value.learned)


def _save(value: Any) -> Any:
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value.state_dict() if hasattr(value, "state_dict") else value


def _load(value: Any, saved: Any) -> Any:
    if isinstance(value, np.random.Generator):
        value.bit_generator.state = saved
    elif isinstance(value, torch.Generator):
        value.set_state(saved.cpu())
    elif isinstance(value, np.ndarray):
        _check_shape(value.shape, saved)
        value[...] = saved.cpu().numpy()
    elif isinstance(value, Tensor):
        _check_shape(value.shape, saved)
        value.copy_(saved)
    elif hasattr(value, "load_state_dict"):
        groups = [dict(group) for group in getattr(value, "param_groups", [])]  # of an optimiser
        value.load_state_dict(saved)
        for before, after in zip(groups, getattr(value, "param_groups", []), strict=True):
            _check_group(before, after)
        if isinstance(value, torch.optim.Optimizer):
            match_strides(value)
    else:
        check_type(value, saved)
        return saved
    return value


def _check_group(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise TypeError where a setting of an optimiser, such as lr or betas, has another type than it had."""
    for name, value in before.items():
        if name == "params" or value is None or isinstance(value, bool):
            continue
        if name in after and after[name] is None:
            raise TypeError(f"{name} of the optimizer is missing")
        if isinstance(value, Tensor) and not isinstance(after.get(name, value), Tensor):
            raise TypeError(f"{name} of the optimizer is no tensor")
        check_type(value, after.get(name))


def match_strides(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the memory layout of their weights, such as channels last: fused Adam requires equal strides."""
    for weight, moments in optimizer.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.stride() != weight.stride():
                moments[name] = torch.empty_like(weight, dtype=moment.dtype, requires_grad=False).copy_(moment)


def _check_shape(shape: tuple[int, ...], saved: Tensor) -> None:
    if tuple(shape) != tuple(saved.shape):
        raise ValueError(
            f"the checkpoint holds a tensor of shape {tuple(saved.shape)} where {tuple(shape)} is expected"
        )
