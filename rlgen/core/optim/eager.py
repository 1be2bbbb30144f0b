"""Torch's optimisers without torch.compile, which they import where they are made: sympy and a thousand other modules.

Their methods are those of torch without the decorators that concern its compiler, so that the arithmetic, and the state
in a checkpoint, are the same. A training starts about a second earlier; an `Eager` optimiser cannot be compiled.
"""

import inspect
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer

R = TypeVar("R", bound=Optimizer)


class Eager(Optimizer):
    """A base of optimisers that import nothing."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


def _eager(rule: type[R]) -> type[R]:
    step: Any = inspect.unwrap(rule.step)
    return type(rule.__name__, (Eager, rule), {"step": torch.no_grad()(step), "__doc__": rule.__doc__})


SGD = _eager(torch.optim.SGD)
Adam = _eager(torch.optim.Adam)
RMSprop = _eager(torch.optim.RMSprop)
Adagrad = _eager(torch.optim.Adagrad)
LBFGS = _eager(torch.optim.LBFGS)
