import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from rlgen.core.notebook import Samples, bundle, tiles


def picture(shown):
    """The picture in the HTML, as pixels."""
    (content,) = re.findall(r'src="data:image/png;base64,([^"]+)"', shown["text/html"])
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGB"))


def test_facts_as_text_and_as_html():
    shown = bundle("a <title>", {"name": "<script>alert(1)</script>"})
    assert shown["text/plain"] == "a <title>\n  name  <script>alert(1)</script>"
    assert "<script>" not in shown["text/html"]
    assert "a &lt;title&gt;" in shown["text/html"]
    assert "<img" not in shown["text/html"]


def test_a_picture_is_enlarged_by_a_whole_number():
    pixels = np.array([[0, 255], [128, 64]], np.uint8)
    shown = picture(bundle("x", {}, pixels))[..., 0]
    assert shown.shape == (336, 336)
    assert (shown[::168, ::168] == pixels).all()


def test_a_png_becomes_small():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1200, 1800, 3), np.uint8)).save(file, "PNG")
    shown = picture(bundle("x", {}, file.getvalue()))
    assert shown.shape == (600, 900, 3)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 64


@pytest.mark.parametrize(
    ("count", "channels", "shape"), [(1, 1, (5, 5)), (9, 1, (12, 54)), (3, 3, (5, 19, 3)), (200, 1, (54, 54))]
)
def test_tiles(count, channels, shape):
    assert tiles(torch.rand(count, channels, 5, 5)).shape == shape


def test_tiles_are_in_rows():
    sheet = tiles(torch.linspace(0, 1, 10).view(10, 1, 1, 1).expand(10, 1, 2, 2))
    assert sheet[0, 0] == 0
    assert sheet[0, 4 * 7] == round(255 * 7 / 9)
    assert sheet[4, 4] == 255


def test_samples_show_themselves_and_compute_plain_tensors():
    x = torch.rand(3, 1, 4, 4).as_subclass(Samples)
    assert x._repr_mimebundle_()["text/plain"] == "3 images of 1 x 4 x 4"
    assert picture(x._repr_mimebundle_()).shape[1] >= 336
    assert type(x + 1) is type(x[:1]) is type(torch.cat([x, x])) is torch.Tensor
    assert "<img" not in torch.rand(0, 1, 4, 4).as_subclass(Samples)._repr_mimebundle_()["text/html"]
