"""Former names of settings, checkpoint keys and metrics, so that runs of earlier versions still load.

Pairs are `former: current`. Those of settings and of checkpoints are grouped by class and hold for the classes
derived from it, too. An empty current name drops the entry.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

State = dict[str, Any]

SETTINGS: dict[str, dict[str, str]] = {  # settings dataclass -> field
    "DQN": {
        "lanes": "num_envs",
        "capacity": "buffer_size",
        "warmup": "learning_starts",
        "sync_every": "target_update_interval",
        "updates": "gradient_steps",
        "train_every": "train_freq",
        "stack": "frame_stack",
        "sticky": "repeat_action_probability",
        "clip": "max_grad_norm",
        "adam_eps": "optimizer_eps",
    },
    "QLearning": {"lanes": "num_envs", "initial": "initial_q"},
    "Model": {"anneal": "lr_steps", "lr_anneal": "lr_steps"},
    "Autoencoder": {"gaussian": "noise_std", "masked": "mask_fraction", "sparse": "k_sparse"},
    "VAE": {"warmup": "kl_warmup"},
    "VQVAE": {"words": "codebook_size", "features": "code_dim", "memory": "codebook_decay"},
    "GAN": {
        "critics": "critic_steps",
        "spectral": "spectral_norm",
        "gradient_penalty": "gradient_penalty_weight",
        "r1": "r1_weight",
        "r1_every": "r1_interval",
    },
    "Autoregressive": {"place": "position_bias", "head": "head_width"},
    "PixelCNN": {"growth": "width_multiplier"},
}

MASKED_NETWORK = {
    "see": "input_conv",
    "place": "position_bias",
    "squeeze": "reduce",
    "masked": "conv",
    "widen": "expand",
    "out": "output",
    "label": "label_bias",
}

# algorithm class -> path in its checkpoint; a path is matched anywhere, as whole components, "*" being any one of them.
# `codebook.words` is found in `network` > `codebook.words` and in `average` > `codebook` > `words`.
STATE: dict[str, dict[str, str]] = {
    "DQN": {
        "lanes": "env",
        "lanes.played": "env.action_history",
        "recall": "recurrent_state",
        "replay.memory": "replay.recurrent_state",
        "replay.frames.legal": "replay.frames.action_mask",
        "replay.frames.aside.legal": "replay.frames.aside.action_mask",
    },
    "QLearning": {"lanes": "env", "lanes.played": "env.action_history"},
    "Generative": {"average": "ema"},
    "VQVAE": {"codebook.words": "codebook.codes", **MASKED_NETWORK},
    "GAN": {
        "chance": "regularization_stream",
        "augment.heard": "augment.sign_sum",
        "grow": "upsample",
        "shrink": "features",
        "judge": "output",
        "match": "label_embedding",
        "change": "residual",
        "keep": "shortcut",
    },
    "PixelCNN": {
        **MASKED_NETWORK,
        "see_above": "vertical_input_conv",
        "see_left": "horizontal_input_conv",
        "coarser.down": "downsample.conv",
        "coarser.up": "upsample.conv",
        "coarser_above.down": "vertical_downsample.conv",
        "coarser_above.up": "vertical_upsample.conv",
        "coarser_beside.down": "horizontal_downsample.conv",
        "coarser_beside.up": "horizontal_upsample.conv",
        "vertical": "vertical_conv",
        "horizontal": "horizontal_conv",
    },
    "PixelRNN": {
        **MASKED_NETWORK,
        "body.*.input": "body.*.input_to_state",
        "body.*.state": "body.*.state_to_state",
        "body.*.left": "body.*.left_input_to_state",
        "body.*.right": "body.*.right_input_to_state",
        "body.*.states": "body.*.state_to_state",
    },
}

# algorithm class -> key at the top of its checkpoint -> its value, from the rest of a checkpoint that lacks it
ADDED: dict[str, dict[str, Callable[[State], Any]]] = {
    "DQN": {"support": lambda state: None},
    "EMAModel": {"steps": lambda state: _steps(state["optimizer"])},
}

METRICS = {"eval_active": "eval_active_units"}


def settings(of: type) -> dict[str, str]:
    """Former -> current names of the fields of a settings dataclass."""
    present = {f.name for f in fields(of)}
    return {old: new for old, new in _inherited(SETTINGS, of).items() if old not in present and new in {*present, ""}}


def current_settings(of: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of the fields of a settings dataclass, by current name.

    Values without the name of an optimizer are of an earlier version: there `warmup` was another setting, and the end
    or the length of a schedule named its kind.
    """
    if "optimizer" in values or "optimizer" not in {f.name for f in fields(of)}:
        return _renamed(values, settings(of))
    values = _renamed(values, _inherited(SETTINGS, of))
    if values.get("lr_end") is not None:
        return {**values, "schedule": "linear"}
    if "lr_end" not in values and values.get("lr_steps"):
        return {**values, "schedule": "cosine"}
    return {name: value for name, value in values.items() if (name, value) != ("lr_steps", 0)}


