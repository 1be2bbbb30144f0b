"""What a trained algorithm can do: final scores, samples, sample grids and recorded episodes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlgen.core.algorithm import Agent, Algorithm, Model, Progress
from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.seeds import derive


def score(algorithm: Algorithm, count: int = 100, seed: int = 0) -> dict[str, Any]:
    """Values and details of the final report on `count` fresh episodes or samples."""
    found = algorithm.report(count, seed, lambda done: None)
    return {**found.values, **found.details}


def samples(
    model: Model, count: int, *, label: str | None = None, seed: int = 0, progress: Progress = lambda done: None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`count` samples a thousand at a time: the number of samples before, and images (N, C, H, W) in [0, 1].

    `label` is the name or number of the class of all of them.
    """
    from rlgen.generative.sampling import sample_batches

    start = 0
    for chunk in sample_batches(model, count, seed, None if label is None else model.label(label)):
        yield start, chunk.cpu().numpy()
        start += len(chunk)
        progress(len(chunk))


def grid(model: Model, name: str, seed: int = 0) -> Grid:
    """The grid called `name`: samples, reconstructions, ... Raises UserError where the model has none of that name."""
    grids = model.grids(seed)
    if name not in grids:
        hint = "; --latent 2 in training gives one" if name == "manifold" and "interpolations" in grids else ""
        raise UserError(f"this model has no {name}{hint}: it draws {', '.join(grids)}")
    return grids[name]


def grid_of_samples(model: Any, images: NDArray[np.float32], label: str | None = None) -> Grid:
    """Samples (N, C, H, W) of one class or, of a conditional model, of its classes in turn, each in a column.

    A model of points draws them into one picture.
    """
    from rlgen.generative.grids import sample_grid

    if hasattr(model, "sample_picture"):
        title = "generated points" + (f" of class {model.classes[model.label(label)]}" if label is not None else "")
        points: Grid = model.sample_picture(torch.from_numpy(images), title)
        return points
    if label is not None:
        title = f"samples of class {model.classes[model.label(label)]}"
        return sample_grid(torch.from_numpy(images))._replace(title=title)
    in_turn = model.conditional and model.shown_classes == model.classes
    return sample_grid(torch.from_numpy(images), model.shown_classes if in_turn else ())


def record(agent: Agent, episodes: int, seed: int) -> tuple[list[NDArray[np.uint8]], list[float], float]:
    """Frames (H, W, 3) of greedy episodes one after the other, their returns, and frames per second.

    A caption has the step and the return so far. The last frame of an episode shows its terminal state and its
    return, and is repeated for a second.
    """
    from rlgen.report import pictures

    env = agent.make_env(episodes, derive(seed, "film"), restart=False, render_mode="rgb_array")
    frames: list[list[NDArray[np.uint8]]] = [[] for _ in range(episodes)]
    live, state, step = np.ones(episodes, bool), None, 0
    while True:
        for i in np.flatnonzero(live).tolist():
            text = f"episode {i + 1}   step {step}   return {env.episode_return[i]:,.6g}"
            frames[i].append(pictures.caption(env.render(i), text))
        live = ~env.episode_end
        if not live.any():
            break
        action_mask = env.action_mask if env.action_mask.shape[1] > 1 else None
        action, state = agent.predict(env.obs, state, env.is_first, True, action_mask)
        env.step(action - env.first_action)
        step += 1
    env.close()
    held = max(1, round(env.fps))  # frames in a second
    return [f for parts in frames for f in [*parts, *parts[-1:] * held]], env.episode_return.tolist(), env.fps
