"""Occlusion: the fall of a class's logit when a window of the image is covered.

Zeiler & Fergus 2013, arXiv:1311.2901.
"""

import torch
from torch import Tensor, nn

from rlgen.explain.gradients import logit

CHUNK_SIZE = 256  # occluded images classified at once, to bound the memory


@torch.no_grad()
def occlusion(
    network: nn.Module, x: Tensor, target: Tensor, baseline: Tensor, window: int = 4, stride: int = 2
) -> Tensor:
    """Mean fall of the logit of `target` (N,) over the windows that cover a pixel: (N, C, H, W) -> (N, H, W).

    `baseline` (C,) is the colour of the cover after normalisation, such as the mean colour of the training images.
    A window is `window` pixels square; positions are `stride` pixels apart, the borders of the image included.
    """
    masks = windows(x.shape[-2], x.shape[-1], window, stride).to(x.device)  # (P, H, W)
    cover = baseline.to(x).view(-1, 1, 1)
    scores = logit(network, x, target)
    maps = []
    for image, label, score in zip(x, target, scores, strict=True):
        falls = [
            score - logit(network, torch.where(some[:, None], cover, image), label.expand(len(some)))
            for some in torch.split(masks, CHUNK_SIZE)
        ]
        maps.append(torch.einsum("p,phw->hw", torch.cat(falls), masks.to(x)) / masks.sum(0))
    return torch.stack(maps)


def windows(height: int, width: int, window: int, stride: int) -> Tensor:
    """Masks (P, H, W), true within the window, of all P positions."""
    rows, columns = _spans(height, window, stride), _spans(width, window, stride)
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


def _spans(side: int, window: int, stride: int) -> Tensor:
    """(P, side), true from each start on for `window` pixels; the last window ends at the border."""
    window = min(window, side)
    starts = torch.tensor(sorted({*range(0, side - window + 1, stride), side - window}))[:, None]
    at = torch.arange(side)
    return (starts <= at) & (at < starts + window)
