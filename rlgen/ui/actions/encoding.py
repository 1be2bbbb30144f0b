"""Images and numbers as JSON: PNG data URLs, uploaded pictures within limits of size, numbers that are finite or null.

Shapes: N images, C channels, H height, W width. Imports no torch.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from rlgen.core.errors import UserError
from rlgen.data.folder import Unreadable, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BYTES = 4 * 2**20  # of the file of an uploaded picture
MAX_PIXELS = 16_000_000  # of an uploaded picture: 48 MB in colour once it is decoded
FORMATS = ("PNG", "JPEG")


def png(image: NDArray[np.uint8]) -> str:
    """A PNG of an image (H, W) or (H, W, 3) as a data URL."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)  # images of a few pixels, drawn at every mouse move
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def pngs(images: NDArray[np.uint8]) -> list[str]:
    """A data URL of each of the images (N, C, H, W), C being 1 or 3."""
    return [png(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images]


def picture(url: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The picture of a data URL (PNG or JPEG) as an image (C, H, W): cropped to the proportions of `shape` and scaled.

    Raises UserError for what is no such picture, or one of more than `MAX_BYTES` or `MAX_PIXELS`.
    """
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    content = _content(url)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:  # the head alone
            if file.width * file.height > MAX_PIXELS:
                raise UserError(
                    f"a picture of {file.width}x{file.height} pixels: at most {MAX_PIXELS:,} in all; scale it down"
                )
        pixels, _ = decode(content, Path("the picture"), (width, height))  # (H, W, 1 or 3)
    except (OSError, SyntaxError, ValueError, Unreadable, Image.DecompressionBombError) as error:
        raise UserError(
            f"the picture cannot be read as {' or '.join(FORMATS)}: {' '.join(str(error).split())}"
        ) from None
    if channels == 1 and pixels.shape[2] == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    return np.broadcast_to(pixels, (height, width, channels)).transpose(2, 0, 1).copy()


def finite(value: SupportsFloat) -> float | None:
    """A number, or None where it is infinite or not a number, which JSON has no words for."""
    number = float(value)
    return number if math.isfinite(number) else None


def numbers(values: Any) -> Any:
    """An array or nested lists of numbers as nested lists, None in place of what is not finite; None stays None."""
    if values is None:
        return None
    if hasattr(values, "tolist"):
        values = values.tolist()
    return [numbers(value) for value in values] if isinstance(values, list | tuple) else finite(values)


def _content(url: Any) -> bytes:
    """The file within a data URL."""
    if not isinstance(url, str) or not url.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")):
        raise UserError("a picture is a data URL of a PNG or JPEG file: data:image/png;base64,...")
    text = url.partition(",")[2]
    if len(text) * 3 // 4 > MAX_BYTES:
        raise UserError(f"a picture of {len(text) * 3 / 4e6:.1f} MB: at most {MAX_BYTES / 1e6:.1f} MB; scale it down")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UserError("the data URL of the picture is not valid base64") from None
