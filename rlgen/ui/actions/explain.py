"""Maps of the pixels that a decision rests on, beside those of random weights, for one picture at a time."""

import math
from typing import Any
from weakref import WeakKeyDictionary

import torch

from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes, to_bytes
from rlgen.explain.maps import FAILS, MAPS, PARTLY, RANDOM, STAGES, compare
from rlgen.explain.subject import Subject
from rlgen.explain.subjects import networks_of, subject_of
from rlgen.ui.actions import fields
from rlgen.ui.actions.encoding import finite, png

Json = dict[str, Any]
PICTURES = 24  # to choose from
NAME = "this run"
SUBJECTS: WeakKeyDictionary[Any, dict[str, Subject]] = WeakKeyDictionary()  # algorithm -> network -> subject


def subject(algorithm: Any, request: Json, session: Json) -> Json:
    """What can be explained: networks, methods, classes or actions, and pictures with what the network decides.

    For a run without a network of images `unavailable` alone, the reason in a sentence.
    """
    try:
        network, found = _subject(algorithm, request)
    except UserError as error:
        if "network" in request:
            raise
        return {"unavailable": str(error)}
    index = found.choose(PICTURES, 0)
    predicted, scores = found.decide(found.normalize(found.images[index]))
    labels = found.labels[index].tolist()
    return {
        "time": algorithm.time,
        "network": network,
        "networks": networks_of(algorithm, NAME),
        "methods": [{"name": name, "title": method.title} for name, method in MAPS.items()],
        "output": found.words.output,
        "classes": list(found.classes),
        "caption": found.words.caption,
        "pictures": [_png(found, i) for i in index.tolist()],
        "labels": [found.classes[k] for k in labels],
        "decided": [found.classes[k] for k in predicted.tolist()],
        "scores": scores,
    }


def explained(algorithm: Any, request: Json, session: Json) -> Json:
    """The map of picture number `picture` for class `target` (-1: the decided one) by `method`, and of random weights.

    Maps are rows of numbers, the largest magnitude being 1. `correlations` are rank correlations by stage, null where
    a map is constant; `sentence` says whether the method passed.
    """
    _, found = _subject(algorithm, request)
    number = fields.whole(request, "picture", 0, PICTURES - 1, default=0)
    target = fields.whole(request, "target", -1, len(found.classes) - 1, default=-1)
    method = MAPS[fields.choice(request, "method", list(MAPS), default="saliency")]
    index = found.choose(PICTURES, 0)
    if number >= len(index):
        raise UserError(f"picture {number}: there are the pictures 0 to {len(index) - 1}")
    x = found.normalize(found.images[index[number : number + 1]])
    chosen = found.decide(x)[0] if target < 0 else torch.tensor([target])
    maps = compare(method, found, x, chosen, 0, lambda done: None)
    height, width = maps.trained.shape[-2:]
    rho = maps.correlation("all")
    number_text = "undefined, as a map is constant" if math.isnan(rho) else f"{rho:.2f}"
    return {
        "time": algorithm.time,
        "target": found.classes[int(chosen)],
        "quantity": method.quantity.format(score=found.words.score),
        "signed": method.signed,
        "height": height,
        "width": width,
        "trained": _scaled(maps.trained),
        "random": _scaled(maps.random),
        "correlations": {stage: finite(maps.correlation(stage)) for stage in maps.correlations},
        "stages": {stage: STAGES[stage] for stage in maps.correlations},
        "passed": not maps.verdict.startswith("FAILS") and not math.isnan(rho),
        "sentence": f"{method.title}: {maps.verdict}. Rank correlation with the maps of {RANDOM} networks of random"
        f" weights: {number_text}; a method fails from {FAILS} on, and depends on training in part from {PARTLY} on.",
    }


def _subject(algorithm: Any, request: Json) -> tuple[str, Subject]:
    """The name of the network and its subject, made once per loaded algorithm."""
    names = networks_of(algorithm, NAME)
    network = fields.choice(request, "network", names, default=names[0])
    known = SUBJECTS.setdefault(algorithm, {})
    if network not in known:
        known[network] = subject_of(algorithm, NAME, network=network)
    return network, known[network]


def _png(found: Subject, i: int) -> str:
    pixels = to_bytes(found.shown(from_bytes(found.images[i : i + 1]))[0]).numpy()
    return png(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _scaled(maps: torch.Tensor) -> list[float]:
    """A map (1, H, W) divided by its largest magnitude, row by row."""
    values = maps[0] / maps.abs().max().clamp(min=1e-12)
    return [round(value, 3) for value in values.flatten().tolist()]
