"""Values of an observation that the page has changed: one of its numbers moved, or pixels of an image covered."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.ui.actions import fields
from rlgen.ui.actions.agents import Json, recorded, values
from rlgen.ui.actions.encoding import png

if TYPE_CHECKING:
    from rlgen.agents.base import Agent
    from rlgen.agents.episode import Episode

LIMIT = 1e9  # of a number of an observation
CELLS = 28  # rows and columns of cells in which pixels are covered, at most
COVERS = ("background", "black")
COLOURS = 255 * np.array(
    [(0.34, 0.67, 0.92), (1.0, 0.54, 0.29), (0.17, 0.78, 0.6), (0.9, 0.61, 0.8), (0.94, 0.74, 0.3), (0.72, 0.61, 0.96)]
)


def what_if(agent: "Agent", request: Json, session: Json) -> Json:
    """Values in step `step` of the episode with other `numbers`, or with the cells of `cover` covered by `fill`.

    A recurrent agent has its state of that step: the past is unchanged. Also `picture`, the image as it is observed,
    and `cells`, the rows and columns in which it is covered.
    """
    episode = recorded(agent, request, session)
    step = fields.whole(request, "step", 0, len(episode))
    observation = episode.observations[step]
    shown: Json = {}
    if agent.env.preprocessing.image:
        cells = grid(observation.shape)
        observation = covered(observation, cells, request, session, episode)
        shown = {"picture": png(picture(observation, agent.env.frame_stack)), "cells": cells}
    else:
        from rlgen.envs.numbers import Numbers

        table = Numbers(agent.env)
        if "numbers" in request:
            given = fields.numbers(request, "numbers", len(table.described), LIMIT)
            observation = table.write(given)
        shown = {"numbers": table.read(observation)}
    mask = None if episode.action_masks is None else episode.action_masks[step]
    found = agent.values(observation, episode.states[step], step == 0, mask)
    return {**values(found), **shown}


def grid(shape: tuple[int, ...]) -> list[int]:
    """Rows and columns of cells of an image (C, H, W): single pixels, or blocks of a whole number of them."""
    side = max(1, -(-max(shape[1:]) // CELLS))
    return [-(-size // side) for size in shape[1:]]


def covered(
    observation: NDArray[Any], cells: list[int], request: Json, session: Json, episode: "Episode"
) -> NDArray[Any]:
    """The image (C, H, W) with cells in the place of what the episode has there most of the time, or of zeros."""
    cover = request.get("cover", [])
    rows, columns = cells
    if not isinstance(cover, list) or not all(
        isinstance(cell, int) and not isinstance(cell, bool) and 0 <= cell < rows * columns for cell in cover
    ):
        raise UserError(f"cover must be a list of cells, numbered row by row from 0 to {rows * columns - 1}")
    fill = fields.choice(request, "fill", COVERS, "background")
    if not cover:
        return observation
    side = -(-max(observation.shape[1:]) // CELLS)
    mask = np.zeros(rows * columns, bool)
    mask[cover] = True
    height, width = observation.shape[1:]
    pixels = mask.reshape(rows, columns).repeat(side, 0).repeat(side, 1)[:height, :width]
    if fill == "black":
        return np.where(pixels, np.zeros_like(observation), observation)
    key = session["episode"][0]
    if session.get("background", (None,))[0] != key:
        some = episode.observations[:: max(1, len(episode.observations) // 200)]
        session["background"] = key, np.median(some, 0).astype(observation.dtype)
    return np.where(pixels, session["background"][1], observation)


def picture(observation: NDArray[Any], stack: int) -> NDArray[np.uint8]:
    """An observed image (C, H, W) as a picture (H, W, 3) of the newest frame of a stack.

    One or three channels are shown as they are, other planes each in a colour of its own.
    """
    frame = observation[-(len(observation) // stack) :].astype(np.float64)
    top = 255.0 if frame.max(initial=0) > 1 else 1.0
    frame = frame.clip(0, top) / top
    if len(frame) == 1:
        frame = frame.repeat(3, 0)
    elif len(frame) != 3 or observation.shape[1] < 32:
        tints = COLOURS[np.arange(len(frame)) % len(COLOURS)] / 255  # (C, 3)
        frame = (frame[:, None] * tints[:, :, None, None]).max(0)
    return (255 * frame).astype(np.uint8).transpose(1, 2, 0)
