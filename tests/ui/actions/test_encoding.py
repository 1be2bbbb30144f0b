import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from rlgen.core.errors import UserError
from rlgen.ui.actions import encoding


def opened(url):
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def url_of(image, form="PNG"):
    file = io.BytesIO()
    image.save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_an_encoded_image_is_decoded_to_the_same_bytes(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    url = encoding.png(image)
    assert url.startswith("data:image/png;base64,")
    assert np.array_equal(np.asarray(opened(url)), image)
    channels = 1 if len(shape) == 2 else 3
    expected = image.reshape(5, 7, channels).transpose(2, 0, 1)
    assert np.array_equal(encoding.picture(url, (channels, 5, 7)), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_several_images(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 4, 6), dtype=np.uint8)
    found = [encoding.picture(url, (channels, 4, 6)) for url in encoding.pngs(images)]
    assert np.array_equal(np.stack(found), images)


def test_a_picture_is_cropped_scaled_and_converted():
    wide = Image.new("RGB", (60, 20), "red")
    wide.paste("blue", (20, 0, 40, 20))
    found = encoding.picture(url_of(wide), (3, 10, 10))
    assert found.shape == (3, 10, 10)
    assert found[:, 1:9, 2:8].reshape(3, -1).T.tolist() == [[0, 0, 255]] * 48  # the middle third
    grey = encoding.picture(url_of(wide), (1, 10, 10))
    assert grey.shape == (1, 10, 10)
    assert abs(int(grey[0, 5, 5]) - 29) <= 1  # the luminance of blue
    colour = encoding.picture(url_of(Image.new("L", (8, 8), 90)), (3, 4, 4))
    assert (colour == 90).all()
    assert encoding.picture(url_of(wide, "JPEG"), (3, 10, 10)).shape == (3, 10, 10)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "data URL"),
        ("https://example.org/a.png", "data URL"),
        ("data:image/svg+xml;base64,AAAA", "data URL"),
        ("data:image/png;base64,!!!!", "base64"),
        ("data:image/png;base64,é", "base64"),
        ("data:image/png;base64,AAAA", "cannot be read"),
        ("data:image/png;base64," + base64.b64encode(b"GIF89a" + bytes(50)).decode(), "cannot be read"),
        (url_of(Image.new("RGB", (50, 50)))[:-40], "cannot be read"),
        ("data:image/png;base64," + "A" * 6_000_000, "4.5 MB"),
        (url_of(Image.new("1", (5_000, 4_000))), "5000x4000 pixels"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(url, message):
    with pytest.raises(UserError, match=message) as caught:
        encoding.picture(url, (1, 8, 8))
    assert "\n" not in str(caught.value)


def test_numbers_are_finite_or_null():
    assert encoding.finite(2) == 2.0
    assert encoding.finite(math.inf) is None
    assert encoding.numbers(None) is None
    assert encoding.numbers(torch.tensor([[1.0, math.nan], [-math.inf, 2.0]])) == [[1.0, None], [None, 2.0]]
    assert encoding.numbers([1, (math.nan, np.float32(0.5)), None]) == [1.0, [None, 0.5], None]
    assert encoding.numbers(torch.tensor(3.0)) == 3.0
