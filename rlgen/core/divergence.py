"""Divergences: the batch at which a training diverged is kept, and the last checkpoint goes on at a lower rate."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError, Diverged, StorageError, UserError
from rlgen.core.files import json_object, read_bytes, remove_folder, replacing
from rlgen.core.optim.optimization import optimizations
from rlgen.core.optim.settings import SECOND_ORDER

FOLDER = "diverged"  # in the folder of a run: a JSON file and a safetensors file for each divergence
MAX_BYTES = 64_000_000  # of the tensors of a divergence; what exceeds it is cut or left out
HEADER = 1 << 20  # bytes of a safetensors file beside its tensors, at most
KEPT = 4  # latest divergences of a run
SCHEMA = 1
FACTOR = 0.5  # of all learning rates at a rollback
ROLLBACKS = 3  # of a run, at most
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class Divergence:
    """A training that diverged: what is known of it, and the batch of its last gradient step."""

    facts: dict[str, Any]  # time, message, loss, gradient_norms and seeds (those not finite), learning_rates, tensors
    batch: dict[str, Tensor]  # by the names of the algorithm, (S, B, ...) or (B, ...)


def record(directory: Path, algorithm: Any, error: Diverged, rollbacks: int = 0) -> Path | None:
    """Write the batch and the facts of a divergence to `FOLDER`; returns the path of the JSON file.

    None, with a warning, where they cannot be written: the divergence is what counts.
    """
    folder, stem = directory / FOLDER, f"{algorithm.time:09d}-{rollbacks}"
    whole = _batch(algorithm, error)
    kept = bounded(whole, MAX_BYTES)
    rates = {name: each.learning_rate(algorithm.time) for name, each in optimizations(algorithm).items()}
    tensors = folder / f"{stem}.safetensors"
    try:
        with replacing(tensors) as partial:
            save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in kept.items()}, partial)
            content = partial.read_bytes()
        facts = {
            "schema": SCHEMA,
            "time": algorithm.time,
            "message": str(error),
            "rollbacks": rollbacks,
            "seeds": [],
            **error.facts,
            "learning_rates": rates,
            "tensors": {name: _describe(tensor) for name, tensor in whole.items()},
            "file": {"name": tensors.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        }
        path = folder / f"{stem}.json"
        with replacing(path) as partial:
            partial.write_text(json.dumps(_plain(facts), indent=1, allow_nan=False) + "\n")
        for old in sorted(folder.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)
            old.with_suffix(".safetensors").unlink(missing_ok=True)
        return path
    except (OSError, StorageError, SafetensorError) as failure:
        log.warning(f"the batch of the divergence at {algorithm.time:,} was not written: {failure}")
        return None


def read(path: Path) -> Divergence:
    """The divergence in a JSON file of `FOLDER` and the file it names. Raises CheckpointError where one is damaged."""
    try:
        facts = json_object(path)
        if not isinstance(facts.get("schema"), int):
            raise CheckpointError(f"{path} does not describe a divergence")
        if facts["schema"] > SCHEMA:
            raise CheckpointError(
                f"{path} has schema {facts['schema']} and this rlgen reads up to {SCHEMA}: install a newer rlgen"
            )
        content = read_bytes(path.with_suffix(".safetensors"), MAX_BYTES + HEADER)
        if hashlib.sha256(content).hexdigest() != facts["file"]["sha256"]:
            raise CheckpointError(f"{path.with_suffix('.safetensors')} is damaged: it does not match its checksum")
        return Divergence(facts, load(content))
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def bounded(batch: Mapping[str, Tensor], limit: int) -> dict[str, Tensor]:
    """The tensors that fit into `limit` bytes, the smallest first; the first that does not is cut along its first axis.

    The others after it are left out.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in sorted(batch.items(), key=lambda pair: pair[1].numel() * pair[1].element_size()):
        size = tensor.numel() * tensor.element_size()
        if size > limit:
            rows = limit * len(tensor) // size if tensor.dim() else 0
            return {**kept, name: tensor[:rows]} if rows else kept
        kept[name] = tensor
        limit -= size
    return kept


def discard_after(checkpoints: Path, time: int | None) -> None:
    """Delete the checkpoints after `time`, which are due to stops: a rollback is to the same one as without stops.

    None is deleted where there is no undamaged checkpoint of this time.
    """
    try:
        if time is not None:
            checkpoint.verify(checkpoints / f"{time:09d}")
            for folder in checkpoint.newest_first(checkpoints):
                if int(folder.name) > time:
                    remove_folder(folder)
    except (CheckpointError, OSError):
        pass  # the newest that is undamaged, then


def lower_rates(algorithm: Any, rollbacks: int) -> None:
    """Set the learning rates of all optimizations to `FACTOR` to the power of `rollbacks` of their schedules."""
    for optimization in optimizations(algorithm).values():
        optimization.rate_factor = FACTOR**rollbacks


def announced(error: Diverged, rollbacks: int) -> str:
    """The warning about a rollback, the `rollbacks`-th of the run."""
    what = str(error).rsplit(":", 1)[0]
    lowered = f"all learning rates times {FACTOR} (rollback {rollbacks} of {ROLLBACKS})"
    return f"{what}: back to the last checkpoint, {lowered}"


def explained(error: Diverged, algorithm: Any, directory: Path, rollbacks: int, kept: Path | None) -> str:
    """The message of `error` with the time, what was tried, where the batch is and how to go on."""
    message = str(error)
    if not message.startswith("at "):
        message = f"at {algorithm.time:,} {message}"
    if rollbacks:
        message += f", after {rollbacks} rollbacks to a checkpoint"
    elif _has_rate(algorithm):
        message += f", or `rlgen resume {directory} --on-divergence rollback`"
    return message if kept is None else f"{message}; its batch: {kept}"


def check_rollback(algorithm: Any, name: str) -> None:
    """Raise UserError for an algorithm without a learning rate that a rollback could lower."""
    if not _has_rate(algorithm):
        raise UserError(
            f"--on-divergence rollback: {name} takes no gradient steps whose rate could be lowered: leave it out"
        )


def _has_rate(algorithm: Any) -> bool:
    return any(each.settings.optimizer not in SECOND_ORDER for each in optimizations(algorithm).values())


def _batch(algorithm: Any, error: Diverged) -> dict[str, Tensor]:
    """The tensors of the latest gradient step of each optimization, and those that the error brings."""
    found: dict[str, Any] = {}
    for optimization in optimizations(algorithm).values():
        found |= _named(optimization.batch)
    found |= _named(error.facts.pop("batch", None))
    return {name: torch.as_tensor(value) for name, value in found.items() if isinstance(value, Tensor | np.ndarray)}


def _named(batch: Any) -> dict[str, Any]:
    return dict(batch._asdict() if hasattr(batch, "_asdict") else batch or {})


def _describe(tensor: Tensor) -> dict[str, Any]:
    """Shape, type, and where a tensor is not finite: how often, and the indices of the first place."""
    broken = ~tensor.isfinite() if tensor.is_floating_point() else torch.zeros_like(tensor, dtype=torch.bool)
    facts = {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "not_finite": int(broken.sum()),
    }
    return {**facts, "first": broken.nonzero()[0].tolist()} if facts["not_finite"] else facts


def _plain(value: Any) -> Any:
    """`value` as JSON, numbers that are not finite as text: "nan", "inf", "-inf"."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
