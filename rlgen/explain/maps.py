"""Maps of the pixels that a decision rests on, each compared with that of randomised weights."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.explain import gradcam, gradients, path
from rlgen.explain.layers import blocks
from rlgen.explain.occlusion import occlusion
from rlgen.explain.sanity import cascade, rank_correlation
from rlgen.explain.subject import Subject

RANDOM = 3  # networks with all weights random, whose correlations are averaged
FAILS, PARTLY = 0.5, 0.25  # rank correlations from which on a method fails, or depends on training in part
WINDOWS = 7  # occluding windows along a side, next to each other; twice as many with their overlap
STAGES = {"head": "a random head", "half": "a random upper half", "all": "random weights"}
Network = nn.Module


@dataclass(frozen=True)
class MapMethod:
    """A method that gives each pixel of an image a number."""

    compute: Callable[[Subject, Network, Tensor, Tensor, int], Tensor]  # images, classes, seed -> (N, C or 1, h, w)
    title: str
    quantity: str  # what a value of the map is, in words; {score} stands for what is explained
    signed: bool = True


@dataclass(frozen=True)
class Maps:
    """The maps of N images by one method."""

    trained: Tensor  # (N, H, W), of the image's size
    random: Tensor  # (N, H, W), of the first random network
    correlations: Mapping[str, Tensor]  # stage -> (N,), mean over random networks; NaN where a map is constant

    def correlation(self, stage: str) -> float:
        """Mean over images; NaN where no image has one."""
        return float(self.correlations[stage].nanmean())

    @property
    def verdict(self) -> str:
        """What the rank correlation with the maps of random weights says of the method."""
        constant = int((self.trained.flatten(1).amax(1) == self.trained.flatten(1).amin(1)).sum())
        more = f"; {constant} of {len(self.trained)} maps are constant" if constant else ""
        same = [stage for stage in self.correlations if self.correlation(stage) >= FAILS]
        if "all" in same:
            return f"FAILS: much the same without training{more}"
        if same:
            return f"FAILS in part: much the same with {STAGES[same[-1]]}{more}"
        if math.isnan(self.correlation("all")):
            return f"undecided{more}"
        return ("depends on training in part" if self.correlation("all") >= PARTLY else "depends on training") + more


def compare(
    method: MapMethod, subject: Subject, x: Tensor, target: Tensor, seed: int, progress: Callable[[int], object]
) -> Maps:
    """The maps of normalised images x (N, C, H, W) for the classes `target` (N,), beside those of random weights.

    `progress` is called after each network: `networks_needed` times in all.
    """
    kept = stages(subject.network)
    trained = method.compute(subject, subject.network, x, target, seed)
    progress(1)
    correlations: dict[str, list[Tensor]] = {stage: [] for stage in kept}
    first = torch.empty(0)
    for i in range(RANDOM):
        fresh = subject.fresh(seed + i)
        for stage, count in kept.items() if i == 0 else (("all", 0),):
            random = method.compute(subject, cascade(subject.network, fresh, count), x, target, seed)
            correlations[stage].append(rank_correlation(strongest_channel(trained), strongest_channel(random)))
            if stage == "all" and i == 0:
                first = random
            progress(1)
    size = x.shape[-2:]
    means = {stage: torch.stack(values).nanmean(0) for stage, values in correlations.items()}
    return Maps(enlarged(trained, size), enlarged(first, size), means)


def stages(network: Network) -> dict[str, int]:
    """How many blocks keep their trained weights at each stage; stages of equal networks once."""
    body = blocks(network)
    learned = [i for i, block in enumerate(body) if any(True for _ in block.parameters())]
    if not learned:
        return {"all": 0}
    middle = learned[len(learned) // 2]
    return {"head": len(body), **({"half": middle} if len(learned) > 1 else {}), "all": 0}


def networks_needed(network: Network) -> int:
    """Networks whose maps a comparison computes."""
    return RANDOM + len(stages(network))


def strongest_channel(maps: Tensor) -> Tensor:
    """The value of largest magnitude over channels with its sign: (N, C, h, w) -> (N, h, w)."""
    return maps.gather(1, maps.abs().argmax(1, keepdim=True)).squeeze(1)


def enlarged(maps: Tensor, size: torch.Size) -> Tensor:
    """(N, C, h, w) -> (N, H, W) of the image's size: the strongest channel, bilinear."""
    one = strongest_channel(maps).unsqueeze(1)
    if one.shape[-2:] == size:
        return one[:, 0]
    return F.interpolate(one, size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def _occlusion(subject: Subject, network: Network, x: Tensor, target: Tensor, seed: int) -> Tensor:
    window = max(1, round(min(x.shape[-2:]) / WINDOWS))
    return occlusion(network, x, target, subject.baseline, window, max(1, window // 2)).unsqueeze(1)


MAPS = {
    "saliency": MapMethod(
        lambda subject, network, x, target, seed: gradients.saliency(network, x, target),
        "Saliency",
        "change of {score} when the pixel becomes brighter",
    ),
    "guided": MapMethod(
        lambda subject, network, x, target, seed: gradients.guided_backpropagation(network, x, target),
        "Guided backpropagation",
        "the gradient of {score} along paths of positive gradients",
    ),
    "occlusion": MapMethod(
        _occlusion,
        "Occlusion",
        "fall of {score} when a window around the pixel is covered with the mean colour",
    ),
    "gradcam": MapMethod(
        lambda subject, network, x, target, seed: gradcam.grad_cam(network, x, target).unsqueeze(1),
        "Grad-CAM",
        "maps of the last convolution, weighted by their gradients",
        signed=False,
    ),
    "integrated": MapMethod(
        lambda subject, network, x, target, seed: path.integrated_gradients(network, x, target, subject.baseline),
        "Integrated gradients",
        "share of the pixel in the rise of {score} from an image of the mean colour",
    ),
    "smooth": MapMethod(
        lambda subject, network, x, target, seed: path.smooth_gradient(network, x, target, seed),
        "SmoothGrad",
        "saliency, averaged over noisy copies of the image",
    ),
}