def current_state(of: type, state: State) -> State:
    """The state in a checkpoint of schema 1, as the algorithm class `of` has it now."""
    pairs, added = _inherited(STATE, of), _inherited(ADDED, of)
    leaves = {_path(path, pairs): value for path, value in _leaves(state)}
    state = _nested({path: value for path, value in leaves.items() if path})
    return {**state, **{name: value(state) for name, value in added.items() if name not in state}}


def current_metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics.jsonl by current names."""
    return _renamed(row, METRICS)


def _steps(optimizer: State) -> int:
    """Gradient steps of an optimiser, by its count for any of the parameters."""
    return next((int(moments["step"]) for moments in optimizer["state"].values()), 0)


def _inherited(table: Mapping[str, Mapping[str, Any]], of: type) -> dict[str, Any]:
    return {old: new for base in reversed(of.__mro__) for old, new in table.get(base.__name__, {}).items()}


def _renamed(values: Mapping[str, Any], pairs: Mapping[str, str]) -> dict[str, Any]:
    """In the same order; a value under its current name wins over one under a former name."""
    return {
        pairs.get(name, name): value
        for name, value in values.items()
        if pairs.get(name) not in values and pairs.get(name) != ""
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of nested dicts with its path; "/" stands between the keys of nested dicts, "." within a key."""
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        for key, item in value.items():
            yield from _leaves(item, f"{path}/{key}" if path else key)
    else:
        yield path, value


def _nested(leaves: Mapping[str, Any]) -> State:
    """The nested dicts of which `leaves` are the `_leaves`."""
    state: State = {}
    for path, value in leaves.items():
        *folders, last = path.split("/")
        inner = state
        for key in folders:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return state


def _path(path: str, pairs: Mapping[str, str]) -> str:
    """`path` with the former names in it replaced, each once, the longest first; empty where one was dropped."""
    names, separators = re.split("[./]", path), [*re.findall("[./]", path), ""]
    table = [(old.split("."), new.split(".")) for old, new in sorted(pairs.items(), key=lambda pair: -len(pair[0]))]
    renamed = ""
    while names:
        old, new = next((pair for pair in table if _fits(names, pair[0])), (["*"], ["*"]))
        if new == [""]:
            return ""
        kept = iter([name for name, part in zip(names, old, strict=False) if part == "*"])
        inner = separators[: len(old) - 1] if len(new) == len(old) else ["."] * (len(new) - 1)
        for part, separator in zip(new, [*inner, separators[len(old) - 1]], strict=True):
            renamed += (next(kept) if part == "*" else part) + separator
        names, separators = names[len(old) :], separators[len(old) :]
    return renamed


def _fits(names: list[str], pattern: list[str]) -> bool:
    return len(names) >= len(pattern) and all(part in ("*", name) for name, part in zip(names, pattern, strict=False))
