"""Images in a terminal: two pixels per character as a half-block of two colours, or shades of grey without colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.style import Style
from rich.text import Text

from rlgen.report.saved_grids import Layout, Pixels

SHADES, ASCII = " ░▒▓█", " .:-=+*#%@"
SIDE = 16  # columns of an image of the grid


def cells(picture: Pixels, layout: Layout, columns: int, rows: int, side: int = SIDE) -> Pixels:
    """The first images of a grid, scaled to `side` pixels of width, as many as fit `columns` by `rows` characters.

    Returns pixels (H, W) or (H, W, 3), H even: two rows are a line of characters.
    """
    side = min(side, columns)
    tall = max(2, 2 * round(side * layout.height / layout.width / 2))
    across = min((picture.shape[1] - layout.left) // layout.width, max(1, (columns + 1) // (side + 1)))
    down = min((picture.shape[0] - layout.top) // layout.height, max(1, 2 * rows // (tall + 2)))
    found = np.zeros((down * (tall + 2), across * (side + 1), *picture.shape[2:]), np.uint8)
    for i in range(down):
        for j in range(across):
            y = layout.top + i * layout.height + layout.gap
            x = layout.left + j * layout.width + layout.gap
            image = picture[y : y + layout.height - layout.gap, x : x + layout.width - layout.gap]
            scaled = np.asarray(Image.fromarray(image).resize((side, tall), Image.Resampling.BOX))
            found[i * (tall + 2) : i * (tall + 2) + tall, j * (side + 1) : j * (side + 1) + side] = scaled
    return found[:-2, :-1]


def lines(pixels: Pixels, *, colour: bool = True, unicode: bool = True) -> list[Text]:
    """Lines of text that show pixels (H, W) or (H, W, 3), H even."""
    if colour and unicode:
        rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)
        return [_coloured(above, below) for above, below in zip(rgb[::2], rgb[1::2], strict=True)]
    grey: NDArray[np.float64] = (pixels if pixels.ndim == 2 else pixels.mean(-1)).astype(float)
    grey = (grey[::2] + grey[1::2]) / 2
    shades = SHADES if unicode else ASCII
    index = np.minimum((grey / 256 * len(shades)).astype(int), len(shades) - 1)
    return [Text("".join(shades[i] for i in row), no_wrap=True) for row in index]


def _coloured(above: Pixels, below: Pixels) -> Text:
    line = Text(no_wrap=True)
    for upper, lower in zip(above.tolist(), below.tolist(), strict=True):
        line.append("▀", Style.parse(f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})"))
    return line
