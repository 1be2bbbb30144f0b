"""Every explanation of a trained network: computed, compared with random weights, and drawn into a folder."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.tables import table
from rlgen.data import picture_files
from rlgen.data.folder import Unreadable
from rlgen.explain.drawings import DRAWINGS
from rlgen.explain.layers import find_unit
from rlgen.explain.maps import FAILS, MAPS, PARTLY, RANDOM, STAGES, Maps, compare, networks_needed
from rlgen.explain.request import Request, Result
from rlgen.explain.sheets import maps_sheet, save, short
from rlgen.explain.subject import Subject
from rlgen.explain.subjects import subject_of


def request(
    algorithm: Any,
    name: str,
    *,
    images: int = 8,
    files: Sequence[Path] = (),
    class_: str | None = None,
    unit: str | None = None,
    member: int = 0,
    network: str | None = None,
    seed: int = 0,
    out: Path,
) -> Request:
    """What to explain of an algorithm, the run `name`: `images` test images or observations, or `files` in their place.

    Raises UserError for a run without network, and for an unknown class, unit, member or network.
    """
    subject = subject_of(algorithm, name, member, network)
    if files:
        pixels, labels = torch.stack([_picture(path, subject) for path in files]), None
    else:
        index = subject.choose(images, seed)
        pixels, labels = subject.images[index], subject.labels[index].tolist()
    x = subject.normalize(pixels)
    predicted, scores = subject.decide(x)
    captions = [
        _caption(subject.classes, k, score, None if labels is None else labels[n])
        for n, (k, score) in enumerate(zip(predicted.tolist(), scores, strict=True))
    ]
    target = predicted if class_ is None else torch.full_like(predicted, subject.class_index(class_))
    chosen = None if unit is None else find_unit(subject.network, x, unit)
    return Request(subject, x, target, captions, chosen, seed, out)


def _caption(classes: Sequence[str], predicted: int, score: str, label: int | None) -> tuple[str, bool]:
    """The class of an image over the predicted one and its score, and whether it is right or unknown."""
    if label is None or label == predicted:
        return f"{short(classes[predicted])}\n{score}", True
    return f"{short(classes[label])}\n→ {short(classes[predicted])} {score}", False


def _picture(path: Path, subject: Subject) -> Tensor:
    """A picture as bytes (C, H, W) in the form of the training images. Raises UserError where it cannot be read."""
    channels, height, width = subject.shape
    try:
        return torch.from_numpy(picture_files.read(path, (channels, height, width)))
    except Unreadable as error:
        raise UserError(f"--file {path}: not a picture that can be read: {error}") from None


def explain(
    request: Request, methods: Sequence[str], every: bool, progress: Callable[[int], object]
) -> Iterable[Result]:
    """The result of each method, its pictures in `request.out`. `progress` is called `work` times in all.

    With `every`, a method that does not fit the network is left out with its reason; otherwise UserError is raised.
    """
    for name in methods:
        try:
            yield _map(name, request, progress) if name in MAPS else DRAWINGS[name](request, progress)
        except UserError as error:
            if not every:
                raise
            yield Result(name, left_out=str(error))


def work(request: Request, methods: Sequence[str]) -> int:
    """Calls of `progress`."""
    return sum(networks_needed(request.subject.network) if name in MAPS else 2 for name in methods)


def _map(name: str, request: Request, progress: Callable[[int], object]) -> Result:
    method, subject = MAPS[name], request.subject
    found = compare(method, subject, request.x, request.target, request.seed, progress)
    correlations = found.correlations["all"]
    notes = ["constant" if math.isnan(value) else f"ρ = {value:.2f}" for value in correlations.tolist()]
    figure = maps_sheet(
        subject.shown(subject.pixels(request.x)).numpy(),
        [("trained", found.trained.numpy()), ("random\nweights", found.random.numpy())],
        request.captions,
        notes,
        title=f"{method.title}: {method.quantity.format(score=subject.words.score)}",
        below=_summary(found, subject),
        signed=method.signed,
    )
    means = {stage: _number(found.correlation(stage)) for stage in found.correlations}
    return Result(name, save(figure, request.out / f"{name}.png"), means, found.verdict)


def _summary(found: Maps, subject: Subject) -> str:
    shares = ", ".join(f"{STAGES[stage]} {found.correlation(stage):.2f}" for stage in found.correlations)
    return (
        f"Above an image: {subject.words.caption}. Below: rank correlation ρ with random weights.\n"
        f"Mean ρ with {shares}. Verdict: {found.verdict}."
    )


def lines(results: Sequence[Result], notes: bool = True) -> list[str]:
    """The results as a table: method, rank correlations at each stage, verdict, file."""
    rows = []
    for result in results:
        shown = [_shown(result.correlations.get(stage)) for stage in STAGES]
        rows.append([result.method, *shown, result.verdict or ("left out" if result.left_out else ""), _file(result)])
    text = table(["method", *STAGES, "verdict", "file"], rows)
    reasons = [f"{result.method} left out: {result.left_out}" for result in results if result.left_out]
    if any(result.correlations for result in results):
        reasons += [
            "Columns: rank correlation with the map of a network whose head or upper half is random, and of"
            f" {RANDOM} all random.",
            f"A method fails from {FAILS} on, and depends on training in part from {PARTLY} on (Adebayo et al. 2018).",
        ]
    return [*text, *reasons]


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results JSON-ready, by method."""
    return {
        result.method: {
            "file": str(result.file) if result.file else None,
            **({"rank_correlation": result.correlations, "verdict": result.verdict} if result.correlations else {}),
            **result.values,
            **({"left_out": result.left_out} if result.left_out else {}),
        }
        for result in results
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _file(result: Result) -> str:
    return str(result.file) if result.file else ""
