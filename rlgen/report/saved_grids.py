"""Grids of images in the PNG files of a run folder, with the layout that is stored in each."""

import io
import json
import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from rlgen.core.errors import UserError
from rlgen.core.files import parse, read_bytes

Pixels = NDArray[np.uint8]

KEY = "rlgen"  # of the layout in a PNG
BYTES, PIXELS = 50_000_000, 24_000_000  # of a file and of a picture that are read, at most
LABELS = 1_000  # in a layout, at most
log = logging.getLogger("rlgen")


class Layout(NamedTuple):
    """Where the images of a grid are in its picture, in pixels, and the labels of its columns."""

    top: int
    left: int
    height: int  # of a row, with the gap above it
    width: int  # of a column, with the gap to its left
    gap: int
    labels: Sequence[str] = ()


def text_of(layout: Layout) -> PngImagePlugin.PngInfo:
    """The text that stores a layout in a PNG."""
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps(layout._asdict()))
    return text


def read(path: Path, columns: int) -> tuple[Pixels, Layout]:
    """A grid and its layout; without a layout in the file, that of square images without captions.

    Raises UserError, with the reason, where the file is no such PNG: a run folder may come from anybody.
    """
    try:
        content = read_bytes(path, BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if image.width * image.height > PIXELS:
                    raise UserError(f"{image.width}x{image.height} pixels are too many")
                image.load()
                text = image.info.get(KEY)
                picture = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        side = max(1, round(picture.shape[1] / columns))
        layout = _layout(parse(text.encode())) if isinstance(text, str) and text else Layout(0, 0, side, side, 0)
        if layout.top + layout.height > picture.shape[0] or layout.left + layout.width > picture.shape[1]:
            raise UserError("its layout does not fit its picture")
        return picture, layout
    except Exception as error:  # Pillow raises errors of many classes for damaged files
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read as a grid of images: {reason}") from None


def readable(paths: Mapping[int, Path], times: Iterable[int], columns: int) -> dict[int, tuple[Pixels, Layout]]:
    """The grids at some of the times in `paths`, without those that cannot be read or differ in form from the first.

    A warning names each that is left out.
    """
    found: dict[int, tuple[Pixels, Layout]] = {}
    form: Any = None
    for time in times:
        try:
            picture, layout = read(paths[time], columns)
        except UserError as error:
            log.warning(f"{error}; it is left out")
            continue
        own = picture.shape, layout._replace(labels=())
        form = form or own
        if own == form:
            found[time] = picture, layout
        else:
            log.warning(f"{paths[time]} differs in form from other grids of the run; it is left out")
    return found


def _layout(value: Any) -> Layout:
    """The layout in a file of anybody. Raises UserError for anything else."""
    strange = UserError("its layout is none of rlgen")
    if not isinstance(value, dict) or value.keys() != set(Layout._fields):
        raise strange
    labels = value.pop("labels")
    if not isinstance(labels, list) or len(labels) > LABELS or not all(isinstance(label, str) for label in labels):
        raise strange
    if not all(type(number) is int and 0 <= number <= PIXELS for number in value.values()):
        raise strange
    if value["gap"] >= min(value["height"], value["width"]):
        raise strange
    return Layout(**value, labels=labels)
