"""A bound on the weights of networks that are being built, so that settings beyond this machine are refused at once."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from rlgen.core.errors import UserError
from rlgen.core.files import folders, is_file

SHARE = 0.5  # of the memory of this machine that weights may take: gradients and an optimiser take more than they do
MARGIN = 50_000_000  # bytes of networks that a run does not save, such as the feature classifier of its evaluations


class TooLarge(UserError):
    """A network would not fit into memory."""

    code = 6


@contextmanager
def bounded(limit: int | None = None, reason: str = "") -> Iterator[None]:
    """Raise TooLarge as soon as networks built inside `with` have weights of more than `limit` bytes.

    `limit` is by default a share of the memory of this machine. A weight is counted before its memory is touched.
    """
    most = limit if limit is not None else round(SHARE * _memory())
    reason = reason or f"more than {SHARE:.0%} of the memory of this machine"
    total = 0

    def count(module: Any, name: str, value: Any) -> None:
        nonlocal total
        if isinstance(value, Tensor) and value.device.type != "meta":
            total += value.numel() * value.element_size()
            if total > most:
                raise TooLarge(
                    f"the network of these settings has more than {total / 1e6:,.0f} MB of weights, {reason}: choose"
                    " smaller settings, such as --width, --depth or --seeds"
                )

    hooks = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def bounded_as_saved(directory: Path) -> AbstractContextManager[None]:
    """`bounded` by what the run in `directory` saved: its networks have no more weights."""
    return bounded(_saved(directory), "and its checkpoints hold less")


def _saved(directory: Path) -> int | None:
    """A bound on the bytes of the weights of a run: all its tensors, and a margin; None without a checkpoint."""
    sizes: list[int] = []
    for folder in (*folders(directory / "checkpoints"), *folders(directory / "portraits")):
        with suppress(FileNotFoundError):  # a training deletes earlier ones
            sizes += [path.lstat().st_size for path in folder.iterdir() if is_file(path)]
    return sum(sizes) + MARGIN if sizes else None


def _memory() -> int:
    """Bytes of memory of this machine, 16 GB where it does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 16 * 10**9
