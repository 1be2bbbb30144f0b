"""Runs, algorithms and samples in a notebook: a table and a picture as static HTML, which a saved notebook keeps."""

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlgen.core.images import to_bytes

COLUMNS = 8  # images side by side
WIDTH = 336  # pixels: narrower pictures are enlarged by a whole number
LARGEST = 900  # pixels: wider or higher pictures are made smaller
GAP = 2  # pixels between images
IMAGES = 64  # shown of many

Bundle = dict[str, str]  # mime type -> content, as IPython's `_repr_mimebundle_`


class Samples(Tensor):
    """Images (N, C, H, W) in [0, 1] shown as pictures in a notebook; what is computed from them is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        title = f"{len(self)} images of {' x '.join(map(str, self.shape[1:]))}"
        return bundle(title, {}, tiles(self.detach().as_subclass(Tensor)) if self.numel() else None)


def bundle(title: str, facts: Mapping[str, str], pixels: NDArray[np.uint8] | bytes | None = None) -> Bundle:
    """A title, rows of a name and a fact, and a picture (H, W), (H, W, 3) or the bytes of a PNG, as text and HTML."""
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(fact)}</td></tr>" for name, fact in facts.items())
    table = f"<table>{rows}</table>" if rows else ""
    image = ""
    if pixels is not None:
        content = base64.b64encode(_compact(pixels) if isinstance(pixels, bytes) else png(pixels)).decode()
        image = f'<img alt="{html.escape(title)}" src="data:image/png;base64,{content}">'
    width = max(map(len, facts), default=0)
    text = "\n".join([title, *(f"  {name:<{width}}  {fact}" for name, fact in facts.items())])
    return {"text/plain": text, "text/html": f"<div><b>{html.escape(title)}</b>{table}{image}</div>"}


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG of pixels (H, W) or (H, W, 3), enlarged by a whole number to `WIDTH` at least."""
    from PIL import Image

    times = max(1, -(-WIDTH // pixels.shape[1]))
    file = io.BytesIO()
    Image.fromarray(pixels.repeat(times, 0).repeat(times, 1)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _compact(content: bytes) -> bytes:
    """A PNG of at most `LARGEST` pixels of width and 64 colours: a saved notebook holds it as text."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        picture = image.convert("RGB")
    picture.thumbnail((LARGEST, LARGEST))
    picture.quantize(64, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def tiles(images: Tensor, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Images (N, C, H, W) in [0, 1] in rows: pixels (H, W) of greys, or (H, W, 3). `IMAGES` of them at most."""
    pixels = to_bytes(images[:IMAGES].float()).permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, C)
    count, height, width, channels = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 40, np.uint8)
    for i, image in enumerate(pixels):
        y, x = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[y : y + height, x : x + width] = image
    return sheet[..., 0] if channels == 1 else sheet


def facts_of(algorithm: Any) -> dict[str, str]:
    """Facts that every algorithm has: its task, its parameters, how far it was trained."""
    return {**algorithm.describe_task(), "parameters": f"{algorithm.parameter_count():,}"}
