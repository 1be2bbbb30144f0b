"""Explanations of the whole network: ascents, first filters, strongest images of units, features in two dimensions."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes, to_bytes
from rlgen.core.seeds import torch_stream
from rlgen.explain import embedding
from rlgen.explain.ascent import Objective, Prior, ascend, class_scores, unit_mean
from rlgen.explain.layers import Unit, blocks, maps
from rlgen.explain.request import Request, Result
from rlgen.explain.scatter import classes_sheet, images_canvas
from rlgen.explain.sheets import Array, pictures_sheet, save, short
from rlgen.explain.subject import Subject
from rlgen.explain.units import Strongest, first_filters, strongest
from rlgen.report.pictures import caption, write_png

CLASSES = 10  # classes in the picture of an ascent, at most
FILTERS = 32  # filters of the first layer, at most
COLUMNS = 16  # of a picture of filters
UNITS, EACH = 8, 8  # units of a block, and strongest images of each
CONTRAST = 0.4  # distance from the mean colour that the drawing of an ascent reaches at least
SEARCHED = 5_000  # test images among which the strongest are searched
POINTS = 1_000  # test images in the pictures of features
Progress = Callable[[int], object]


def ascent(request: Request, progress: Progress) -> Result:
    """Images that maximise the logit of each class, or a unit, beside those of random weights."""
    subject, unit = request.subject, request.unit
    classes = torch.arange(min(CLASSES, len(subject.classes)))
    rows, found = [], torch.empty(0)
    for label, network in (("trained", subject.network), ("random weights", subject.fresh(request.seed))):
        if unit is None:
            objective, count = class_scores(network, classes), len(classes)
        else:
            objective, count = unit_mean(network, unit), 4
        images = _ascended(subject, objective, count, request.seed)
        values = objective(images)
        if label == "trained":
            found = values
        pixels, factors = _contrasted(subject, images)
        contrast = ["" if factor < 1.5 else f"  contrast x{factor:.0f}" for factor in factors]
        rows.append((label, pixels, [f"{value:.1f}{more}" for value, more in zip(values, contrast, strict=True)]))
        progress(1)
    names = subject.classes[: len(classes)] if unit is None else [f"start {i + 1}" for i in range(4)]
    what = subject.words.scores if unit is None else f"the mean of unit {unit}"
    figure = pictures_sheet(
        rows,
        columns=names,
        title=f"Gradient ascent on {what}",
        below=f"Numbers: {what} for the image found. From noise around the mean colour, with total variation,"
        " jitter and blur as the prior of natural images.",
    )
    key = [str(unit)] * len(found) if unit else subject.classes
    reached = {str(k): v for k, v in zip(key, found.tolist(), strict=False)}
    return Result("ascent", save(figure, request.out / "ascent.png"), values={"reached": reached})


def filters(request: Request, progress: Progress) -> Result:
    """The weights of the first layer beside those of a random network."""
    subject = request.subject
    rows: list[tuple[str, list[Array], list[str]]] = []
    total, colour = 0, subject.shape[0] == 3 and subject.palette is None
    for label, network in (("trained", subject.network), ("random weights", subject.fresh(request.seed))):
        weights = first_filters(network, subject.shape)
        if weights is None:
            raise UserError("the first layer sees a part of the channels only: it has no filters to draw")
        total, shown = len(weights), weights[:FILTERS]
        planes = torch.cat(torch.split(shown, 1, 1), -1)  # side by side
        tiles = _scaled(shown) if colour else list(planes.permute(0, 2, 3, 1).numpy())
        for start in range(0, len(tiles), COLUMNS):
            part = tiles[start : start + COLUMNS]
            rows.append((label if start == 0 else "", part, [str(start + i) for i in range(len(part))]))
        progress(1)
    count = f"{total} filters" if total <= FILTERS else f"first {FILTERS} of {total} filters"
    scale = "grey is 0" if colour else "blue is negative, white is 0, red is positive"
    scale += f"; the {subject.shape[0]} planes of an observation side by side" if subject.palette is not None else ""
    figure = pictures_sheet(
        rows, title=f"Weights of the first layer: {count}", signed=True,
        below=f"Each is scaled by its own largest weight; {scale}.",
    )  # fmt: skip
    return Result("filters", save(figure, request.out / "filters.png"), values={"filters": total})


def strongest_images(request: Request, progress: Progress) -> Result:
    """The images that activate units most, cut to the receptive field of the position."""
    subject = request.subject
    index = subject.sample(SEARCHED, request.seed)
    images = subject.images[index]
    x = subject.normalize(images)
    units = [request.unit] if request.unit else _units(subject, x)
    rows, values = [], {}
    for unit, found in zip(units, strongest(subject.network, x, units, EACH), strict=True):
        labels = subject.labels[index[found.index]].tolist()
        notes = [f"{v:.1f} {short(subject.classes[k])}" for v, k in zip(found.value.tolist(), labels, strict=True)]
        rows.append((str(unit), _crops(subject.shown(from_bytes(images[found.index])).numpy(), found), notes))
        values[str(unit)] = {
            "images": index[found.index].tolist(), "labels": labels, "values": found.value.tolist(),
            "receptive_field": found.field,
        }  # fmt: skip
    progress(2)
    fields = {tuple(value["receptive_field"]) for value in values.values() if value["receptive_field"]}
    crop = "".join(f", cut to the receptive field of {h}x{w} pixels" for h, w in fields if (h, w) != subject.shape[1:])
    figure = pictures_sheet(
        rows,
        title=f"Images that activate a unit most, of {len(x):,} {subject.words.images}",
        below=f"Numbers: the unit at its strongest position{crop}; {subject.words.output} of the image."
        " Pale blue: beyond the border.",
    )
    return Result("strongest", save(figure, request.out / "strongest.png"), values={"units": values})


def features(request: Request, progress: Progress) -> Result:
    """The features before the head by principal components and t-SNE, beside those of random weights."""
    subject, seed = request.subject, request.seed
    index = subject.sample(POINTS, seed)
    x, labels = subject.normalize(subject.images[index]), subject.labels[index].numpy()
    panels, accuracy, points = [], {}, np.empty(0)
    for label, network in (("trained", subject.network), ("random weights", subject.fresh(seed))):
        rows = embedding.features(network, x)
        accuracy[label] = embedding.neighbour_accuracy(rows, labels)
        components, shares = embedding.principal_components(rows)
        x_axis, y_axis = (f"component {i + 1}, {share:.0%} of the variance" for i, share in enumerate(shares))
        panels.append((f"{label}: principal components", components, (x_axis, y_axis)))
        neighbours = embedding.tsne(rows, seed)
        if label == "trained":
            points = neighbours
        panels.append((f"{label}: t-SNE", neighbours, ("", "")))
        progress(1)
    shown = ", ".join(f"{label} {share:.1%}" for label, share in accuracy.items())
    words = subject.words
    title = f"Features of {len(x):,} {words.images}\nnearest other image of the same {words.output}: {shown}"
    save(classes_sheet(panels, labels, subject.classes, title, 2), request.out / "features.png")
    zoom = max(1, round(64 / max(subject.shape[1:])))
    drawn = subject.shown(from_bytes(subject.images[index]))
    canvas = images_canvas(points, to_bytes(drawn).numpy(), zoom)
    text = (
        f"t-SNE of the trained features of {len(x):,} {words.images}; those that would cover another one are left out"
    )
    write_png(caption(canvas, text), request.out / "features-images.png")
    return Result("features", request.out / "features.png", values={"neighbour_accuracy": accuracy})


DRAWINGS: dict[str, Callable[[Request, Progress], Result]] = {
    "ascent": ascent,
    "filters": filters,
    "strongest": strongest_images,
    "features": features,
}


def _ascended(subject: Subject, objective: Objective, count: int, seed: int) -> Tensor:
    """Normalised images (n, C, H, W) from noise, by an objective that is scaled to a gradient of length 1 at first.

    The decay is then such that a linear objective would be largest far beyond black and white.
    """
    stream = torch_stream(seed, "gradient ascent")
    baseline = subject.baseline.view(1, -1, 1, 1)
    noise = torch.randn(count, *subject.shape, generator=stream)
    start = (baseline + 0.3 * noise).requires_grad_()
    (slope,) = torch.autograd.grad(objective(start).sum(), start)
    lengths = slope.flatten(1).norm(dim=1).clamp(min=1e-12)
    side = min(subject.shape[1:])
    prior = Prior(
        decay=0.005 / math.sqrt(math.prod(subject.shape)), variation=0.002, jitter=max(1, side // 16), blur=0.4,
    )  # fmt: skip
    low, high = (subject.normalize(torch.full((1, subject.shape[0], 1, 1), level))[0] for level in (0.0, 1.0))
    return ascend(lambda x: objective(x) / lengths, start.detach(), prior, stream, low, high)


def _units(subject: Subject, x: Tensor) -> list[Unit]:
    """The first units of the block in the middle of those with weights whose output is a map, or of the last block."""
    learned = [name for name, block in blocks(subject.network).named_children() if list(block.parameters())]
    every = maps(subject.network, x)
    shapes = {name: shape for name, shape in every.items() if name in learned} or every
    of_maps = [name for name, shape in shapes.items() if len(shape) == 3 and shape[1] * shape[2] > 1]
    block = of_maps[len(of_maps) // 2] if of_maps else list(shapes)[-1]
    return [Unit(block, i) for i in range(min(UNITS, shapes[block][0]))]


def _crops(whole: Array, found: Strongest) -> list[Array]:
    """The images (n, H, W, C) cut to the receptive field; what lies beyond an image is NaN, and left empty."""
    if found.box is None or found.field is None:
        return list(whole)
    height, width = found.field
    crops = []
    for image, (top, bottom, left, right) in zip(whole, found.box.tolist(), strict=True):
        crop = np.full((height, width, image.shape[-1]), np.nan, np.float32)
        y = 0 if bottom == image.shape[0] and top > 0 else height - (bottom - top)
        x = 0 if right == image.shape[1] and left > 0 else width - (right - left)
        crop[y : y + bottom - top, x : x + right - left] = image[top:bottom, left:right]
        crops.append(crop)
    return crops


def _contrasted(subject: Subject, x: Tensor) -> tuple[list[Array], list[float]]:
    """Normalised images as (H, W, C), faint ones with more contrast around the mean colour, by the factors returned."""
    pixels, mean = subject.pixels(x), subject.colour.view(-1, 1, 1)
    reach = (pixels - mean).abs().flatten(1).quantile(0.995, dim=1)
    factors = (CONTRAST / reach.clamp(min=1e-6)).clamp(min=1.0)
    drawn = (mean + factors.view(-1, 1, 1, 1) * (pixels - mean)).clamp(0, 1)
    return list(subject.shown(drawn).numpy()), factors.tolist()


def _scaled(weights: Tensor) -> list[Array]:
    """Filters (F, 3, h, w) as colours: 0 is grey, the largest magnitude of a filter black or white."""
    largest = weights.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    return list((0.5 + 0.5 * weights / largest).permute(0, 2, 3, 1).numpy())
